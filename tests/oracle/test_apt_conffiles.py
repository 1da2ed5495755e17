"""Conffiles as dpkg treats them (deb-conffiles(5)), compared with dpkg: who has changed what, and who owns it."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.apt_repository import MadeDeb, make_deb
from tests.support.dpkg_system import DpkgSystem

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="dpkg needs root to install"),
    pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not here"),
]

PATH = "etc/one.conf"


@pytest.fixture
def system(tmp_path: Path) -> DpkgSystem:
    return DpkgSystem(tmp_path)


def deb(
    version: str = "1",
    text: bytes = b"first\n",
    *,
    name: str = "one",
    mode: int = 0o644,
    conffiles: str = f"/{PATH}\n",
    **fields: str,
) -> MadeDeb:
    """A package with one conffile of this text."""
    return make_deb(
        name,
        version,
        fields=fields,
        files={f"usr/share/{name}": version.encode(), PATH: text},
        owners={PATH: (mode, 0, 0)},
        control_files={"conffiles": conffiles},
    )


def without(version: str = "2", *, name: str = "one", conffiles: str = "", **fields: str) -> MadeDeb:
    """A package that ships no conffile."""
    control = {"conffiles": conffiles} if conffiles else {}
    return make_deb(name, version, fields=fields, files={f"usr/share/{name}": b""}, control_files=control)


def assert_equal_after(system: DpkgSystem, *debs: MadeDeb, removals: tuple[str, ...] = ()) -> None:
    """Let both go on from the same system, and compare."""
    ours = system.ours(*debs, removals=removals)
    for removal in removals:
        system.dpkg("--remove", removal.partition(":")[0])
    if debs:
        system.install(*debs)
    theirs = system.tree()
    assert ours == theirs


@pytest.mark.parametrize("disk", [None, b"first\n", b"second\n", b"mine\n"])
@pytest.mark.parametrize("text", [b"first\n", b"second\n"])
def test_every_combination_of_changes(system: DpkgSystem, disk: bytes | None, text: bytes) -> None:
    system.install(deb())
    path = system.root / PATH
    path.unlink() if disk is None else path.write_bytes(disk)
    assert_equal_after(system, deb("2", text))


@pytest.mark.parametrize("disk", [b"first\n", b"mine\n"])
def test_a_file_that_was_there_before_its_package(system: DpkgSystem, disk: bytes) -> None:
    (system.root / PATH).write_bytes(disk)
    assert_equal_after(system, deb())


@pytest.mark.parametrize("disk", [b"first\n", b"mine\n"])
def test_an_administrator_changed_mode_and_owner(system: DpkgSystem, disk: bytes) -> None:
    system.install(deb())
    path = system.root / PATH
    path.write_bytes(disk)
    path.chmod(0o600)
    os.chown(path, 5, 60)
    assert_equal_after(system, deb("2", b"second\n"))


def test_the_package_changes_the_mode(system: DpkgSystem) -> None:
    system.install(deb())
    assert_equal_after(system, deb("2", b"second\n", mode=0o600))


@pytest.mark.parametrize("disk", [None, b"first\n", b"mine\n"])
def test_a_removed_package_comes_back(system: DpkgSystem, disk: bytes | None) -> None:
    system.install(deb())
    system.dpkg("--remove", "one")
    path = system.root / PATH
    path.unlink() if disk is None else path.write_bytes(disk)
    assert_equal_after(system, deb("2", b"second\n"))


@pytest.mark.parametrize("disk", [None, b"first\n", b"mine\n"])
def test_an_obsolete_conffile(system: DpkgSystem, disk: bytes | None) -> None:
    system.install(deb())
    path = system.root / PATH
    path.unlink() if disk is None else path.write_bytes(disk)
    assert_equal_after(system, without())
    assert_equal_after(system, without("3"))
    assert_equal_after(system, deb("4", b"fourth\n"))


@pytest.mark.parametrize("disk", [None, b"first\n", b"mine\n"])
def test_a_conffile_that_the_new_version_removes(system: DpkgSystem, disk: bytes | None) -> None:
    system.install(deb())
    path = system.root / PATH
    path.unlink() if disk is None else path.write_bytes(disk)
    assert_equal_after(system, without(conffiles=f"remove-on-upgrade /{PATH}\n"))
    assert_equal_after(system, without("3"))


def test_a_new_package_that_would_remove_a_conffile(system: DpkgSystem) -> None:
    assert_equal_after(system, without(conffiles=f"remove-on-upgrade /{PATH}\n"))


@pytest.mark.parametrize("disk", [None, b"first\n", b"mine\n"])
def test_a_conffile_that_moves_to_another_package(system: DpkgSystem, disk: bytes | None) -> None:
    system.install(deb())
    path = system.root / PATH
    path.unlink() if disk is None else path.write_bytes(disk)
    assert_equal_after(system, deb("1", b"second\n", name="two", Replaces="one"))


@pytest.mark.parametrize("disk", [b"first\n", b"mine\n"])
def test_a_conffile_that_moves_while_its_package_is_upgraded(system: DpkgSystem, disk: bytes) -> None:
    system.install(deb())
    (system.root / PATH).write_bytes(disk)
    assert_equal_after(system, without(), deb("1", b"second\n", name="two", Replaces="one (<< 2)"))


def test_an_obsolete_conffile_is_taken_over_without_replaces(system: DpkgSystem) -> None:
    system.install(deb())
    system.install(without())
    assert_equal_after(system, deb("1", b"second\n", name="two"))


@pytest.mark.parametrize("disk", [b"first\n", b"mine\n"])
def test_a_plain_file_becomes_a_conffile(system: DpkgSystem, disk: bytes) -> None:
    system.install(make_deb("one", "1", files={PATH: b"first\n"}))
    (system.root / PATH).write_bytes(disk)
    assert_equal_after(system, deb("2", b"second\n"))


def test_a_conffile_becomes_a_plain_file(system: DpkgSystem) -> None:
    system.install(deb())
    (system.root / PATH).write_bytes(b"mine\n")
    assert_equal_after(system, make_deb("one", "2", files={PATH: b"second\n"}))


def test_a_conffile_behind_a_link(system: DpkgSystem) -> None:
    system.install(deb())
    (system.root / "etc/real.conf").write_bytes(b"mine\n")
    (system.root / PATH).unlink()
    (system.root / PATH).symlink_to("real.conf")
    assert_equal_after(system, deb("2", b"second\n"))


def test_a_link_to_an_unchanged_conffile(system: DpkgSystem) -> None:
    system.install(deb())
    (system.root / PATH).rename(system.root / "etc/real.conf")
    (system.root / PATH).symlink_to("real.conf")
    assert_equal_after(system, deb("2", b"second\n"))


def test_the_fields_of_a_removed_package(system: DpkgSystem) -> None:
    system.install(make_deb("zero"))
    system.install(deb("1:2-3", Depends="zero", Section="misc", Recommends="nothing", Source="src", Essential="no"))
    assert_equal_after(system, removals=("one:all",))
