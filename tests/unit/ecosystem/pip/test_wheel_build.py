"""The step that builds a wheel, its frontend run by this Python, and answers of builds that nothing is believed of."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.errors import BuildError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.build_system import BuildSystem, read_build_system
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.ecosystem.pip.wheel_build import build_failure, read_answer, wheel_step, write_request
from tests.support.made_projects import BACKEND, metadata

TARGET = PythonTarget(
    "3.11.2", "/usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11", Platform(), Libc("glibc", 2, 36)
)
SOURCE = PythonSource(SourceKind.ARCHIVE, name="made", version="1.0", is_of_index=True)
OWN = BuildSystem((), "backend", (".",))
PROJECT = {"pyproject.toml": "", "backend.py": BACKEND, "PKG-INFO": metadata("made", "1.0")}


def run(
    folder: Path, system: BuildSystem = OWN, source: PythonSource = SOURCE, *, archive: str = "", **more: Any
) -> Any:
    """Run the frontend with this Python as the step would."""
    write_request(folder, source, system, requires=(), archive=archive, build_folder=str(folder), **more)
    return subprocess.run(
        [sys.executable, folder / "build_frontend.py", folder / "request.json"],
        capture_output=True,
        text=True,
        check=False,
    )


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


# The step.


def test_the_step_has_nothing_of_this_machine() -> None:
    step = wheel_step(SOURCE, TARGET, environment={"PATH": "/opt/bin", "HOME": "/home/me", "LANGUAGE": "de"})
    assert step.name == "build wheel made 1.0"
    assert step.arguments[0] == "/tmp/ocibuild-wheel/environment/bin/python3"
    assert not step.network
    assert step.environment["PATH"] == "/tmp/ocibuild-wheel/environment/bin:/opt/bin"
    assert step.environment["HOME"] == "/tmp/ocibuild-wheel/home"
    assert step.environment["LANGUAGE"] == "de"
    assert step.environment["SOURCE_DATE_EPOCH"] == "315532800"
    assert not set(step.environment) & (
        set(os.environ)
        - {"PATH", "HOME", "LANG", "LC_ALL", "LANGUAGE", "TMPDIR", "VIRTUAL_ENV"}
        - {name for name in os.environ if name.startswith("PYTHON")}
    )


# The frontend.


def test_a_wheel_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "source", PROJECT)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    wheel = read_answer(tmp_path, SOURCE).wheel
    assert wheel is not None
    assert wheel.name == "made-1.0-py3-none-any.whl"


def test_settings_and_requirements_of_a_backend(tmp_path: Path) -> None:
    backend = BACKEND + (
        "\ndef get_requires_for_build_wheel(config_settings=None):\n"
        "    print('asked with', config_settings)\n    return ['cython', 'six>1']\n"
    )
    write(tmp_path / "source", {**PROJECT, "backend.py": backend})
    source = PythonSource(SourceKind.FOLDER, local_path=".", settings=(("a", "1"), ("b", "2"), ("a", "3")))
    done = run(tmp_path, source=source)
    assert done.returncode == 0, done.stderr
    assert "asked with {'a': ['1', '3'], 'b': '2'}" in done.stdout
    assert read_answer(tmp_path, source).requires == ("cython", "six>1")


def archive_of(tmp_path: Path, names: list[str], kind: str) -> str:
    """An archive of the project under these names."""
    files = dict(zip(names, PROJECT.values(), strict=True))
    path = tmp_path / "source-archive"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    else:
        with tarfile.open(path, kind) as tar:  # type: ignore[call-overload]
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
    (tmp_path / "source").mkdir()
    return path.name


@pytest.mark.parametrize("kind", ["w:gz", "w:bz2", "w:xz", "w", "zip"])
@pytest.mark.parametrize("prefix", ["made-1.0/", "", "./made-1.0/"])
def test_archives(tmp_path: Path, kind: str, prefix: str) -> None:
    if kind == "zip" and prefix.startswith("./"):
        prefix = "other/"
    archive = archive_of(tmp_path, [prefix + name for name in PROJECT], kind)
    done = run(tmp_path, archive=archive)
    assert done.returncode == 0, done.stderr
    assert read_answer(tmp_path, SOURCE).wheel is not None
    assert sorted(path.name for path in (tmp_path / "source").iterdir() if path.name != "__pycache__") == sorted(
        PROJECT
    )


@pytest.mark.parametrize("kind", ["w:gz", "zip"])
def test_an_archive_that_leaves_its_folder(tmp_path: Path, kind: str) -> None:
    names = [f"made/{name}" for name in PROJECT]
    archive = archive_of(tmp_path, ["made/../../../evil", *names[1:]], kind)
    done = run(tmp_path, archive=archive)
    assert done.returncode
    assert not (tmp_path.parent / "evil").exists()
    assert "leaves it" in done.stderr


def test_executable_files_stay_so(tmp_path: Path) -> None:
    for kind in ("tar", "zip"):
        folder = tmp_path / kind
        (folder / "source").mkdir(parents=True)
        if kind == "tar":
            with tarfile.open(folder / "source-archive", "w") as tar:
                for name, mode in (("made/setup.py", 0o600), ("made/run", 0o4777)):
                    member = tarfile.TarInfo(name)
                    member.mode = mode
                    tar.addfile(member)
        else:
            with zipfile.ZipFile(folder / "source-archive", "w") as archive:
                for name, mode in (("made/setup.py", 0o600), ("made/run", 0o777)):
                    info = zipfile.ZipInfo(name)
                    info.external_attr = (0o100000 | mode) << 16
                    archive.writestr(info, b"")
        run(folder, archive="source-archive")
        assert (folder / "source/run").stat().st_mode & 0o7777 == 0o755
        assert not (folder / "source/setup.py").stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (BuildSystem((), "backend", ("../..",)), "leads out of the source"),
        (BuildSystem((), "missing"), "No module named 'missing'"),
        (BuildSystem((), "os:path"), "has no build_wheel"),
    ],
)
def test_backends_that_are_none(tmp_path: Path, system: BuildSystem, message: str) -> None:
    write(tmp_path / "source", PROJECT)
    done = run(tmp_path, system)
    assert done.returncode
    assert message in done.stderr
    with pytest.raises(BuildError, match="no answer"):
        read_answer(tmp_path, SOURCE)


def test_the_frontend_runs_on_old_pythons() -> None:
    """Nothing newer than Python 3.8 is in it, as far as syntax goes."""
    import ast  # noqa: PLC0415 - here alone

    from ocibuild.ecosystem.pip import build_frontend  # noqa: PLC0415 - it is no module of the program

    ast.parse(Path(build_frontend.__file__).read_text(), feature_version=(3, 8))


# Answers.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "7",
        '{"wheel": 3}',
        '{"wheel": "../x.whl"}',
        '{"wheel": "a.txt"}',
        '{"requires": [1]}',
        '{"wheel": "gone.whl"}',
        "[" * 99999,
    ],
)
def test_answers_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output/result.json").write_text(text)
    with pytest.raises(BuildError, match=r"made 1\.0"):
        read_answer(tmp_path, SOURCE)


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "result.json").write_text(json.dumps({"wheel": "a.whl"}))
    (secret / "a.whl").write_bytes(b"")
    (tmp_path / "one/output").mkdir(parents=True)
    (tmp_path / "one/output/result.json").symlink_to(secret / "result.json")
    (tmp_path / "two/output").mkdir(parents=True)
    (tmp_path / "two/output/result.json").write_text(json.dumps({"wheel": "a.whl"}))
    (tmp_path / "two/output/a.whl").symlink_to(secret / "a.whl")
    (tmp_path / "three").mkdir()
    (tmp_path / "three/output").symlink_to(secret)
    (tmp_path / "four/output").mkdir(parents=True)
    os.mkfifo(tmp_path / "four/output/result.json")
    for name in ("one", "two", "three", "four"):
        with pytest.raises(BuildError, match=r"made 1\.0"):
            read_answer(tmp_path / name, SOURCE)


def test_failures_show_the_end_and_what_helps() -> None:
    output = (
        "\n".join(f"line {number}" for number in range(500))
        + "\nx.c:1:10: fatal error: Python.h: No such file or directory\n"
    )
    error = build_failure(SOURCE, 1, output, log=Path("/store/logs/x.log"))
    assert "line 499" in error.message
    assert "\x1b" not in error.message
    assert "line 100\n" not in error.message
    assert error.hint is not None
    assert "python3-dev" in error.hint
    assert "/store/logs/x.log" in error.hint


# The build system.


def test_build_systems() -> None:
    legacy = BuildSystem(("setuptools>=40.8.0",), "setuptools.build_meta:__legacy__")
    assert read_build_system(None, where="x") == legacy
    assert read_build_system("[project]\nname='x'\n", where="x") == legacy
    text = '[build-system]\nrequires = ["flit_core >=3", "wheel"]\nbuild-backend = "flit_core.buildapi"\nbackend-path = ["."]'
    assert read_build_system(text, where="x") == BuildSystem(("flit_core >=3", "wheel"), "flit_core.buildapi", (".",))
    unnamed = read_build_system('[build-system]\nrequires = ["cython"]', where="x")
    assert unnamed == BuildSystem(("cython", "setuptools>=40.8.0"), "setuptools.build_meta:__legacy__")
    named = read_build_system('[build-system]\nrequires = ["Setuptools>60"]', where="x")
    assert named.requires in (("Setuptools>60",), ("Setuptools>60", "setuptools>=40.8.0"))


@pytest.mark.parametrize(
    "text",
    ["[", "build-system = 3", "[build-system]", "[build-system]\nrequires = 'x'", "[build-system]\nrequires = ['==']",
     "[build-system]\nrequires = []\nbuild-backend = 3", "[build-system]\nrequires = []\nbackend-path = 'x'"],
)  # fmt: skip
def test_build_systems_that_are_none(text: str) -> None:
    with pytest.raises(BuildError, match="there"):
        read_build_system(text, where="there")
