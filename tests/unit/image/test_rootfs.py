import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.errors import BuildError, ImageError, UsageError
from ocibuild.image.rootfs import Unpacked, write_rootfs
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry, EntryKind
from tests.support.made_images import MadeImage, raw_tar, replace_config

ROOT = os.geteuid() == 0


def tree(folder: Path) -> dict[str, str]:
    """Path -> what it is: content, link text, or ``/`` for a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_text()
    return found


def unpack(tmp_path: Path, *layers: list[Entry]) -> dict[str, str]:
    write_rootfs(MadeImage(layers).source(), tmp_path / "root")
    return tree(tmp_path / "root")


@pytest.mark.parametrize("compression", list(Compression))
def test_layers_are_laid_over_each_other(tmp_path: Path, compression: Compression) -> None:
    layers = [
        [
            Entry.directory("etc"),
            Entry.file("etc/a", b"1", mode=0o600),
            Entry.file("etc/b", b"1"),
            Entry.directory("data"),
            Entry.file("data/old", b"1"),
            Entry.file("data/kept", b"1"),
            Entry.symlink("link", "etc/a"),
            Entry("hard", EntryKind.HARDLINK, 0o600, link="etc/a"),
            Entry.directory("dir"),
            Entry.file("dir/x", b"1"),
            Entry.directory("opaque"),
            Entry.file("opaque/x", b"1"),
        ],
        [
            Entry.file("etc/b", b"2"),
            Entry.whiteout("data/old"),
            Entry.file("dir", b"now a file"),
            Entry.file("opaque/y", b"2"),
            Entry.file("opaque/.wh..wh..opq", b""),
            Entry.directory("link"),
            Entry.whiteout("nothing"),
        ],
    ]
    report = write_rootfs(MadeImage(layers, compression).source(), tmp_path / "root")
    assert tree(tmp_path / "root") == {
        "data": "/",
        "data/kept": "1",
        "dir": "now a file",
        "etc": "/",
        "etc/a": "1",
        "etc/b": "2",
        "hard": "1",
        "link": "/",
        "opaque": "/",
        "opaque/y": "2",
    }
    assert (tmp_path / "root/hard").stat().st_ino == (tmp_path / "root/etc/a").stat().st_ino
    assert report == Unpacked(with_owners=ROOT)


def test_a_whiteout_hides_nothing_of_its_own_layer(tmp_path: Path) -> None:
    below = [Entry.directory("d"), Entry.file("d/old", b"1")]
    above = [Entry.directory("d"), Entry.file("d/new", b"2"), Entry.whiteout("d")]
    assert unpack(tmp_path, below, above) == {"d": "/", "d/new": "2"}


def test_modes_times_and_owners(tmp_path: Path) -> None:
    entries = [
        Entry.file("suid", b"x", mode=0o4755, uid=12, gid=34),
        Entry.directory("closed", mode=0o500, uid=12, gid=34),
        Entry.file("closed/file", b"x", mode=0o440),
        Entry.directory("sticky", mode=0o1777),
        Entry.file("implied/file", b"x"),
        Entry.symlink("link", "suid", uid=12, gid=34),
    ]
    unpack(tmp_path, entries)
    root = tmp_path / "root"
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in root.iterdir() if not path.is_symlink()}
    assert modes == {"suid": 0o4755, "closed": 0o500, "sticky": 0o1777, "implied": 0o755}
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    assert {path.lstat().st_mtime for path in (root / "suid", root / "closed", root / "link")} == {315532800}
    if ROOT:
        assert {(s.st_uid, s.st_gid) for s in map(os.lstat, (root / "suid", root / "closed", root / "link"))} == {
            (12, 34)
        }


def test_devices_are_not_made_and_told(tmp_path: Path) -> None:
    raw = bytearray(raw_tar([Entry.file("null", b""), Entry.file("after", b"x")]))
    raw[156:157] = b"3"
    total = sum(raw[:512]) - sum(raw[148:156]) + 8 * 0x20
    raw[148:156] = b"%06o\0 " % total
    report = write_rootfs(MadeImage([[]], raw={0: bytes(raw)}).source(), tmp_path / "root")
    assert report.skipped == ("null",)
    assert tree(tmp_path / "root") == {"after": "x"}


@pytest.mark.parametrize(
    "layers",
    [
        [[Entry.symlink("out", "{outside}"), Entry.file("out/evil", b"x")]],
        [[Entry.symlink("out", "{outside}")], [Entry.file("out/evil", b"x")]],
        [[Entry.symlink("out", "../../../../../../{outside}"), Entry.file("out/evil", b"x")]],
        [[Entry.symlink("a", "{outside}"), Entry.symlink("b", "a"), Entry.file("b/evil", b"x")]],
        [[Entry.symlink("out", "{outside}"), Entry.directory("out/evil")]],
        [[Entry.symlink("out", "{outside}"), Entry.symlink("out/evil", "x")]],
        [
            [
                Entry.file("f", b"x"),
                Entry.symlink("out", "{outside}"),
                Entry("out/evil", EntryKind.HARDLINK, 0o644, link="f"),
            ]
        ],
        [[Entry.symlink("evil", "{outside}/victim"), Entry.file("evil", b"x")]],
        [[Entry.symlink("out", "{outside}")], [Entry.whiteout("out/victim")]],
        [[Entry.symlink("out", "{outside}")], [Entry.file("out/.wh..wh..opq", b"")]],
        [[Entry.symlink("evil", "{outside}/victim"), Entry.directory("evil", mode=0o777)]],
    ],
)
def test_nothing_outside_is_touched(tmp_path: Path, layers: list[list[Entry]]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("intact")
    before = (tree(outside), outside.stat().st_mode, (outside / "victim").stat().st_mode)

    def placed(entry: Entry) -> Entry:
        return (
            Entry.symlink(entry.path, entry.link.format(outside=outside)) if entry.kind is EntryKind.SYMLINK else entry
        )

    write_rootfs(MadeImage([[placed(entry) for entry in entries] for entries in layers]).source(), tmp_path / "root")
    assert (tree(outside), outside.stat().st_mode, (outside / "victim").stat().st_mode) == before


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [Entry.symlink("out", "/etc/passwd"), Entry("h", EntryKind.HARDLINK, 0o644, link="out/../passwd")],
            "leaves|no file",
        ),
        ([Entry("h", EntryKind.HARDLINK, 0o644, link="etc/passwd")], "no file of the image"),
        ([Entry.directory("d"), Entry("h", EntryKind.HARDLINK, 0o644, link="d")], "no file of the image"),
        ([Entry.file("f", b""), Entry.file("f/x", b"")], "no folder"),
        ([Entry.symlink("a", "b"), Entry.symlink("b", "a"), Entry.file("a/x", b"")], "too many symbolic links"),
        ([Entry.file("n" * 300, b"")], "too long"),
    ],
)
def test_what_cannot_be_unpacked_is_named_and_nothing_stays(tmp_path: Path, entries: list[Entry], message: str) -> None:
    with pytest.raises((ImageError, BuildError), match=message):
        write_rootfs(MadeImage([entries]).source(), tmp_path / "root")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change", [{"mtime": 1e30}, {"uid": 1 << 70}, {"name": "d/", "type": tarfile.DIRTYPE, "mtime": 1e30}]
)
def test_owners_and_times_beyond_all_file_systems_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    if "uid" in change and not ROOT:
        pytest.skip("owners are set by root only")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("file")
        for name, value in change.items():
            setattr(member, name, value)
        archive.addfile(member)
    with pytest.raises(ImageError, match="no file system holds"):
        write_rootfs(MadeImage([[]], raw={0: data.getvalue()}).source(), tmp_path / "root")
    assert list(tmp_path.iterdir()) == []


def test_extended_attributes_are_set_or_told(tmp_path: Path) -> None:
    entry = Entry("f", EntryKind.FILE, 0o644, size_bytes=1, content=b"x", attributes={"user.note": b"1"})
    refused = Entry("g", EntryKind.FILE, 0o644, size_bytes=1, content=b"x", attributes={"nonsense": b"1"})
    report = write_rootfs(MadeImage([[entry, refused]]).source(), tmp_path / "root")
    assert "g" in report.without_attributes
    if "f" not in report.without_attributes:  # the file system of the tests may have none
        assert os.getxattr(tmp_path / "root/f", "user.note") == b"1"


def test_a_wrong_layer_leaves_nothing(tmp_path: Path) -> None:
    source = MadeImage([[Entry.file("a", b"x")]]).source()
    replace_config(source, lambda config: config["rootfs"].update(diff_ids=["sha256:" + "0" * 64]))
    with pytest.raises(ImageError, match="diff_id"):
        write_rootfs(source, tmp_path / "root")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/mine").write_text("x")
    with pytest.raises(UsageError, match="exists already"):
        write_rootfs(MadeImage([[Entry.file("a", b"x")]]).source(), tmp_path / "root")
    assert tree(tmp_path / "root") == {"mine": "x"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert unpack(tmp_path, [Entry.file("a", b"x")]) == {"a": "x"}


def test_a_link_below_a_folder_that_is_replaced_is_forgotten(tmp_path: Path) -> None:
    below = [Entry.directory("d"), Entry.symlink("d/link", "/elsewhere")]
    above = [Entry.whiteout("d")]
    third = [Entry.directory("d"), Entry.directory("d/link"), Entry.file("d/link/x", b"1")]
    assert unpack(tmp_path, below, above, third) == {"d": "/", "d/link": "/", "d/link/x": "1"}
