import pytest

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.errors import MachineError, RepositoryError
from ocibuild.spec.detection import Buildpack
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.repository import RepositorySpec, read_repository, refuse_unsupported

BINDER = BuildOptions(profile="binder")
LOCK = b"""\
lock-version = "1.0"
[[packages]]
name = "six"
version = "1.16.0"
"""
PROJECT = b'[project]\nname = "a"\nrequires-python = ">=3.12"\n[build-system]\n'


def read(files: dict[str, bytes], said: BuildOptions | None = None) -> RepositorySpec:
    def is_folder(path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in files)

    return read_repository(files.get, is_folder=is_folder, said=said)


def test_files_at_the_top() -> None:
    spec = read({"apt.txt": b"git\n", "requirements.txt": b"six\n", "ocibuild.toml": b'base = "scratch"\n'})
    assert spec.apt == (AptAsk("git", Origin("apt.txt", 1)),)
    assert [file.path for file in spec.pip.files] == ["requirements.txt"]
    assert spec.options.base == "scratch"
    assert spec.notices == ()


def test_a_binder_folder_hides_the_files_at_the_top() -> None:
    spec = read({"apt.txt": b"git\n", "binder/requirements.txt": b"six\n", "postBuild": b"#!/bin/sh\n"})
    assert (spec.apt, spec.post_build, spec.config_folder) == ((), None, "binder")
    assert [file.path for file in spec.pip.files] == ["binder/requirements.txt"]


def test_a_file_named_binder_hides_nothing() -> None:
    assert read({"binder": b"", "apt.txt": b"git\n"}).apt


def test_two_binder_folders_are_refused() -> None:
    with pytest.raises(RepositoryError, match="both there"):
        read({"binder/apt.txt": b"", ".binder/apt.txt": b""})


def test_no_configuration_asks_nothing() -> None:
    assert read({"main.py": b""}) == RepositorySpec()
    refuse_unsupported(read({"main.py": b""}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Project.toml", b""),
        ("REQUIRE", b""),
        ("default.nix", b""),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(name: str, content: bytes) -> None:
    spec = read({name: content, "apt.txt": b"git"})
    with pytest.raises(MachineError, match="this version cannot build") as caught:
        refuse_unsupported(spec)
    assert caught.value.exit_code == 4
    assert spec.apt or spec.buildpack is Buildpack.DOCKERFILE


def test_a_dockerfile_decides_in_the_profile_of_binder_alone() -> None:
    files = {"Dockerfile": b"FROM x", "requirements.txt": b"six\n"}
    (notice,) = read(files, BuildOptions(profile="plain")).notices
    assert notice.startswith("Dockerfile: ")
    binder = read(files, BINDER)
    assert (binder.buildpack, binder.pip.files) == (Buildpack.DOCKERFILE, ())
    with pytest.raises(MachineError, match="it is a Dockerfile"):
        refuse_unsupported(binder)
    composed = read(files, BuildOptions(profile="binder", compose=True))
    assert composed.pip.files
    assert composed.notices[0].startswith("Dockerfile: its instructions are not followed")
    refuse_unsupported(composed)


def test_a_dockerfile_of_the_first_binder_is_named() -> None:
    with pytest.raises(RepositoryError, match=r"Dockerfile:2: .*first form"):
        read({"Dockerfile": b"\nFROM andrewosh/binder-base\n"}, BINDER)


def test_the_first_kind_decides_and_the_rest_is_told() -> None:
    files = {"environment.yml": b"dependencies: [python=3.12]", "requirements.txt": b"six\n", "install.R": b""}
    spec = read(files)
    assert spec.conda is not None
    assert (spec.pip.files, spec.r.script) == ((), None)
    assert (spec.python.version, str(spec.python.origin)) == ("3.12", "environment.yml:1")
    assert [notice.partition(":")[0] for notice in spec.notices] == ["requirements.txt", "install.R"]


def test_compose_adds_up_all_files() -> None:
    files = {
        "environment.yml": b"dependencies: [numpy]",
        "requirements.txt": b"six\n",
        "Pipfile": b'[packages]\nidna = "*"\n',
        "install.R": b"",
        "DESCRIPTION": b"Package: x",
        "pyproject.toml": PROJECT,
        "ocibuild.toml": b"compose = true\n",
    }
    spec = read(files)
    assert spec.conda is not None
    assert [file.path for file in spec.pip.files] == ["requirements.txt", "Pipfile"]
    assert (spec.r.script, spec.r.description) == ("install.R", "DESCRIPTION")
    assert (spec.python.specifier, spec.project.package) == (">=3.12", Origin("pyproject.toml", 1))
    assert not [notice for notice in spec.notices if "not used" in notice]


@pytest.mark.parametrize(
    ("files", "version", "preferred"),
    [
        ({"runtime.txt": b"python-3.9"}, "3.9", False),
        ({"runtime.txt": b"python-3"}, "3", False),
        ({"runtime.txt": b"python-3.9", ".python-version": b"3.12"}, "3.9", False),
        ({".python-version": b"3.12.1\n"}, "3.12", True),
        ({".python-version": b"pypy3.10\n"}, "", False),
        ({"environment.yml": b"dependencies: [python=3.12.1]", ".python-version": b"3.13"}, "3.12", False),
        ({"Pipfile": b"[requires]\npython_version='3.10'", "runtime.txt": b"python-3.9"}, "3.10", False),
        ({"Pipfile": b"", "runtime.txt": b"python-3.9"}, "", False),
        ({"runtime.txt": b"python-2025-06-22"}, "", False),
        ({"requirements.txt": b""}, "", False),
    ],
)
def test_which_python(files: dict[str, bytes], version: str, preferred: bool) -> None:  # noqa: FBT001 - a parameter
    spec = read(files)
    assert (spec.python.version, spec.python.is_preference) == (version, preferred)


@pytest.mark.parametrize("version", ["3.10.1", "three", "3.x", "3."])
def test_a_python_that_cannot_be_asked_for(version: str) -> None:
    with pytest.raises(RepositoryError, match=r"runtime\.txt:1: "):
        read({"runtime.txt": f"python-{version}".encode()})


def test_a_lock_counts_without_requirements() -> None:
    assert [file.path for file in read({"pylock.toml": LOCK}).pip.files] == ["pylock.toml"]
    spec = read({"pylock.toml": LOCK, "requirements.txt": b"six\n"})
    assert [file.path for file in spec.pip.files] == ["requirements.txt"]
    assert spec.notices[0].startswith("pylock.toml: not used")


def test_an_old_poetry_lock_is_told() -> None:
    spec = read({"poetry.lock": b'[metadata]\nlock-version = "2.0"\n'})
    assert spec.pip.files == ()
    assert "before Poetry 2" in spec.notices[0]


def test_a_package_of_the_repository() -> None:
    spec = read({"pyproject.toml": PROJECT}, BINDER)
    assert spec.project.package == Origin("pyproject.toml", 1)
    assert spec.notices == ()
    assert (
        read({"pyproject.toml": PROJECT}, BuildOptions(profile="plain"))
        .notices[0]
        .startswith("pyproject.toml: the package itself")
    )
    assert read({"pyproject.toml": PROJECT, "binder/apt.txt": b""}).project.package is None


def test_start_and_what_is_ignored() -> None:
    files = {"binder/start": b"", "binder/postBuild": b"", "binder/.dockerignore": b"data\n", ".dockerignore": b"*"}
    spec = read(files, BINDER)
    assert (spec.start, spec.post_build) == ("binder/start", "binder/postBuild")
    assert spec.ignored.ignores("data/a")
    assert not spec.ignored.ignores("other")
