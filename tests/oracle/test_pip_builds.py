"""What is built and placed equals what ``pip install`` of the same source makes, file by file."""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.errors import BuildError, MachineError, NetworkError, RepositoryError
from ocibuild.core.events import Event
from ocibuild.core.package import LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.place import PipPlaceContext, place
from ocibuild.ecosystem.pip.prefix import prefix_entries, prefix_interpreter
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.ecosystem.pip.source import is_built
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.image.view import View
from ocibuild.layer.entry import EntryKind
from ocibuild.net.client import HttpClient
from ocibuild.plan.source_layer import TreePlace
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.editable import editable_entries
from ocibuild.work.python_resolution import PythonResolver
from tests.support.host_root import HostRoot, can_mount
from tests.support.made_projects import BACKEND, OWN_BACKEND, FolderIndex, metadata, tiny_sdist, write_sdist
from tests.support.scripted_server import Reply, Request, ScriptedServer

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not can_mount(), reason="builds run with a folder mounted, which only root may here"),
]

PYTHON = Path("/usr/bin/python3")
Tree = dict[str, tuple[str, int, str]]


def python_target() -> PythonTarget:
    facts = "import sys, os, platform; print(platform.python_version(), os.path.realpath(sys.executable), os.path.dirname(os.__file__))"
    version, executable, library = subprocess.run(
        [PYTHON, "-I", "-c", facts], capture_output=True, text=True, check=True
    ).stdout.split()
    libc = tuple(int(part) for part in (platform.libc_ver()[1] or "2.17").split(".")[:2])
    return PythonTarget(
        version, str(PYTHON), executable[1:], library[1:], Platform.parse(platform.machine()), Libc("glibc", *libc)
    )


class Place:
    """A repository, an index, a store, and this machine as the root."""

    def __init__(self, folder: Path, seeds: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.index = FolderIndex(folder / "index")
        for wheel in sorted(seeds.iterdir()):
            self.index.add(wheel)
        self.root = HostRoot()
        self.store = Store.at(folder / "store")
        self.target = python_target()
        self.events: list[Event] = []
        self.is_public = False  # the public index instead of the folder

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
        return kept | {
            "PIP_CONFIG_FILE": "/dev/null",
            **({} if self.is_public else {"PIP_INDEX_URL": self.index.url}),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            "HOME": str(self.folder),
        }

    def resolver(self) -> PythonResolver:
        return PythonResolver(self.store, self.environment, self.events.append, HttpClient())

    def resolve(self, text: str) -> PipResolution:
        return self.resolver().resolve(
            PipAsks(files=(RequirementsFile("requirements.txt", text),)),
            self.target,
            folder=self.repository,
            folder_in_image=str(self.repository),
            options=BuildOptions(),
            root=self.root,
        )

    def rebuilt(self, packages: Sequence[LockedPackage], text: str) -> list[LockedPackage]:
        """The built packages of a lock, as this machine has them."""
        found = self.resolver().rebuilt(
            packages,
            PipAsks(files=(RequirementsFile("requirements.txt", text),)),
            self.target,
            folder=self.repository,
            folder_in_image=str(self.repository),
            options=BuildOptions(),
            root=self.root,
        )
        return [package for package in found if is_built(package)]

    def built(self, text: str) -> LockedPackage:
        (package,) = [each for each in self.resolve(text).packages if is_built(each)]
        return package

    def installed_by_pip(self, text: str, prefix: Path) -> Tree:
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", prefix], check=True)
        before = tree(prefix).keys()
        (self.repository / "requirements.txt").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", prefix / "bin/python3", "install", "--no-compile", "-r", "requirements.txt"],
            cwd=self.repository, env=self.environment | {"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return {path: value for path, value in tree(prefix).items() if path not in before}

    def placed(self, text: str, prefix: Path) -> Tree:
        """The packages of the requirements alone, without those that an environment has from the start."""
        resolution = self.resolve(text)
        found: Tree = {}
        with PackageBodies(self.store, resolution.addresses, http=HttpClient(), events=self.events.append) as bodies:
            for package in resolution.packages:
                if package.name in ("pip", "setuptools"):
                    continue
                context = PipPlaceContext(
                    str(prefix)[1:], self.target.minor_version, prefix_interpreter(self.target, str(prefix)[1:]),
                    requested=package.requested, direct_url=package.fields.get("direct_url", ""),
                )  # fmt: skip
                for entry in place(package, bodies.path(package), context).entries:
                    if entry.kind is EntryKind.FILE:
                        digest = hashlib.sha256(b"".join(entry.chunks())).hexdigest()
                        found[entry.path.removeprefix(f"{str(prefix)[1:]}/")] = ("file", entry.mode, digest)
        return found


def tree(folder: Path) -> Tree:
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name, mode = str(path.relative_to(folder)), path.lstat().st_mode
        if stat.S_ISREG(mode):
            found[name] = ("file", stat.S_IMODE(mode), hashlib.sha256(path.read_bytes()).hexdigest())
        elif stat.S_ISLNK(mode):
            found[name] = ("link", 0, str(path.readlink()))
    return found


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of what environments and builds need, from the public index."""
    folder = tmp_path_factory.mktemp("seeds")
    command = ["download", "--quiet", "--no-deps", "--dest", folder, "pip", "setuptools", "wheel", "flit_core"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(tmp_path: Path, seeds: Path) -> Place:
    return Place(tmp_path, seeds)


SETUP = """
from setuptools import Extension, setup
setup(name="made", version="1.0", packages=["made"], package_data={{"made": ["*.txt"]}},
      entry_points={{"console_scripts": ["made = made:main"]}}, scripts=["run-made"],
      data_files=[("share/made", ["made/data.txt"])]{extra})
"""
FILES = {
    "made/__init__.py": "def main():\n    return 0\n",
    "made/data.txt": "data\n",
    "run-made": "#!/usr/bin/env python\nprint('made')\n",
    "README": "read me\n",
}
C_SOURCE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", __FILE__, -1, NULL};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
FORMS = {
    "setup.py": {"setup.py": SETUP.format(extra="")},
    "dynamic requirements": {"setup.py": SETUP.format(extra=', install_requires=["helper>=1"]')},
    "compiled": {
        "setup.py": SETUP.format(extra=', ext_modules=[Extension("made.fast", ["fast.c"])]'),
        "fast.c": C_SOURCE,
    },
    "build requirement": {
        "setup.py": "import builder\n" + SETUP.format(extra=""),
        "pyproject.toml": '[build-system]\nrequires = ["setuptools", "builder"]\nbuild-backend = "setuptools.build_meta"\n',
    },
    "setup_requires": {"setup.py": SETUP.format(extra=', setup_requires=["builder"]')},
    "flit": {
        "pyproject.toml": '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
        '[project]\nname = "made"\nversion = "1.0"\ndescription = "x"\nscripts = {made = "made:main"}\n',
    },
}


@pytest.mark.network
@pytest.mark.parametrize("form", FORMS)
def test_the_tree_equals_pips(here: Place, tmp_path: Path, form: str) -> None:
    for name in ("helper", "builder"):
        here.index.add(tiny_sdist(here.index.files, name, "1.0"))
    files = {**FILES, **FORMS[form], "PKG-INFO": metadata("made", "1.0")}
    here.index.add(
        write_sdist(here.index.files, "made", "1.0", files, modes={"run-made": 0o755, "made/data.txt": 0o755})
    )
    prefix = tmp_path / "env"
    pips = here.installed_by_pip("made\n", prefix)
    ours = here.placed("made\n", prefix)
    if form == "compiled":  # pip builds in a folder of a random name, which the compiler writes down
        for found in (ours, pips):
            (library,) = [path for path in found if path.endswith(".so")]
            found[library] = (*found[library][:2], "")
            found[next(path for path in found if path.endswith("RECORD"))] = ("file", 0o644, "")
    assert ours == pips
    again = here.placed("made\n", prefix)
    assert again.keys() == ours.keys()
    assert [name for name in here.root.ran if "made" in name][1:] in ([], ["build wheel made 1.0"])


@pytest.mark.network
def test_two_machines_build_the_same_bytes(tmp_path: Path, seeds: Path) -> None:
    wheels = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        place = Place(tmp_path / name, seeds)
        files = {**FILES, **FORMS["compiled"], "PKG-INFO": metadata("made", "1.0")}
        place.index.add(write_sdist(place.index.files, "made", "1.0", files))
        wheels.append(place.built("made\n"))
    assert wheels[0] == wheels[1]
    assert {package["name"] for package in json.loads(wheels[0].fields["built_with"])} == {"setuptools"}


@pytest.mark.network
def test_a_wheel_is_built_once(here: Place) -> None:
    here.index.add(tiny_sdist(here.index.files, "made", "1.0"))
    first = here.built("made\n")
    assert here.built("made>=1\n").fields["wheel"] == first.fields["wheel"]
    assert here.root.ran == ["build wheel made 1.0"]
    here.root.key = "another root"
    assert here.built("made\n") == first, "a pure wheel does not depend on the root"
    assert len(here.root.ran) == 1


@pytest.mark.network
@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        ({"setup.py": "raise SystemExit('no luck')"}, "no luck", None),
        ({"setup.py": "import numpy.distutils"}, "No module named 'numpy'", "does not say what its build requires"),
        ({"pyproject.toml": '[build-system]\nrequires=[]\nbuild-backend="x"\n'}, "No module named 'x'", "what its build"),
        ({"pyproject.toml": '[build-system]\nrequires=[]\nbuild-backend="os"\n'}, "has no build_wheel", None),
    ],
)  # fmt: skip
def test_a_build_that_fails(here: Place, files: dict[str, str], message: str, hint: str | None) -> None:
    here.index.add(write_sdist(here.index.files, "made", "1.0", files))
    with pytest.raises(BuildError, match=r"made 1\.0") as caught:
        here.resolve("made\n")
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.network
@pytest.mark.parametrize(
    "files",
    [
        {"README": ""},
        {"pyproject.toml": "]"},
        {"pyproject.toml": "[build-system]\n"},
        {"pyproject.toml": '[build-system]\nrequires=[]\nbuild-backend="x"\nbackend-path=[".."]\n'},
    ],
)
@pytest.mark.parametrize("form", ["index", "archive", "folder"])
def test_what_is_no_project(here: Place, files: dict[str, str], form: str) -> None:
    archive = write_sdist(here.repository, "made", "1.0", files)
    if form == "index":
        here.index.add(archive)
    subprocess.run(["tar", "-xzf", archive], cwd=here.repository, check=True)
    line = {"index": "made", "archive": f"./{archive.name}", "folder": "./made-1.0"}[form]
    with pytest.raises((BuildError, RepositoryError), match=r"made\W+1\.0"):
        here.resolve(f"{line}\n")


@pytest.mark.network
@pytest.mark.parametrize(
    ("before", "code", "hint"),
    [
        ("", "#include <no-such.h>\n", "no-such.h"),
        ("import os; os.environ['CC'] = 'no-such-gcc'", "", "build-essential"),
    ],
)
def test_a_missing_compiler_or_header_has_a_hint(here: Place, before: str, code: str, hint: str) -> None:
    setup = f"{before}\nfrom setuptools import *\nsetup(name='made', version='1.0', ext_modules=[Extension('x', ['x.c'])])\n"
    here.index.add(write_sdist(here.index.files, "made", "1.0", {"setup.py": setup, "x.c": code}))
    with pytest.raises(BuildError) as caught:
        here.resolve("made\n")
    assert hint in (caught.value.hint or ""), caught.value.message


@pytest.mark.network
def test_a_version_that_is_another_is_passed_over(here: Place) -> None:
    files = {**FILES, "setup.py": SETUP.format(extra="").replace("1.0", "9.0")}
    here.index.add(write_sdist(here.index.files, "made", "2.0", files))
    here.index.add(tiny_sdist(here.index.files, "made", "1.0"))
    assert here.built("made\n").version == "1.0"
    files = {**FILES, "setup.py": SETUP.format(extra="").replace('"made"', '"other"', 1)}
    (here.repository / "made").mkdir()
    for name, text in files.items():
        path = here.repository / "wrong" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises(BuildError, match="its build made a wheel of other"):
        here.resolve(f"made @ file://{here.repository}/wrong\n")


@pytest.mark.network
def test_builds_that_require_each_other(here: Place) -> None:
    for one, other in (("made", "other"), ("other", "made")):
        system = f'[build-system]\nrequires = ["{other}"]\nbuild-backend = "x"\n'
        here.index.add(write_sdist(here.index.files, one, "1.0", {"pyproject.toml": system}))
    with pytest.raises(BuildError, match="must be built itself"):
        here.resolve("made\n")


def test_the_environment_is_this_machines_prefix(tmp_path: Path) -> None:
    """The environment that builds run in is one that Python takes for its own."""
    target = python_target()
    folder = tmp_path / "environment"
    entries = list(prefix_entries(target, View({}), prefix=str(folder)[1:]))
    assert shutil.which("python3", path=str(folder)) is None
    assert {entry.path for entry in entries} >= {f"{str(folder)[1:]}/bin/python3", f"{str(folder)[1:]}/pyvenv.cfg"}


@pytest.mark.network
def test_real_packages_that_have_no_wheel(here: Place, tmp_path: Path) -> None:
    """Old and new forms: a zip archive, setup.py alone, a compiled module, a project that carries its own backend."""
    here.is_public = True
    text = "docopt==0.6.2\nwget==3.2\nsgmllib3k==1.0.0\n--no-binary markupsafe,tomli\nmarkupsafe==3.0.2\ntomli==2.0.1\n"
    ours = here.placed(text, tmp_path / "env")
    pips = here.installed_by_pip(text, tmp_path / "env")
    assert len(here.root.ran) == 5
    for found in (ours, pips):  # where pip builds, the compiler writes down another folder
        (library,) = [path for path in found if path.endswith(".so")]
        record = next(path for path in found if path.endswith("RECORD") and "arkup" in path)
        found[library] = found[record] = ("file", 0, "")
    assert ours == pips


# Sources that a line names directly.


TINY = {"PKG-INFO": metadata("made", "1.0"), "pyproject.toml": OWN_BACKEND, "backend.py": BACKEND}


def write_project(folder: Path, files: Mapping[str, str] = TINY) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def git(*arguments: str, folder: Path) -> str:
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A repository with a tag, and its address on loopback."""
    repository = tmp_path / "served/made"
    write_project(repository / "python")
    git("init", "--quiet", "-b", "main", folder=repository)
    git("add", ".", folder=repository)
    git("commit", "--quiet", "-m", "first", folder=repository)
    git("tag", "v1.0", folder=repository)
    (repository / "python/backend.py").write_text(BACKEND.replace('b""', 'b"second = True"'))
    git("commit", "--quiet", "-am", "second", folder=repository)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        "git",
        "daemon",
        "--export-all",
        "--listen=127.0.0.1",
        f"--port={port}",
        f"--base-path={tmp_path}/served",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"GIT_DAEMON_VERBOSE": "1"}) as daemon:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
        yield f"git://127.0.0.1:{port}/made", repository
        daemon.terminate()


@pytest.mark.network
@pytest.mark.parametrize(
    "line",
    [
        ".",
        "./sub",
        "./sub ; python_version > '3'",
        "made @ file://{folder}/sub",
        "./sub/dist/made-1.0.tar.gz",
        "./made.zip",
    ],
)
def test_local_sources(here: Place, tmp_path: Path, line: str) -> None:
    write_project(here.repository)
    write_project(here.repository / "sub")
    dist = here.repository / "sub/dist"
    dist.mkdir()
    write_sdist(dist, "made", "1.0", TINY)
    shutil.make_archive(str(here.repository / "made"), "zip", here.repository / "sub")
    text = line.replace("{folder}", str(here.repository)) + "\n"
    ours = here.placed(text, tmp_path / "env")
    assert not (here.repository / "build").exists(), "the repository itself is not built in"
    assert ours == here.installed_by_pip(text, tmp_path / "env")


@pytest.mark.network
def test_an_archive_by_url(here: Place, tmp_path: Path) -> None:
    archive = write_sdist(tmp_path, "made", "1.0", {f"python/{name}": text for name, text in TINY.items()})
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()

    def answer(request: Request) -> Reply:
        return Reply(body=archive.read_bytes()) if request.path == "/main.tar.gz" else Reply(404)

    with ScriptedServer(answer) as server:
        for line in (
            "{url}/main.tar.gz#subdirectory=python",
            "made @ {url}/main.tar.gz#subdirectory=python&sha256={sha}",
        ):
            text = line.format(url=server.url, sha=digest) + "\n"
            prefix = tmp_path / f"env{len(line)}"
            assert here.placed(text, prefix) == here.installed_by_pip(text, prefix)
        with pytest.raises(RepositoryError, match=r"requirements.txt:1: no file of made==1\.0"):
            here.resolve(f"made @ {server.url}/main.tar.gz#subdirectory=python&sha256={'0' * 64}\n")
        with pytest.raises(NetworkError, match="404"):
            here.resolve(f"{server.url}/other.tar.gz\n")
    assert len(here.root.ran) == 1


@pytest.mark.network
@pytest.mark.parametrize("revision", ["", "@v1.0", "@main", "@{commit}"])
def test_a_checkout(here: Place, tmp_path: Path, git_server: tuple[str, Path], revision: str) -> None:
    url, repository = git_server
    commit = git("rev-parse", "HEAD", folder=repository)
    text = f"made @ git+{url}{revision.format(commit=commit)}#subdirectory=python\n"
    ours = here.placed(text, tmp_path / "env")
    assert ours == here.installed_by_pip(text, tmp_path / "env")
    package = here.built(text)
    wanted = git("rev-parse", "v1.0" if revision == "@v1.0" else "HEAD", folder=repository)
    assert (package.source, package.path) == ("git", f"git+{url}@{wanted}")
    assert len(here.root.ran) == 1


@pytest.mark.network
def test_what_a_package_asks_for_by_url(here: Place, tmp_path: Path) -> None:
    archive = write_sdist(tmp_path, "made", "1.0", TINY)
    with ScriptedServer(lambda _: Reply(body=archive.read_bytes())) as server:
        here.index.add(tiny_sdist(here.index.files, "asking", "1.0", (f"made @ {server.url}/main.tar.gz",)))
        packages = {package.name: package for package in here.resolve("asking\n").packages}
        ours = here.placed("asking\n", tmp_path / "env")
        assert ours == here.installed_by_pip("asking\n", tmp_path / "env")
    assert (packages["made"].source, packages["made"].path) == ("url", f"{server.url}/main.tar.gz")
    assert (packages["made"].why, packages["made"].requested) == (("asking",), False)
    assert here.root.ran[0] == "build wheel asking 1.0"
    here.index.add(tiny_sdist(here.index.files, "bad", "1.0", (f"made @ file://{here.repository}",)))
    with pytest.raises(RepositoryError, match="not in the repository"):
        here.resolve("bad\n")


FROM_TAGS = """
# As setuptools_scm does it, in one line.
import subprocess
from setuptools import setup
assert "url" not in open(".git/config").read()
tag = subprocess.run(["git", "describe", "--tags"], capture_output=True, text=True, check=True).stdout.strip()
setup(name="made", version=tag.replace("-", "+", 1).replace("-", "."), py_modules=[])
"""


@pytest.mark.network
@pytest.mark.parametrize("form", ["folder", "checkout"])
def test_a_version_that_comes_from_tags(here: Place, git_server: tuple[str, Path], form: str) -> None:
    url, served = git_server
    repository = here.repository if form == "folder" else served
    if form == "folder":
        git("init", "--quiet", "-b", "main", folder=repository)
        git("remote", "add", "origin", "https://me:s3cret@127.0.0.1/x", folder=repository)
    write_project(repository, {"setup.py": FROM_TAGS})
    git("add", "--all", folder=repository)
    git("commit", "--quiet", "-m", "one", folder=repository)
    git("tag", "2.5", folder=repository)
    text = ".\n" if form == "folder" else f"git+{url}@main\n"
    assert here.built(text).version == "2.5"
    git("commit", "--quiet", "--allow-empty", "-m", "two", folder=repository)
    version = here.built(text).version
    assert version.startswith("2.5+1.g"), "the same files, and another version"
    if form == "folder":
        assert "s3cret" in (repository / ".git/config").read_text(), "the repository itself is as it was"


# Locks.


@pytest.mark.network
def test_a_lock_is_built_again_elsewhere(tmp_path: Path, seeds: Path) -> None:
    """In the environment that is locked, whatever the index has by then."""
    text = "made\nnested\n./local\n"
    places = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        place = Place(tmp_path / name, seeds)
        write_project(place.repository / "local", {**TINY, "PKG-INFO": metadata("local", "1.0")})
        place.index.add(tiny_sdist(place.index.files, "builder", "1.0"))
        nested = {
            "PKG-INFO": metadata("nested", "1.0"),
            "setup.py": "import builder\nfrom setuptools import setup\nsetup(name='nested', version='1.0')\n",
        }
        nested["pyproject.toml"] = '[build-system]\nrequires = ["setuptools", "builder"]\n'
        place.index.add(write_sdist(place.index.files, "nested", "1.0", nested))
        place.index.add(write_sdist(place.index.files, "made", "1.0", {**FILES, "setup.py": SETUP.format(extra="")}))
        places.append(place)
    first, second = places
    packages = first.resolve(text).packages
    wanted = [package for package in packages if is_built(package)]
    assert {package.name for package in wanted} == {"made", "nested", "local"}
    second.index.add(tiny_sdist(second.index.files, "builder", "2.0"))
    assert second.rebuilt(packages, text) == wanted
    assert len(second.root.ran) == len(first.root.ran)
    assert second.rebuilt(packages, text) == wanted
    assert len(second.root.ran) == len(first.root.ran), "the store has them now"
    write_project(second.repository / "local", {**TINY, "PKG-INFO": metadata("local", "2.0")})
    assert [each.version for each in second.rebuilt(packages, text) if each.name == "local"] == ["2.0"]
    write_project(second.repository / "local", {**TINY, "PKG-INFO": metadata("local", "2.0", ("more",))})
    with pytest.raises(RepositoryError, match=r"\./local.* has other dependencies"):
        second.rebuilt(packages, text)


@pytest.mark.network
def test_a_checkout_of_a_lock(here: Place, tmp_path: Path, seeds: Path, git_server: tuple[str, Path]) -> None:
    url, repository = git_server
    text = f"git+{url}@main#subdirectory=python\n"
    packages = here.resolve(text).packages
    (repository / "python/PKG-INFO").write_text(metadata("made", "3.0"))
    git("commit", "--quiet", "-am", "third", folder=repository)
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other", seeds)
    assert other.rebuilt(packages, text) == [package for package in packages if is_built(package)]
    assert other.built(text).version == "3.0"


# Editable installs.


@pytest.mark.network
@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("-e .", "compiled"),
        ("-e .", "src"),
        ("-e .", "flit"),
        ("-e ./sub[extra]", "setup.py"),
        ("-e ./sub[extra]", "flat"),
    ],
)
def test_an_editable_install_equals_pips(here: Place, tmp_path: Path, line: str, form: str) -> None:
    project = here.repository / ("sub" if "sub" in line else "")
    here.index.add(tiny_sdist(here.index.files, "helper", "1.0"))
    if form == "src":  # found through a .pth file of the folder
        setup = "from setuptools import setup\nsetup(name='made', version='1.0', package_dir={'': 'src'}, packages=['made'], extras_require={'extra': ['helper']})\n"
        write_project(project, {"setup.py": setup, "src/made/__init__.py": ""})
    elif form == "flat":  # found through a module of setuptools' own
        setup = "from setuptools import setup\nsetup(name='made', version='1.0', packages=['made'], package_dir={'made': 'lib'})\n"
        write_project(project, {"setup.py": setup, "lib/__init__.py": "", "other/x.py": ""})
    else:
        write_project(project, {**FILES, **FORMS[form]})
        (project / "run-made").chmod(0o755)
    before = tree(here.repository)
    prefix = tmp_path / "env"
    ours = here.placed(f"{line}\n", prefix)
    assert tree(here.repository) == before, "the repository itself is not written to"
    packages = here.resolve(f"{line}\n").packages
    (package,) = [each for each in packages if is_built(each) and each.name == "made"]
    place = TreePlace("", uid=7, gid=8, modified=9)
    left = {entry.path: entry for entry in editable_entries(packages, here.store, place)}
    pips = here.installed_by_pip(f"{line}\n", prefix)
    after = tree(here.repository)
    del after["requirements.txt"]
    wanted = {path: value for path, value in after.items() if before.get(path) != value and not path.endswith(".o")}
    found = {
        path: ("file", entry.mode, hashlib.sha256(entry.read()).hexdigest())
        for path, entry in left.items()
        if entry.kind is EntryKind.FILE and not path.endswith(".o")
    }
    assert found == wanted
    assert ours == pips
    assert {(entry.uid, entry.gid, entry.modified) for entry in left.values()} <= {(7, 8, 9)}
    assert json.loads(package.fields["direct_url"])["dir_info"] == {"editable": True}


@pytest.mark.network
def test_a_backend_that_cannot_be_editable(here: Place, git_server: tuple[str, Path]) -> None:
    write_project(here.repository)
    with pytest.raises(BuildError, match="has no build_editable"):
        here.resolve("-e .\n")
    with pytest.raises(MachineError, match="only a folder of the repository can be editable"):
        here.resolve(f"-e git+{git_server[0]}#egg=made&subdirectory=python\n")
