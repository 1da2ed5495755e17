import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.core.errors import BuildError, ImageError
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries
from ocibuild.layer.tar import END_OF_ARCHIVE, encode_header, write_entries


def archive(entries: list[Entry]) -> bytes:
    return b"".join(write_entries(entries)) + END_OF_ARCHIVE


SAMPLES = [
    Entry.file("usr/bin/git", b"#!/bin/sh\n", mode=0o4755, uid=1000, gid=100),
    Entry.directory("usr/share/" + "d" * 90, mode=0o2775),
    Entry.file("x" * 101, b"long"),
    Entry.file("p/" * 60 + "y" * 90, b"prefix"),
    Entry.file("usr/share/doc/naïve/é.txt", b"text"),
    Entry.symlink("usr/lib/libfoo.so", "libfoo.so.1." + "9" * 120),
    Entry("usr/bin/gitk", EntryKind.HARDLINK, 0o755, link="usr/bin/git"),
    Entry.file("etc/big", b"", uid=3_000_000, gid=2_097_152),
    Entry(
        "usr/bin/ping",
        EntryKind.FILE,
        0o755,
        size_bytes=3,
        content=b"elf",
        attributes={"security.capability": b"\x01\0\n="},
    ),
    Entry.file("odd/\udcff\udcfe", b"not utf-8"),
]


def test_python_reads_what_is_written() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(SAMPLES)), errors="surrogateescape") as read:
        members = read.getmembers()
        assert [member.name for member in members] == [entry.path for entry in SAMPLES]
        for member, entry in zip(members, SAMPLES, strict=True):
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert member.linkname == entry.link
            assert (member.uname, member.gname, member.mtime) == ("", "", 315532800)
            if member.isreg():
                file = read.extractfile(member)
                assert file is not None
                assert file.read() == entry.read()
        assert members[8].pax_headers["SCHILY.xattr.security.capability"].encode() == b"\x01\0\n="


def test_our_reader_gives_back_what_is_written() -> None:
    back = list(read_entries(io.BytesIO(archive(SAMPLES)), where="test"))
    assert back == SAMPLES


names = st.lists(
    st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=80).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=6,
).map("/".join)


@given(names, st.integers(0, 0o7777), st.binary(max_size=2000), st.integers(0, 2**33))
def test_any_name_survives_both_readers(path: str, mode: int, content: bytes, uid: int) -> None:
    data = archive([Entry.file(path, content, mode=mode, uid=uid), Entry.symlink("link", path)])
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        member = read.getmembers()[0]
        assert (member.name, member.mode, member.uid, member.size) == (path, mode, uid, len(content))
        assert read.getmembers()[1].linkname == path
    first, second = read_entries(io.BytesIO(data), where="test")
    assert (first.path, first.mode, first.uid, first.read()) == (path, mode, uid, content)
    assert second.link == path


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_our_reader_understands_pythons_formats(format_: int) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=format_) as out:
        for path in ["a", "d/" * 30 + "b", *(["n" * 150] if format_ != tarfile.USTAR_FORMAT else [])]:
            member = tarfile.TarInfo("./" + path)
            member.size, member.mtime = 3, 12345
            out.addfile(member, io.BytesIO(b"abc"))
    data.seek(0)
    entries = list(read_entries(data, where="test"))
    assert {entry.read() for entry in entries} == {b"abc"}
    assert {entry.modified for entry in entries} == {12345}
    assert "d/" * 30 + "b" in [entry.path for entry in entries]


def test_a_large_content_left_unread_is_skipped() -> None:
    big = bytes(range(256)) * 8192
    data = archive([Entry.file("big", big), Entry.file("after", b"1"), Entry.file("big2", big)])
    entries = read_entries(io.BytesIO(data), where="test")
    assert next(entries).path == "big"
    assert next(entries).read() == b"1"
    assert next(entries).read() == big


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:700], "cut short"),
        (lambda data: data[:512] + b"x" + data[513:700], "cut short"),
        (lambda data: b"x" + data[1:], "not a tar header"),
        (lambda data: data[:100] + b"zzzzzzz" + data[107:], "tar header"),
    ],
)
def test_damage_is_named(damage, message) -> None:  # type: ignore[no-untyped-def]
    data = archive([Entry.file("etc/passwd", b"root" * 300)])
    with pytest.raises(ImageError, match=message):
        list(read_entries(io.BytesIO(damage(data)), where="layer 3"))


@pytest.mark.parametrize("path", ["../etc/passwd", "a/../../b", "a/.."])
def test_a_path_that_leaves_is_refused(path: str) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as out:
        out.addfile(tarfile.TarInfo(path))
    with pytest.raises(ImageError, match="leaves its folder"):
        list(read_entries(io.BytesIO(data.getvalue()), where="layer 3"))


def test_an_inner_end_of_archive_is_refused_on_request() -> None:
    data = archive([Entry.file("a", b"1")]) + archive([Entry.file("b", b"2")])
    assert [entry.path for entry in read_entries(io.BytesIO(data), where="layer 3")] == ["a"]
    with pytest.raises(ImageError, match="behind an end-of-archive block"):
        list(read_entries(io.BytesIO(data), where="layer 3", refuse_trailing_data=True))


def test_a_content_of_another_length_is_refused() -> None:
    with pytest.raises(BuildError, match="3 bytes of content where 5 were announced"):
        b"".join(write_entries([Entry("a", EntryKind.FILE, 0o644, size_bytes=5, content=b"abc")]))


def test_a_size_beyond_ustar_needs_a_pax_header() -> None:
    header = encode_header(Entry("big", EntryKind.FILE, 0o644, size_bytes=9 << 30))
    assert b"size=9663676416\n" in header
