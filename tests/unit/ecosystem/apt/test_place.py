"""Placing one .deb: what its entries depend on, and what is refused. Results are compared with dpkg's in tests/oracle."""

import dataclasses
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.apt.conffile import BEHIND_LINK, NEW_CONFFILE, FoundConffile
from ocibuild.ecosystem.apt.place import AptPlaceContext, place
from ocibuild.layer.entry import Entry, EntryKind
from tests.support.apt_repository import MadeDeb, compress, make_ar, make_deb

MERGED = AptPlaceContext((("bin", "usr/bin"), ("lib", "usr/lib")))


def locked(name: str = "one", version: str = "1.0", architecture: str = "all") -> LockedPackage:
    return LockedPackage(Ecosystem.APT, name, version, architecture, "debian", "pool/one.deb", Digest.of(b""))


def placed(
    deb: MadeDeb | bytes, tmp_path: Path, context: AptPlaceContext = MERGED, *, package: LockedPackage | None = None
) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """The entries by path, contents taken, and the notes."""
    body = tmp_path / "body.deb"
    body.write_bytes(deb if isinstance(deb, bytes) else deb.data)
    placement = place(package or locked(), body, context)
    entries = [dataclasses.replace(entry, content=entry.read()) for entry in placement.entries]
    assert len({entry.path for entry in entries}) == len(entries)
    return {entry.path: entry for entry in entries}, dict(placement.notes)


def with_data(*members: tarfile.TarInfo) -> bytes:
    """A package with this data archive."""
    buffers = []
    control = tarfile.TarInfo("./control")
    text = b"Package: one\nVersion: 1.0\nArchitecture: all\n"
    control.size = len(text)
    for group in ((control,), members):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for member in group:
                archive.addfile(member, io.BytesIO(text if member is control else bytes(member.size)))
        buffers.append(buffer.getvalue())
    return make_ar(
        [
            ("debian-binary", b"2.0\n"),
            ("control.tar", buffers[0]),
            ("data.tar.xz", compress(buffers[1], "xz")),
        ]
    )


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_entries_and_notes(tmp_path: Path) -> None:
    deb = make_deb(
        "one",
        files={"bin/tool": b"tool", "etc/one.conf": b"text\n", "usr/share/one": b""},
        owners={"bin/tool": (0o4755, 0, 42)},
        control_files={"conffiles": "/etc/one.conf\n", "postinst": "#!/bin/sh\n"},
    )
    entries, notes = placed(deb, tmp_path)
    assert list(entries)[-4:] == [
        f"var/lib/dpkg/info/one.{name}" for name in ("conffiles", "list", "md5sums", "postinst")
    ]
    tool = entries["usr/bin/tool"]
    assert (tool.mode, tool.uid, tool.gid, tool.modified, tool.content) == (0o4755, 0, 42, FIXED_TIME, b"tool")
    assert "bin" not in entries
    assert entries["var/lib/dpkg/info/one.postinst"].mode == 0o755
    assert entries["var/lib/dpkg/info/one.list"].content == (
        b"/.\n/bin\n/etc\n/usr\n/usr/share\n/bin/tool\n/etc/one.conf\n/usr/share/one\n"
    )
    assert json.loads(notes["conffiles"]) == {"/etc/one.conf": "e1cbb0c3879af8347246f12c559a86b5"}
    assert notes["control"].startswith(b"Package: one\n")


def test_files_of_a_co_installable_package(tmp_path: Path) -> None:
    deb = make_deb("one", "1.0", "arm64", fields={"Multi-Arch": "same"})
    entries, _ = placed(deb, tmp_path, package=locked(architecture="arm64"))
    assert "var/lib/dpkg/info/one:arm64.list" in entries


def test_a_package_without_sums(tmp_path: Path) -> None:
    content = member("./usr/share/one")
    content.size = 3 << 20  # streamed, not held
    entries, _ = placed(with_data(content), tmp_path)
    assert entries["var/lib/dpkg/info/one.md5sums"].content == b"d1dd210d6b1312cb342b56d02bd5e651  usr/share/one\n"


def test_each_part_of_the_context_changes_its_key() -> None:
    found = FoundConffile("etc/one", "a", "b", 0o644, 1, 2)
    context = AptPlaceContext((("a", "b"),), (("c", "d"),), ("e",), (found,), (("f", 1, 2, 3),))
    keys = {context.canonical(), AptPlaceContext().canonical()}
    fields = {"links": (), "renamed": (), "left_out": (), "conffiles": (), "overrides": ()}
    assert set(fields) == {field.name for field in dataclasses.fields(AptPlaceContext)}
    keys |= {dataclasses.replace(context, **{name: value}).canonical() for name, value in fields.items()}
    others: dict[str, Any] = {"path": "x", "before": "x", "now": "x", "mode": 9, "uid": 9, "gid": 9}
    assert set(others) == {field.name for field in dataclasses.fields(FoundConffile)}
    for name, value in others.items():
        changed = dataclasses.replace(found, **{name: value})
        keys.add(dataclasses.replace(context, conffiles=(changed,)).canonical())
    assert len(keys) == 2 + len(fields) + len(others)


def test_the_order_in_a_context_does_not_matter() -> None:
    one = AptPlaceContext((("a", "b"), ("c", "d")), left_out=("x", "y"))
    two = AptPlaceContext((("c", "d"), ("a", "b")), left_out=("y", "x"))
    assert one.canonical() == two.canonical()


def test_a_context_s_paths() -> None:
    context = AptPlaceContext((("bin", "usr/bin"), ("usr/bin/sub", "opt/sub")), (("bin/sh", "bin/sh.distrib"),))
    assert context.target("bin/sh") == "usr/bin/sh.distrib"
    assert context.target("usr/bin/sh") == "usr/bin/sh"
    assert context.target("bin/sub/x/y") == "opt/sub/x/y"
    assert context.target("bin") == "bin"
    assert context.target("binary/x") == "binary/x"


def test_links_in_a_circle() -> None:
    with pytest.raises(ImageError, match="in a circle"):
        AptPlaceContext((("a", "a/b"),)).target("a/c")


@pytest.mark.parametrize(
    ("before", "now", "shipped", "target"),
    [
        ("", "", "new", "etc/one"),
        ("", "new", "new", None),
        ("", "mine", "new", "etc/one.dpkg-dist"),
        ("old", "old", "new", "etc/one"),
        ("old", "old", "old", None),
        ("old", "mine", "old", None),
        ("old", "new", "new", None),
        ("old", "mine", "new", "etc/one.dpkg-dist"),
        ("old", "", "old", None),
        ("old", "", "new", "etc/one.dpkg-dist"),
        ("old", BEHIND_LINK, "new", "etc/one.dpkg-new"),
    ],
)
def test_where_a_conffile_goes(before: str, now: str, shipped: str, target: str | None) -> None:
    assert FoundConffile("etc/one", before, now).target(shipped) == target


def test_what_is_recorded_of_a_conffile_behind_a_link() -> None:
    assert FoundConffile("etc/one", "old", BEHIND_LINK).recorded("new") == "old"
    assert FoundConffile("etc/one", "", BEHIND_LINK).recorded("new") == NEW_CONFFILE


def test_conffiles_that_are_not_shipped(tmp_path: Path) -> None:
    deb = make_deb(
        "one", control_files={"conffiles": "/etc/none\nremove-on-upgrade /etc/old\nunknown /etc/x\nrubbish\n"}
    )
    _, notes = placed(deb, tmp_path)
    assert json.loads(notes["conffiles"]) == {"/etc/none": NEW_CONFFILE, "/etc/old": ""}


def test_a_link_that_a_context_names_is_still_placed(tmp_path: Path) -> None:
    deb = make_deb("one", links={"bin": "usr/bin"}, files={"usr/bin/tool": b""})
    entries, _ = placed(deb, tmp_path)
    assert entries["bin"].kind is EntryKind.SYMLINK


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("./dev/null", tarfile.CHRTYPE)], "/dev/null is a device or fifo"),
        ([member("./run/pipe", tarfile.FIFOTYPE)], "/run/pipe is a device or fifo"),
        ([member("./usr/.wh.bin")], r"/usr/\.wh\.bin would hide"),
        ([member("./.wh.usr/file")], r"/\.wh\.usr/file would hide"),
        ([member("./usr/.wh..wh..opq")], "would hide"),
        ([member("./a"), member("./a")], "/a occurs twice"),
        ([member("./a"), member("a", tarfile.SYMTYPE, "b")], "/a occurs twice"),
        ([member("./a", tarfile.LNKTYPE, "./etc/shadow")], "/a shares /etc/shadow, which is not there before it"),
        ([member("./a", tarfile.LNKTYPE, "./b"), member("./b")], "/a shares /b, which is not there before it"),
        ([member("./../a")], "leaves its folder"),
        ([member("./a/../../b")], "leaves its folder"),
        ([member("./a\nb")], "line feed"),
    ],
)
def test_what_no_package_may_hold(members: list[tarfile.TarInfo], said: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=said) as raised:
        placed(with_data(*members), tmp_path)
    assert "one=1.0 all" in str(raised.value)


def test_absolute_names_are_inside_the_image(tmp_path: Path) -> None:
    entries, _ = placed(with_data(member("/usr/share/one")), tmp_path)
    assert "usr/share/one" in entries


@pytest.mark.parametrize(
    "package", [locked("two"), locked(version="1.1"), locked(architecture="amd64")], ids=["name", "version", "for"]
)
def test_another_package_than_the_lock_says(package: LockedPackage, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"the file is one=1\.0 all"):
        placed(make_deb("one"), tmp_path, package=package)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", ".hidden", "a b", "a/b"])
def test_a_name_that_would_lead_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a name"):
        placed(make_deb(name), tmp_path, package=locked(name))


def test_a_conffile_too_large_to_be_one(tmp_path: Path) -> None:
    deb = make_deb("one", files={"etc/one": bytes(33 << 20)}, control_files={"conffiles": "/etc/one\n"}, codec="none")
    with pytest.raises(ImageError, match="the conffile /etc/one has 34603008 bytes"):
        placed(deb, tmp_path)
