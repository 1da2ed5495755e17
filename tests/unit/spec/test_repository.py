import pytest

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.errors import MachineError, RepositoryError
from ocibuild.spec.repository import RepositorySpec, read_repository


def read(files: dict[str, bytes]) -> RepositorySpec:
    def exists(path: str) -> bool:
        return any(name == path or name.startswith(f"{path}/") for name in files)

    return read_repository(files.get, exists=exists)


def test_files_at_the_top() -> None:
    spec = read({"apt.txt": b"git\n", "requirements.txt": b"six\n", "ocibuild.toml": b'base = "scratch"\n'})
    assert spec.apt == (AptAsk("git", Origin("apt.txt", 1)),)
    assert [file.path for file in spec.pip.files] == ["requirements.txt"]
    assert spec.options.base == "scratch"
    assert spec.notices == ()


def test_a_binder_folder_hides_the_files_at_the_top() -> None:
    spec = read({"apt.txt": b"git\n", "binder/requirements.txt": b"six\n", "postBuild": b"#!/bin/sh\n"})
    assert spec.apt == ()
    assert [file.path for file in spec.pip.files] == ["binder/requirements.txt"]


def test_two_binder_folders_are_refused() -> None:
    with pytest.raises(RepositoryError, match="both there"):
        read({"binder/apt.txt": b"", ".binder/apt.txt": b""})


def test_no_configuration_asks_nothing() -> None:
    assert read({"main.py": b""}) == RepositorySpec()


@pytest.mark.parametrize("name", ["environment.yml", "install.R", "Pipfile"])
def test_what_cannot_be_built_is_refused_by_name(name: str) -> None:
    with pytest.raises(MachineError, match=name):
        read({name: b"x", "apt.txt": b"git"})


def test_what_is_ignored_is_told() -> None:
    (notice,) = read({"Dockerfile": b"FROM x"}).notices
    assert notice.startswith("Dockerfile: ")
