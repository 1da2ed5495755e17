"""Repositories as Binder has them: built in its profile, started as its images are, and asked."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Program
from tests.rigs.containers import ENVIRONMENT, restricted_pod
from tests.rigs.seccomp import docker_profile
from tests.support.jupyter_image import asked, serving

pytestmark = [pytest.mark.network, pytest.mark.slow]

SIX = (
    "sha256:1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926",
    "sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254",
)
PROJECT = '[project]\nname = "rain"\nversion = "1.5"\ndescription = "Rain"\n[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
PIPFILE_LOCK = json.dumps({"default": {"six": {"version": "==1.16.0", "hashes": SIX}}, "develop": {}})
UV_LOCK = f"""\
version = 1
[[package]]
name = "rain"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "six" }}]
[[package]]
name = "six"
version = "1.16.0"
source = {{ registry = "https://pypi.org/simple" }}
sdist = {{ url = "https://example.org/six", hash = "{SIX[0]}" }}
wheels = [{{ url = "https://example.org/six", hash = "{SIX[1]}" }}]
"""
SIX_VERSION = 'python -c "import six; print(six.__version__)"'


@dataclass(frozen=True)
class Case:
    """A repository, the options of its build, and what a shell in its image answers."""

    files: Mapping[str, str | bytes]
    script: str
    answer: str
    options: tuple[str, ...] = ()
    folder: str = "/home/jovyan"


CASES = {
    "nothing": Case({"README.md": "hi"}, "cat README.md; node --version | cut -c1-3; id -un", "hiv24\njovyan\n"),
    "requirements": Case({"requirements.txt": "six==1.16.0\n"}, SIX_VERSION, "1.16.0\n"),
    "utf-16": Case({"requirements.txt": "\ufeffsix==1.16.0\n".encode("utf-16-le")}, SIX_VERSION, "1.16.0\n"),
    "older notebook": Case({"requirements.txt": "notebook<7\n"}, "jupyter notebook --version | cut -d. -f1", "6\n"),
    "older jupyterlab": Case({"requirements.txt": "jupyterlab<4\n"}, "jupyter lab --version | cut -d. -f1", "3\n"),
    "older dependency": Case(
        {"requirements.txt": "tornado==6.4\n"}, 'python -c "import tornado; print(tornado.version)"', "6.4\n"
    ),
    "Pipfile": Case({"Pipfile": '[packages]\nsix = "==1.16.0"\n'}, SIX_VERSION, "1.16.0\n"),
    "checkout": Case(
        {"a.txt": "a", ".git": b""},
        "git status --porcelain --untracked-files=no; git log --format=%s; git remote get-url origin; whoami",
        "first\nhttps://example.org/a.git\njovyan\n",
    ),
    "Pipfile.lock": Case({"Pipfile.lock": PIPFILE_LOCK, "Pipfile": "[packages]\nsix = '*'\n"}, SIX_VERSION, "1.16.0\n"),
    "uv.lock": Case({"uv.lock": UV_LOCK, "pyproject.toml": "[project]\nname='rain'\nversion='1'\n"}, SIX_VERSION, "1.16.0\n"),
    "apt.txt": Case({"apt.txt": "jq  # reads JSON\n\ntree\n"}, "echo '{}' | jq -c . && tree --version | cut -c1-4", "{}\ntree\n"),
    "another place": Case(
        {"a.txt": "a", "data/b.txt": "b", ".dockerignore": "data\n"},
        'pwd; ls; echo "$REPO_DIR $HOME"; touch new',
        "/srv/repo\na.txt\n/srv/repo /home/jovyan\n",
        ("--target-repo-dir", "/srv/repo"),
        folder="/srv/repo",
    ),
    "another user": Case(
        {"a.txt": "a"},
        "id -un; id -u; pwd; stat -c %u /srv/npm /srv/conda/envs/notebook",
        "alice\n1234\n/home/alice\n1234\n1234\n",
        ("--user-name", "alice", "--user-id", "1234"),
        folder="/home/alice",
    ),
    "composed": Case(
        {"Dockerfile": "FROM x\n", "Pipfile": '[packages]\nsix = "==1.16.0"\n', "requirements.txt": "idna\n"},
        SIX_VERSION + " && python -c 'import idna'",
        "1.16.0\n",
        ("--compose",),
    ),
    # Code runs while these are built: their images have compilers, and share a root.
    "appendix": Case(
        {"a.txt": "a"},
        'cat /etc/appended; echo "$BINDER_URL"; id -un',
        "root\nhttps://binder.example.org\njovyan\n",
        ("--appendix", "USER root\nENV BINDER_URL=https://binder.example.org\nRUN id -un > /etc/appended\nUSER $NB_USER\n"),
    ),
    "start and postBuild": Case(
        {
            "binder/start": '#!/bin/bash\nexport FROM_START="$PWD"\nexec "$@"\n',
            "binder/postBuild": '#!/bin/bash\nset -e\ngcc --version >/dev/null\necho "$NB_USER $REPO_DIR" > built\n',
            "requirements.txt": "not a requirement\n",
        },
        'cat built; echo "$FROM_START"; stat -c %U built',
        "jovyan /home/jovyan\n/home/jovyan\njovyan\n",
    ),
    "package": Case(
        {"pyproject.toml": PROJECT, "rain.py": '"""Rain."""\n__version__ = "1.5"\n'},
        "cd / && python -c 'import rain; print(rain.__version__)'",
        "1.5\n",
    ),
    "local references": Case(
        {
            "requirements.txt": "-r more.txt\n-e .\n",
            "more.txt": "idna\n",
            "pyproject.toml": PROJECT,
            "rain.py": '"""Rain."""\n__version__ = "1.5"\n',
            "notes.txt": "private",
            ".containerignore": "*.txt\n!more.txt\n",
        },
        "ls *.txt; cd / && python -c 'import idna, rain; print(rain.__file__)'",
        "more.txt\n/home/jovyan/rain.py\n",
    ),
    "runtime.txt": Case({"runtime.txt": "python-3.13"}, "python --version | cut -d. -f1,2", "Python 3.13\n"),
}  # fmt: skip


TOP = Path(__file__).parents[2]
POD_USER = 1000
NOT_IN_THE_POD = ("utf-16", "package", "local references", "runtime.txt")
"""What would take as long again as all others, for wheels that are built and another base."""
IN_THE_POD = [title for title in CASES if title not in NOT_IN_THE_POD]


@dataclass(frozen=True)
class Built:
    """A case whose image is in the store: what it was made of, and what it is."""

    name: str
    case: Case
    source: Path
    lock: Path
    digest: str

    @property
    def image(self) -> str:
        return f"localhost/{self.name}"


class Images:
    """The images of all cases, each built when it is first asked for."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._built: dict[str, Built] = {}

    def image(self, title: str) -> Built:
        if title not in self._built:
            name, case = title.replace(" ", "-").lower(), CASES[title]
            source, lock = self._folder / "sources" / name, self._folder / "locks" / name
            lock.parent.mkdir(exist_ok=True)
            for path, content in case.files.items():
                if path == ".git":
                    _commit(source)
                    continue
                (source / path).parent.mkdir(parents=True, exist_ok=True)
                (source / path).write_bytes(content.encode() if isinstance(content, str) else content)
            words: list[str | Path] = ["--profile", "binder", "-t", f"localhost/{name}", "--lock", lock, *case.options]
            self._built[title] = Built(name, case, source, lock, self._program.result("build", source, *words))
        return self._built[title]


def _commit(folder: Path) -> None:
    """Make the folder a checkout of what is in it, whose address holds a credential."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["commit", "-q", "-m", "first"],
        ["remote", "add", "origin", "https://me:secret@example.org/a.git"],
    ):
        subprocess.run([*git, *words], check=True)


@pytest.fixture(scope="module")
def images(warm: Program, tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(warm, tmp_path_factory.mktemp("binder"))


@pytest.fixture(params=CASES)
def built(images: Images, request: pytest.FixtureRequest) -> Built:
    return images.image(request.param)


def test_a_shell_in_the_image(warm: Program, built: Built) -> None:
    assert warm.result("run", built.image, "bash", "-c", built.case.script) + "\n" == built.case.answer


@pytest.mark.parametrize("title", ["nothing", "start and postBuild", *NOT_IN_THE_POD])
def test_jupyter_answers(warm: Program, images: Images, title: str) -> None:
    """The restricted pod below asks the others: the same images, in the least of all places."""
    with serving(images.image(title).image, warm.whole_environment()) as port:
        assert "version" in json.loads(asked(port))


@pytest.mark.parametrize("title", ["nothing", "older notebook", "older jupyterlab"])
def test_jupyterhub_can_start_it(warm: Program, images: Images, title: str) -> None:
    built = images.image(title)
    (report,) = json.loads(warm.result("inspect", "--json", built.image))
    assert report["working_folder"] == built.case.folder
    assert warm.result("run", built.image, "jupyterhub-singleuser", "--version").startswith("5.")


def test_what_deviates_from_the_catalogue_is_told(warm: Program, images: Images) -> None:
    built = images.image("older notebook")
    said = warm.run("plan", built.source, "--profile", "binder").stderr  # of what was resolved before
    assert re.search(r"note: notebook 6\.[0-9.]+ is taken, and not 7\.[0-9.]+, which a layer prefers\n", said)
    assert "a layer prefers" not in warm.run("plan", images.image("nothing").source, "--profile", "binder").stderr


def test_nothing_is_left_behind(warm: Program, images: Images) -> None:
    image = images.image("nothing").image
    listed = warm.result("run", "-u", "root", "--entrypoint", "", image, "ls", "-A", "/tmp", "/root", "/home/jovyan")
    assert listed.split() == ["/home/jovyan:", "README.md", "/root:", ".bashrc", ".profile", "/tmp:"]


def _shared(program: Program, built: Built, kind: str) -> dict[str, str]:
    (report,) = json.loads(program.result("inspect", "--json", built.image))
    return {layer["name"]: layer["digest"] for layer in report["layers"] if layer["name"].startswith(f"{kind}, shared")}


def test_images_share_the_layers_of_the_catalogue(warm: Program, images: Images) -> None:
    debs, wheels = (_shared(warm, images.image("nothing"), kind) for kind in ("apt", "pip"))
    assert len(debs) >= 2
    assert len(wheels) >= 4
    for title in ("apt.txt", "another place", "package", "appendix"):
        assert (title, _shared(warm, images.image(title), "pip")) == (title, wheels)
    for title in ("apt.txt", "another place", "requirements", "older notebook"):
        assert (title, _shared(warm, images.image(title), "apt")) == (title, debs)
    older = _shared(warm, images.image("older dependency"), "pip")  # one wheel, and nothing that depends on its version
    assert older.keys() == wheels.keys()
    assert 0 < sum(older[name] != wheels[name] for name in wheels) <= 2


CACHED = """
import importlib.util, six, struct
header = open(importlib.util.cache_from_source(six.__file__), "rb").read(16)
print(struct.unpack("<I", header[4:8])[0], header[8:] == importlib.util.source_hash(open(six.__file__, "rb").read()))
"""


@pytest.mark.parametrize("python", ["3.11", "3.13"], ids=["of this machine", "of the image"])
def test_modules_are_compiled(warm: Program, tmp_path: Path, python: str) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")
    words = ("--profile", "plain", "--python", python, "-t", f"localhost/compiled:{python}")
    warm.result("build", tmp_path, *words, "--bytecode")
    assert warm.result("run", f"localhost/compiled:{python}", "python", "-c", CACHED) == "1 True"
    (report,) = json.loads(warm.result("inspect", f"localhost/compiled:{python}", "--json"))
    assert warm.result("build", tmp_path, *words, "--no-bytecode") != report["digest"]


@pytest.fixture(scope="module")
def answers_in_the_pod(
    images: Images, warm: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, Any]]]:
    """What every case gives where a restricted pod builds it as uid 1000, from its packages and its lock, and runs it."""
    folder = tmp_path_factory.mktemp("pod")
    for above in (folder, *list(folder.parents)[:3]):
        above.chmod(above.stat().st_mode | 0o055)
    work = folder / "work"
    cases = [images.image(title) for title in IN_THE_POD]
    (work / "store/blobs/sha256").mkdir(parents=True)
    for digest in {digest for each in cases for digest in _digests(json.loads(each.lock.read_text("utf-8")))}:
        package = warm.store / "blobs/sha256" / digest
        if package.exists():
            shutil.copy(package, work / "store/blobs/sha256")
    for part in ("sources", "locks"):
        shutil.copytree(cases[0].source.parents[1] / part, work / part)
    asked_for = []
    for each in cases:
        options = ["--profile", "binder", "--lock", f"locks/{each.name}", "--locked", *each.case.options]
        asked_for.append({"name": each.name, "folder": f"sources/{each.name}", "options": options})
    (work / "cases.json").write_text(json.dumps(asked_for))
    for path in (work, *work.rglob("*")):
        os.chown(path, POD_USER, POD_USER)
    cache = os.environ.get("OCIBUILD_TEST_CACHE")
    done = restricted_pod(
        [sys.executable, "-m", "tests.support.jupyter_image", "cases.json"],
        work=work,
        scratch=folder / "rig",
        profile=docker_profile(Path(cache) if cache else folder),
        environment={**ENVIRONMENT, "PYTHONPATH": str(TOP)},
        user=POD_USER,
    )
    assert done.returncode == 0, done.stderr
    yield {answer["name"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    shutil.rmtree(folder)


def _digests(value: Any) -> Iterator[str]:
    """The digests of all packages in a lock."""
    if isinstance(value, dict):
        if isinstance(value.get("sha256"), str):
            yield value["sha256"]
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        yield from _digests(item)


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a place where less is allowed")
@pytest.mark.skipif(shutil.which("runc") is None, reason="runc is not installed")
@pytest.mark.parametrize("title", IN_THE_POD)
def test_a_restricted_pod_makes_and_runs_it(
    answers_in_the_pod: dict[str, dict[str, Any]], images: Images, title: str
) -> None:
    built = images.image(title)
    told = answers_in_the_pod[built.name]
    assert told["digest"] == built.digest
    assert "version" in told["answer"]
