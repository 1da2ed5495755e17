"""What of a machine decides whether a build that was made before is the one that is asked for."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from ocibuild.core.events import discard
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.build import read_request
from ocibuild.work.source import Source

_NOTHING: Mapping[str, str] = MappingProxyType({})
_INDEX = {"PIP_INDEX_URL": "https://index.example.org/simple"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "apt.txt").write_text("git\n")
    (folder / "requirements.txt").write_text("idna\n")
    return folder


def key(folder: Path, environment: Mapping[str, str] = _NOTHING, *, said: BuildOptions | None = None) -> str:
    """The key of the request in a home folder without settings, and with these variables."""
    (folder.parent / "home").mkdir(exist_ok=True)
    variables = {"HOME": str(folder.parent / "home"), **environment}
    store = Store.at(folder.parent / "store")
    return read_request(
        Source.at(folder), said or BuildOptions(), store=store, environment=variables, events=discard
    ).key


@pytest.mark.parametrize(
    "name", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_FIND_LINKS", "UV_NO_INDEX"]
)
def test_another_index_is_another_build(repository: Path, name: str) -> None:
    assert key(repository) == key(repository)
    assert key(repository, {name: "1"}) != key(repository)


def test_settings_in_a_file_count(repository: Path) -> None:
    before = key(repository)
    (repository.parent / "home/.config/pip").mkdir(parents=True)
    (repository.parent / "home/.config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://index.example.org/simple\n"
    )
    assert key(repository) != before


def test_what_a_constraint_file_holds_counts(repository: Path, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("idna<3\n")
    before = key(repository, {"PIP_CONSTRAINT": str(constraints)})
    constraints.write_text("idna<4\n")
    assert key(repository, {"PIP_CONSTRAINT": str(constraints)}) != before


@pytest.mark.parametrize("name", ["OCIBUILD_APT_MIRROR", "OCIBUILD_APT_SECURITY_MIRROR", "OCIBUILD_APT_SNAPSHOT"])
def test_a_mirror_holds_the_same_archive(repository: Path, name: str) -> None:
    assert key(repository, {name: "http://mirror.example.org/debian"}) == key(repository)
    assert key(repository, said=BuildOptions(apt_mirror="http://mirror.example.org/debian")) == key(repository)


def test_indexes_do_not_matter_where_nothing_is_asked_of_them(repository: Path) -> None:
    (repository / "requirements.txt").unlink()
    plain = BuildOptions(profile="plain")  # the other one asks for Jupyter
    assert key(repository, _INDEX, said=plain) == key(repository, said=plain)
    assert key(repository, _INDEX) != key(repository)


def test_a_lock_says_it_all(repository: Path, tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("{}")
    said = BuildOptions(lock=str(lock), locked=True)
    assert key(repository, _INDEX, said=said) == key(repository, said=said)
    assert key(repository, said=said) != key(repository)
