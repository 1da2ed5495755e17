"""The Python environment equals the one that this machine's own ``python3 -m venv`` makes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import packaging
import pytest

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.place import PipPlaceContext, place
from ocibuild.ecosystem.pip.prefix import prefix_entries, prefix_interpreter, seed_requirements
from ocibuild.ecosystem.pip.resolve import resolve
from ocibuild.ecosystem.pip.target import PythonTarget, find_python
from ocibuild.image.view import View, ViewEntry
from ocibuild.layer.entry import Entry, EntryKind
from tests.support.downloads import download

PYTHON = Path("/usr/bin/python3")

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no /usr/bin/python3 to compare with")


def host_view() -> View:
    """This machine's Python, as a view of an image that holds it."""
    facts = "import sys, os; print(os.path.realpath(sys.executable)); print(os.path.dirname(os.__file__))"
    executable, library = subprocess.run(
        [PYTHON, "-I", "-c", facts], capture_output=True, text=True, check=True
    ).stdout.split()
    paths = [Path("/usr/bin/python3"), Path(executable), Path(library) / "os.py", Path("/var/lib/dpkg/status")]
    paths += [path for path in (Path(library) / "venv/scripts").rglob("*") if path.is_file()]
    paths += list(Path("/lib").glob("*/libc.so.6"))
    entries = {}
    for path in paths:
        if path.is_symlink() and path != Path(executable):
            entries[str(path)[1:]] = ViewEntry("symlink", 0o777, link=str(path.readlink()))
        elif path.exists():
            entries[str(path)[1:]] = ViewEntry("file", path.stat().st_mode & 0o7777)
    return View(entries, read_content=lambda path, _: Path(f"/{path}").read_bytes())


@pytest.fixture(scope="module")
def view() -> View:
    return host_view()


@pytest.fixture(scope="module")
def target(view: View) -> PythonTarget:
    found = find_python(view, path="/usr/bin", platform=Platform.parse(os.uname().machine))
    assert found is not None
    return found


def test_the_target_is_what_python_says_of_itself(target: PythonTarget) -> None:
    code = "import platform, json; print(json.dumps([platform.python_version(), platform.libc_ver()[1], platform.machine()]))"
    said = subprocess.run([PYTHON, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    libc = f"{target.libc.major}.{target.libc.minor}"
    assert said.strip() == f'["{target.version}", "{libc}", "{target.platform.machine}"]'


def test_tags_and_markers_are_those_of_packaging_here(target: PythonTarget) -> None:
    code = "from packaging.tags import sys_tags; print(*sys_tags())"
    folder = Path(packaging.__file__).parent.parent
    environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(
        [PYTHON, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout.split()
    assert [str(tag) for tag in target.tags()] == said
    code = "from packaging.markers import default_environment as d; import json; print(json.dumps(d()))"
    text = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
    said_markers = json.loads(text)
    for unknowable in ("platform_release", "platform_version"):
        said_markers[unknowable] = ""
    assert dict(target.environment()) == said_markers


def test_the_tree_equals_venvs(tmp_path: Path, view: View, target: PythonTarget) -> None:
    folder = tmp_path / "env"
    done = subprocess.run([PYTHON, "-m", "venv", "--without-pip", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine's python3 has no venv: {done.stdout}")
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    entries = {entry.path: entry for entry in prefix_entries(target, view, prefix=str(folder)[1:], uid=5, gid=6)}
    assert {(entry.uid, entry.gid) for entry in entries.values()} == {(5, 6)}
    real = {str(path)[1:] for path in [folder, *folder.rglob("*")]}
    assert entries.keys() == real
    for name, entry in entries.items():
        path = Path(f"/{name}")
        if entry.kind is EntryKind.SYMLINK:
            assert str(path.readlink()) == entry.link
        elif entry.kind is EntryKind.DIRECTORY:
            assert path.is_dir()
        else:
            wanted = path.read_bytes()
            if path.name == "pyvenv.cfg":
                wanted = wanted.replace(b" --without-pip", b"")  # pip comes as a package: see the module's docstring
            assert entry.read() == wanted, name
            assert entry.mode == path.stat().st_mode & 0o7777


@pytest.mark.network
def test_an_environment_with_packages_works(tmp_path: Path, view: View, target: PythonTarget) -> None:
    """Written to disk it is an environment that Python, the programs in it, and pip itself take for their own."""
    folder = tmp_path / "env"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    environment = kept | {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    asks = PipAsks(
        files=(RequirementsFile("requirements.txt", "pandas\nrequests[socks]\nipykernel\n"),),
        requirements=seed_requirements(target),
    )
    resolution = resolve(
        asks, target, IndexSettings(), folder=tmp_path, cache_folder=tmp_path / "uv", environment=environment
    )
    write(prefix_entries(target, view, prefix=str(folder)[1:]))
    bodies = download(resolution, tmp_path)
    for package in resolution.packages:
        context = PipPlaceContext(
            prefix=str(folder)[1:], python_version=target.minor_version,
            interpreter=prefix_interpreter(target, str(folder)[1:]), requested=package.requested,
        )  # fmt: skip
        write(place(package, bodies[package.name], context).entries)

    def run(*arguments: str) -> str:
        program, *rest = arguments
        return subprocess.run(
            [folder / "bin" / program, *rest], capture_output=True, text=True, check=True, env=environment
        ).stdout

    assert run("python", "-c", "import numpy, pandas, requests, zmq; print(pandas.Series([1, 2]).sum())").strip() == "3"
    assert run("jupyter-kernelspec", "list")
    assert "No broken requirements" in run("pip", "check")
    listed = {
        item["name"].lower().replace("_", "-"): item["version"]
        for item in json.loads(run("pip", "list", "--format=json"))
    }
    assert listed == {package.name: package.version for package in resolution.packages}
    inspected = json.loads(run("pip", "inspect"))["installed"]
    top = {item["metadata"]["name"].lower() for item in inspected if item["requested"]}
    assert {"pandas", "requests", "ipykernel", "pip"} <= top
    assert "numpy" not in top
    run("pip", "uninstall", "--yes", "pandas", "ipykernel")
    left = {path.name.partition("-")[0].lower() for path in folder.rglob("*.dist-info")}
    assert not left & {"pandas", "ipykernel"}
    assert not list(folder.rglob("pandas"))


def write(entries: Iterable[Entry]) -> None:
    for entry in entries:
        path = Path(f"/{entry.path}")
        if entry.kind is EntryKind.DIRECTORY:
            path.mkdir(parents=True, exist_ok=True)
        elif entry.kind is EntryKind.SYMLINK:
            path.symlink_to(entry.link)
        else:
            path.write_bytes(b"".join(entry.chunks()))
            path.chmod(entry.mode)


def test_an_environment_without_templates_works(tmp_path: Path, view: View, target: PythonTarget) -> None:
    folder = tmp_path / "an env"
    known = {path: view.get(path) for path in view if "venv" not in path}
    bare = View({path: found for path, found in known.items() if found})
    write(prefix_entries(target, bare, prefix=str(folder)[1:]))
    script = f". '{folder}/bin/activate' && python -c 'import sys; print(sys.prefix, sys.version.split()[0])'"
    said = subprocess.run(["/bin/sh", "-euc", script], capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"{folder} {target.version}"
    direct = subprocess.run(
        [prefix_interpreter(target, str(folder)[1:]), "-c", "import site; print(site.getsitepackages()[0])"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert direct.strip() == f"{folder}/lib/python{target.minor_version}/site-packages"
