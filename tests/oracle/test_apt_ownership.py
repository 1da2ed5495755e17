"""Who owns a path when packages meet: Replaces, diversions, links, architectures, removals; compared with dpkg."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ocibuild.core.errors import BuildError
from tests.support.apt_repository import MadeDeb, make_deb
from tests.support.dpkg_system import DpkgSystem

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="dpkg needs root to install"),
    pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not here"),
]


@pytest.fixture
def system(tmp_path: Path) -> DpkgSystem:
    return DpkgSystem(tmp_path)


def divert(system: DpkgSystem, path: str, *, package: str, rename: bool = True) -> None:
    """Divert a path: by this package, or locally for ``""``."""
    owner = ["--package", package] if package else ["--local"]
    how = "--rename" if rename else "--no-rename"
    command = ["dpkg-divert", "--root", str(system.root), *owner, how, "--add", path]
    subprocess.run(command, check=True, capture_output=True)


def assert_equal_after(system: DpkgSystem, *debs: MadeDeb, removals: tuple[str, ...] = ()) -> None:
    """Let both go on from the same system, and compare."""
    ours = system.ours(*debs, removals=removals)
    if removals:
        system.dpkg("--remove", *(removal.removesuffix(":all") for removal in removals))
    if debs:
        system.install(*debs)
    theirs = system.tree()
    assert ours == theirs


# Replaces


def test_the_base_s_package_keeps_what_it_replaces(system: DpkgSystem) -> None:
    system.install(make_deb("new", fields={"Replaces": "old"}, files={"usr/bin/tool": b"new"}))
    assert_equal_after(system, make_deb("old", files={"usr/bin/tool": b"old", "usr/share/old": b""}))


def test_replaces_of_another_version_is_a_conflict(system: DpkgSystem) -> None:
    system.install(make_deb("old", "2", files={"usr/bin/tool": b"old"}))
    new = make_deb("new", fields={"Replaces": "old (<< 2)"}, files={"usr/bin/tool": b"new"})
    with pytest.raises(BuildError, match="/usr/bin/tool is in new"):
        system.ours(new)
    with pytest.raises(subprocess.CalledProcessError):
        system.install(new)


def test_a_link_replaces_a_file(system: DpkgSystem) -> None:
    system.install(make_deb("old", files={"usr/bin/tool": b"old", "usr/share/old": b""}))
    assert_equal_after(system, make_deb("new", fields={"Replaces": "old"}, links={"usr/bin/tool": "other"}))


def test_hard_links(system: DpkgSystem) -> None:
    old = make_deb("one", "1", files={"usr/bin/tool": b"1"}, hard_links={"usr/bin/uno": "usr/bin/tool"})
    assert_equal_after(system, old)
    new = make_deb("one", "2", files={"bin/tool": b"2"}, hard_links={"usr/bin/due": "bin/tool"})
    assert_equal_after(system, new)


def test_owners_and_modes(system: DpkgSystem) -> None:
    deb = make_deb(
        "one",
        files={"usr/bin/tool": b"1", "usr/bin/plain": b"2", "var/games/score": b""},
        owners={"usr/bin/tool": (0o4755, 0, 60), "var/games": (0o2775, 0, 60), "var/games/score": (0o664, 5, 60)},
    )
    assert_equal_after(system, deb)


def test_an_existing_folder_keeps_its_mode(system: DpkgSystem) -> None:
    (system.root / "var/games").mkdir(mode=0o700)
    assert_equal_after(system, make_deb("one", files={"var/games/score": b""}, owners={"var/games": (0o2775, 0, 60)}))


# Diversions


def test_a_package_s_own_diversion_does_not_move_its_file(system: DpkgSystem) -> None:
    system.install(make_deb("two", files={"usr/bin/tool": b"2"}))
    divert(system, "/usr/bin/tool", package="one")
    assert_equal_after(system, make_deb("one", files={"usr/bin/tool": b"1"}))
    assert_equal_after(system, make_deb("two", "2", files={"usr/bin/tool": b"3", "usr/share/two": b""}))


def test_a_local_diversion(system: DpkgSystem) -> None:
    divert(system, "/usr/bin/tool", package="")
    assert_equal_after(system, make_deb("one", files={"usr/bin/tool": b"1"}))
    assert_equal_after(system, make_deb("one", "2", files={"usr/bin/tool": b"2"}))
    assert_equal_after(system, make_deb("one", "3", files={"usr/share/one": b"3"}))


def test_a_diverted_file_is_removed_where_it_lies(system: DpkgSystem) -> None:
    system.install(make_deb("one", files={"usr/bin/tool": b"1"}))
    divert(system, "/usr/bin/tool", package="")
    (system.root / "usr/bin/tool").write_bytes(b"mine")
    assert_equal_after(system, removals=("one:all",))


@pytest.mark.parametrize("diverted", ["/bin/tool", "/usr/bin/tool"])
@pytest.mark.parametrize("shipped", ["bin/tool", "usr/bin/tool"])
def test_diversions_do_not_see_through_merged_usr(system: DpkgSystem, diverted: str, shipped: str) -> None:
    divert(system, diverted, package="", rename=False)
    assert_equal_after(system, make_deb("one", files={shipped: b"1"}))


def test_a_hard_link_to_a_diverted_file(system: DpkgSystem) -> None:
    divert(system, "/usr/bin/tool", package="")
    deb = make_deb("one", files={"usr/bin/tool": b"1"}, hard_links={"usr/bin/uno": "usr/bin/tool"})
    assert_equal_after(system, deb)


@pytest.mark.parametrize("overridden", ["/bin/tool", "/usr/bin/tool"])
def test_overrides_do_not_see_through_merged_usr(system: DpkgSystem, overridden: str) -> None:
    command = ["dpkg-statoverride", "--root", str(system.root), "--add", "games", "games", "2755", overridden]
    subprocess.run(command, check=True, capture_output=True)
    assert_equal_after(system, make_deb("one", files={"bin/tool": b"1", "usr/bin/other": b""}))


# Links and folders


def test_a_link_does_not_replace_a_folder(system: DpkgSystem) -> None:
    system.install(make_deb("one", files={"usr/share/one/data": b""}))
    assert_equal_after(system, make_deb("two", links={"usr/share/one": "two"}))


def test_a_link_does_not_replace_a_folder_of_the_old_version(system: DpkgSystem) -> None:
    system.install(make_deb("one", "1", files={"usr/share/one/data": b"", "usr/share/other": b""}))
    assert_equal_after(system, make_deb("one", "2", files={"usr/share/other": b""}, links={"usr/share/one": "two"}))


def test_a_folder_that_is_a_link_of_another_package(system: DpkgSystem) -> None:
    linking = make_deb("a-link", files={"usr/share/real/one": b""}, links={"usr/share/linked": "real"})
    inside = make_deb("b-inside", files={"usr/share/linked/two": b""})
    assert_equal_after(system, linking, inside)
    assert_equal_after(system, make_deb("b-inside", "2", files={"usr/share/linked/three": b""}))


def test_a_link_that_leads_elsewhere_in_the_new_version(system: DpkgSystem) -> None:
    for name in ("first", "second"):
        (system.root / "usr" / name).mkdir()
    system.install(make_deb("a-link", "1", files={"usr/a": b""}, links={"usr/linked": "first"}))
    new = make_deb("a-link", "2", files={"usr/a": b""}, links={"usr/linked": "second"})
    assert_equal_after(system, new, make_deb("b-inside", files={"usr/linked/two": b""}))


def test_a_removed_package_s_folder_that_is_a_link_stays(system: DpkgSystem) -> None:
    (system.root / "usr/share").mkdir()
    (system.root / "usr/data").mkdir()
    (system.root / "usr/share/linked").symlink_to("../data")
    system.install(make_deb("one", files={"usr/share/linked/file": b"1", "usr/share/plain/file": b""}))
    assert_equal_after(system, removals=("one:all",))


def test_an_upgraded_package_s_folder_that_is_a_link_stays(system: DpkgSystem) -> None:
    (system.root / "usr/share").mkdir()
    (system.root / "usr/data").mkdir()
    (system.root / "usr/share/linked").symlink_to("../data")
    system.install(make_deb("one", "1", files={"usr/share/linked/file": b"1", "usr/share/plain/file": b""}))
    assert_equal_after(system, make_deb("one", "2", files={"usr/share/plain/other": b""}))


def test_a_file_becomes_a_folder(system: DpkgSystem) -> None:
    system.install(make_deb("one", "1", files={"usr/share/one": b""}))
    assert_equal_after(system, make_deb("one", "2", files={"usr/share/one/data": b""}))


def test_a_file_moves_through_merged_usr(system: DpkgSystem) -> None:
    system.install(make_deb("one", "1", files={"bin/tool": b"1", "lib/one.so": b""}))
    assert_equal_after(system, make_deb("one", "2", files={"usr/bin/tool": b"2", "usr/lib/one.so": b""}))
    assert_equal_after(system, removals=("one:all",))


# Architectures


def shared(architecture: str, version: str = "1.0", *, text: bytes = b"same", **files: bytes) -> MadeDeb:
    return make_deb(
        "libone",
        version,
        architecture,
        fields={"Multi-Arch": "same"},
        files={f"usr/lib/{architecture}/libone.so": b"", "usr/share/doc/libone/copyright": text, **files},
    )


def test_a_second_architecture(system: DpkgSystem) -> None:
    system.install(shared("amd64"))
    assert_equal_after(system, shared("i386"))
    assert_equal_after(system, shared("amd64", "2.0", text=b"new"), shared("i386", "2.0", text=b"new"))
    assert_equal_after(system, removals=("libone:amd64",))
    assert_equal_after(system, removals=("libone:i386",))


def test_a_second_architecture_must_agree_with_the_base(system: DpkgSystem) -> None:
    system.install(shared("amd64"))
    with pytest.raises(BuildError, match="/usr/share/doc/libone/copyright is in libone"):
        system.ours(shared("i386", text=b"other"))
    with pytest.raises(subprocess.CalledProcessError):
        system.install(shared("i386", text=b"other"))


def test_a_new_architecture(tmp_path: Path) -> None:
    system = DpkgSystem(tmp_path)
    (system.root / "var/lib/dpkg/arch").write_text("amd64\n")
    deb = shared("i386")
    ours = system.ours(deb)
    subprocess.run(["dpkg", "--root", str(system.root), "--add-architecture", "i386"], check=True)
    system.install(deb)
    assert ours == system.tree()


# Removals


def test_a_removed_package_gives_way(system: DpkgSystem) -> None:
    system.install(make_deb("old", files={"usr/bin/tool": b"old", "usr/share/old/data": b""}))
    new = make_deb("new", fields={"Conflicts": "old"}, files={"usr/bin/tool": b"new"})
    assert_equal_after(system, new, removals=("old:all",))


def test_a_shared_folder_stays_while_another_package_has_it(system: DpkgSystem) -> None:
    system.install(
        make_deb("one", files={"usr/share/both/one": b""}), make_deb("two", files={"usr/share/both/two": b""})
    )
    assert_equal_after(system, removals=("one:all",))
    assert_equal_after(system, removals=("two:all",))


def test_a_folder_with_foreign_files_stays(system: DpkgSystem) -> None:
    system.install(make_deb("one", files={"usr/share/one/data": b""}))
    (system.root / "usr/share/one/mine").write_bytes(b"")
    assert_equal_after(system, removals=("one:all",))


def test_a_removed_package_with_a_script_to_run_later(system: DpkgSystem) -> None:
    system.install(
        make_deb("one", files={"usr/share/one/data": b""}, control_files={"triggers": "interest /usr/share/x\n"})
    )
    system.install(make_deb("two", control_files={"triggers": "interest /usr/share/x\ninterest named\n"}))
    assert_equal_after(system, removals=("one:all",))
    assert_equal_after(system, removals=("two:all",))


def test_triggers_of_an_upgraded_package(system: DpkgSystem) -> None:
    system.install(
        make_deb("one", "1", control_files={"triggers": "interest /usr/share/x\ninterest named\ninterest gone\n"}),
        make_deb("two", "1", control_files={"triggers": "interest-noawait /usr/share/x\ninterest-noawait named\n"}),
    )
    control = {"triggers": "# comment\n\ninterest-noawait /usr/share/x\ninterest named\nactivate-noawait other\n"}
    assert_equal_after(system, make_deb("one", "2", control_files=control))


def test_a_removed_package_that_comes_back(system: DpkgSystem) -> None:
    deb = make_deb(
        "one", files={"etc/one.conf": b"", "usr/share/one": b""}, control_files={"conffiles": "/etc/one.conf\n"}
    )
    system.install(deb)
    system.dpkg("--remove", "one")
    assert_equal_after(system, make_deb("one", "2", files={"usr/share/one": b""}))
