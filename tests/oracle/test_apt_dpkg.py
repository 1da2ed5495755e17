"""Installing, upgrading and removing small packages: the tree that this program makes equals dpkg's own."""

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


def test_new_packages(system: DpkgSystem) -> None:
    debs = [
        make_deb("one", files={"usr/bin/one": b"1", "usr/share/one/data": b"x" * 5000, "bin/old-place": b"2"}),
        make_deb(
            "two", "2:1.0-1", fields={"Depends": "one"}, files={"usr/share/two": b"2"}, links={"usr/bin/uno": "one"}
        ),
        make_deb("naïve-name".replace("ï", "i"), files={"usr/share/doc/é": b"non-ASCII"}),
    ]
    ours = system.ours(*debs)
    system.install(*debs)
    assert ours == system.tree()
    assert "usr/bin/old-place" in ours


@pytest.mark.parametrize("codec", ["none", "gzip", "xz", "zstd"])
def test_every_compression(system: DpkgSystem, codec: str) -> None:
    deb = make_deb("one", files={"usr/share/one": os.urandom(300_000)}, codec=codec)
    ours = system.ours(deb)
    if (
        codec == "zstd"
        and b"zstd" not in subprocess.run(["dpkg-deb", "--help"], capture_output=True, check=True).stdout
    ):
        deb = make_deb("one", files={"usr/share/one": b""})  # Debian 12's dpkg can read them; older ones cannot
    system.install(deb)
    assert ours == system.tree()


def conffile_deb(version: str, text: bytes, *, names: tuple[str, ...] = ("etc/one.conf",)) -> MadeDeb:
    return make_deb(
        "one",
        version,
        files={"usr/share/one": version.encode()} | dict.fromkeys(names, text),
        control_files={"conffiles": "".join(f"/{name}\n" for name in names)},
    )


def test_an_unchanged_conffile_is_replaced(system: DpkgSystem) -> None:
    system.install(conffile_deb("1", b"first\n"))
    new = conffile_deb("2", b"second\n")
    ours = system.ours(new)
    system.install(new)
    assert ours == system.tree()
    assert (system.root / "etc/one.conf").read_bytes() == b"second\n"


def test_a_changed_conffile_stays_and_the_new_one_lies_beside_it(system: DpkgSystem) -> None:
    system.install(conffile_deb("1", b"first\n"))
    (system.root / "etc/one.conf").write_bytes(b"mine\n")
    new = conffile_deb("2", b"second\n")
    ours = system.ours(new)
    system.install(new)
    assert ours == system.tree()
    assert (system.root / "etc/one.conf.dpkg-dist").read_bytes() == b"second\n"


def test_a_removed_conffile_stays_away(system: DpkgSystem) -> None:
    system.install(conffile_deb("1", b"first\n"))
    (system.root / "etc/one.conf").unlink()
    new = conffile_deb("2", b"second\n")
    ours = system.ours(new)
    system.install(new)
    assert ours == system.tree()


def test_a_conffile_that_is_not_shipped_any_more_is_obsolete(system: DpkgSystem) -> None:
    system.install(conffile_deb("1", b"first\n", names=("etc/one.conf", "etc/two.conf")))
    new = conffile_deb("2", b"first\n")
    ours = system.ours(new)
    system.install(new)
    assert ours == system.tree()
    assert b"obsolete" in (system.root / "var/lib/dpkg/status").read_bytes()


def test_files_that_the_new_version_lacks_go(system: DpkgSystem) -> None:
    system.install(make_deb("one", "1", files={"usr/share/one/a": b"", "usr/share/one/deep/b": b"", "usr/lib/c": b""}))
    new = make_deb("one", "2", files={"usr/share/one/a": b"new"})
    ours = system.ours(new)
    system.install(new)
    assert ours == system.tree()
    assert "usr/share/one/deep" not in ours


def test_a_file_that_another_package_takes_over(system: DpkgSystem) -> None:
    system.install(make_deb("old", "1", files={"usr/bin/tool": b"old", "usr/share/old": b""}))
    new = make_deb("new", "1", fields={"Replaces": "old (<< 2)"}, files={"usr/bin/tool": b"new"})
    ours = system.ours(new)
    system.install(new)
    assert ours == system.tree()


def test_a_file_that_moves_to_another_package_in_one_run(system: DpkgSystem) -> None:
    system.install(make_deb("old", "1", files={"usr/bin/tool": b"old", "usr/share/old": b""}))
    debs = [
        make_deb("old", "2", files={"usr/share/old": b""}),
        make_deb("new", "1", fields={"Replaces": "old (<< 2)"}, files={"usr/bin/tool": b"new"}),
    ]
    ours = system.ours(*debs)
    system.install(*debs)
    assert ours == system.tree()


def test_one_path_in_two_packages_is_refused_as_by_dpkg(system: DpkgSystem) -> None:
    debs = [make_deb("one", files={"usr/bin/tool": b"1"}), make_deb("two", files={"usr/bin/tool": b"2"})]
    with pytest.raises(BuildError, match=r"/usr/bin/tool is in one=1\.0 all and in two=1\.0 all"):
        system.ours(*debs)
    with pytest.raises(subprocess.CalledProcessError):
        system.install(*debs)


def test_a_path_of_the_base_is_refused_as_by_dpkg(system: DpkgSystem) -> None:
    system.install(make_deb("one", files={"bin/tool": b"1"}))
    two = make_deb("two", files={"usr/bin/tool": b"2"})
    with pytest.raises(BuildError, match=r"/usr/bin/tool is in two=1\.0 all and in one=1\.0, which is in the base"):
        system.ours(two)


def test_a_diversion(system: DpkgSystem) -> None:
    system.install(make_deb("one", files={"usr/bin/tool": b"1"}))
    subprocess.run(
        ["dpkg-divert", "--root", str(system.root), "--package", "one", "--rename", "--add", "/usr/bin/other"],
        check=True,
        capture_output=True,
    )
    two = make_deb("two", files={"usr/bin/other": b"2"})
    ours = system.ours(two)
    system.install(two)
    assert ours == system.tree()
    assert "usr/bin/other.distrib" in ours


def test_an_override(system: DpkgSystem) -> None:
    override = ["dpkg-statoverride", "--root", str(system.root), "--add", "games", "games", "2755", "/usr/bin/tool"]
    subprocess.run(override, check=True, capture_output=True)
    one = make_deb("one", files={"usr/bin/tool": b"1"})
    ours = system.ours(one)
    system.install(one)
    assert ours == system.tree()
    assert ours["usr/bin/tool"][:3] == ("0o102755", 5, 60)


def test_an_unmerged_system(tmp_path: Path) -> None:
    system = DpkgSystem(tmp_path, merged=False)
    deb = make_deb("one", files={"bin/tool": b"1", "usr/bin/other": b"2", "lib/x.so": b"3"})
    ours = system.ours(deb)
    system.install(deb)
    assert ours == system.tree()
    assert "bin/tool" in ours


def test_a_folder_that_is_a_link_in_the_base(system: DpkgSystem) -> None:
    (system.root / "usr/share").mkdir()
    (system.root / "usr/data").mkdir()
    (system.root / "usr/share/linked").symlink_to("../data")
    deb = make_deb("one", files={"usr/share/linked/file": b"1"})
    ours = system.ours(deb)
    system.install(deb)
    assert ours == system.tree()
    assert "usr/data/file" in ours


def test_co_installed_architectures(system: DpkgSystem) -> None:
    debs = [
        make_deb(
            "libone",
            "1.0",
            architecture,
            fields={"Multi-Arch": "same"},
            files={
                f"usr/lib/{architecture}/libone.so": architecture.encode(),
                "usr/share/doc/libone/copyright": b"same",
            },
        )
        for architecture in ("amd64", "i386")
    ]
    ours = system.ours(*debs)
    system.install(*debs)
    assert ours == system.tree()
    assert "var/lib/dpkg/info/libone:i386.list" in ours


def test_co_installed_architectures_must_agree(system: DpkgSystem) -> None:
    debs = [
        make_deb("libone", "1.0", one, fields={"Multi-Arch": "same"}, files={"usr/share/doc/libone": one.encode()})
        for one in ("amd64", "i386")
    ]
    with pytest.raises(BuildError, match="/usr/share/doc/libone is in libone"):
        system.ours(*debs)


def test_triggers(system: DpkgSystem) -> None:
    debs = [
        make_deb("one", control_files={"triggers": "interest-noawait /usr/share/fonts\ninterest update-one\n"}),
        make_deb(
            "two", "1", "amd64", fields={"Multi-Arch": "same"}, control_files={"triggers": "interest /usr/share/x\n"}
        ),
    ]
    ours = system.ours(*debs)
    system.install(*debs)
    assert ours == system.tree()
    assert "var/lib/dpkg/triggers/update-one" in ours


@pytest.mark.parametrize("with_conffile", [False, True])
def test_a_removal(system: DpkgSystem, *, with_conffile: bool) -> None:
    if with_conffile:
        system.install(conffile_deb("1", b"text\n"))
    else:
        system.install(make_deb("one", files={"usr/share/one/a": b"", "usr/bin/one": b""}))
    system.install(make_deb("two", files={"usr/share/two/a": b""}))
    ours = system.ours(removals=("one:all",))
    system.dpkg("--remove", "one")
    assert ours == system.tree()


def test_an_upgrade_keeps_what_it_does_not_touch(system: DpkgSystem) -> None:
    system.install(make_deb("one", "1", files={"usr/share/one": b"1"}), make_deb("two", files={"usr/share/two": b"2"}))
    new = make_deb(
        "one", "2", fields={"Section": "misc", "Homepage": "https://example.org"}, files={"usr/share/one": b"3"}
    )
    ours = system.ours(new)
    system.install(new)
    assert ours == system.tree()
