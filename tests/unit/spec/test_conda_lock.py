"""Locks of conda packages in a repository: which one counts, and beside what."""

import pytest

from ocibuild.core.errors import RepositoryError
from ocibuild.spec.detection import Buildpack
from ocibuild.spec.repository import RepositorySpec, read_repository

LIST = "# platform: linux-64\n@EXPLICIT\nhttps://host/c/linux-64/a-1-0.conda#" + "0" * 64 + "\n"


def read(files: dict[str, str]) -> RepositorySpec:
    return read_repository(lambda path: files[path].encode() if path in files else None, is_folder=lambda _: False)


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        ({"conda-lock.yml": "", "pixi.lock": ""}, ["conda-lock.yml"]),
        ({"pixi.lock": "", "conda-linux-64.lock": LIST}, ["pixi.lock"]),
        ({"conda-linux-64.lock": LIST, "conda-linux-aarch64.lock": LIST}, ["conda-linux-64.lock", "conda-linux-aarch64.lock"]),
        ({"explicit.txt": LIST, "spec-file.txt": LIST}, ["explicit.txt"]),
    ],
)  # fmt: skip
def test_which_lock_counts(files: dict[str, str], paths: list[str]) -> None:
    spec = read(files)
    assert spec.buildpack is Buildpack.CONDA
    assert spec.conda is not None
    assert [lock.path for lock in spec.conda.asks.locks] == paths
    assert {lock.subdir for lock in spec.conda.asks.locks} <= {"", "linux-64", "linux-aarch64"}


def test_a_lock_says_what_environment_yml_asks_for() -> None:
    spec = read({"environment.yml": "dependencies: [numpy, {pip: [six]}]\nvariables: {A: b}\n", "pixi.lock": "x"})
    assert spec.conda is not None
    asks = spec.conda.asks
    assert (asks.packages, [lock.path for lock in asks.locks], asks.variables) == ((), ["pixi.lock"], (("A", "b"),))
    assert spec.notices == ("pixi.lock: is what conda packages are taken from; environment.yml is not solved",)


@pytest.mark.parametrize("other", [{"requirements.txt": "six"}, {"Pipfile": ""}, {"runtime.txt": "r-2025-06-22"}])
def test_what_binder_takes_comes_before_a_lock_alone(other: dict[str, str]) -> None:
    spec = read({"pixi.lock": "", **other})
    assert spec.buildpack is not Buildpack.CONDA
    if "requirements.txt" in other or "Pipfile" in other:
        assert spec.conda is None
        assert "pixi.lock: not read" in spec.notices


def test_a_list_that_is_none() -> None:
    with pytest.raises(RepositoryError, match=r"explicit\.txt: no list of conda packages"):
        read({"explicit.txt": "numpy\n"})
