"""Reading .debs: every compression, and what hostile or damaged files do."""

import io
import lzma
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.deb import DebFile
from ocibuild.layer.entry import Entry
from tests.support.apt_repository import compress, make_ar, make_deb

CONTROL = b"Package: one\nVersion: 1\nArchitecture: all\n"


def tar(members: Iterable[tuple[str, bytes]], **fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CONTROL_MEMBER = ("control.tar.xz", lzma.compress(tar([("./control", CONTROL)])))
MARK = ("debian-binary", b"2.0\n")


def deb(*members: tuple[str, bytes]) -> bytes:
    return make_ar([MARK, *members])


def opened(data: bytes) -> DebFile:
    return DebFile(io.BytesIO(data), name="one=1 all")


def contents(data: bytes) -> dict[str, bytes]:
    return {entry.path: entry.read() for entry in opened(data).entries() if entry.kind == "file"}


@pytest.mark.parametrize("codec", ["none", "gzip", "xz", "zstd", "bzip2"])
def test_every_compression(codec: str, tmp_path: Path) -> None:
    text = bytes(range(256)) * 9000  # larger than one read
    made = make_deb("one", files={"usr/share/one": text, "usr/share/two": b""}, codec=codec)
    path = tmp_path / "one.deb"
    path.write_bytes(made.data)
    with DebFile.open(path, name="one") as found:
        assert b"Package: one" in found.control().members["control"]
        assert {each.path: each.read() for each in found.entries() if each.kind == "file"} == {
            "usr/share/one": text,
            "usr/share/two": b"",
        }


def test_the_old_lzma_form() -> None:
    data = lzma.compress(tar([("./a", b"1")]), format=lzma.FORMAT_ALONE)
    assert contents(deb(CONTROL_MEMBER, ("data.tar.lzma", data))) == {"a": b"1"}


def test_several_xz_streams_with_padding() -> None:
    whole = tar([("./a", b"1" * 5000)])
    data = lzma.compress(whole[:3000]) + bytes(8) + lzma.compress(whole[3000:]) + bytes(4)
    assert contents(deb(CONTROL_MEMBER, ("data.tar.xz", data))) == {"a": b"1" * 5000}


def test_members_of_other_programs_and_slashes_in_names() -> None:
    made = deb(("_signature", b"x"), ("control.tar.xz/", CONTROL_MEMBER[1]), ("_other", b""), ("data.tar/", tar([])))
    assert contents(made) == {}


def test_which_control_members_are_executable() -> None:
    control = tar([("./control", CONTROL)], mode=0o644)[:1024] + tar([("./postinst", b"#!/bin/sh\n")], mode=0o755)
    found = opened(deb(("control.tar", control), ("data.tar", tar([])))).control()
    assert found.executable == {"postinst"}


def read_all(data: bytes) -> None:
    found = opened(data)
    found.control()
    for entry in found.entries():
        for _ in entry.chunks():
            pass


GOOD = make_deb("one", files={"usr/share/one": b"text" * 1000}).data
DATA_XZ = lzma.compress(tar([("./a", b"1" * 100_000)]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a Debian package"),
        (b"PK\3\4" + bytes(100), "not a Debian package"),
        (b"!<arch>\n", "not a Debian package"),
        (make_ar([CONTROL_MEMBER, MARK]), "its first member is 'control.tar.xz'"),
        (make_ar([("debian-binary", b"3.0\n"), CONTROL_MEMBER, ("data.tar", b"")]), "format 2"),
        (make_ar([("debian-binary", b""), CONTROL_MEMBER, ("data.tar", b"")]), "format 2"),
        (deb(CONTROL_MEMBER), "lacks control or data"),
        (deb(("data.tar", tar([]))), "lacks control or data"),
        (deb(CONTROL_MEMBER, ("data.tar", b""), ("data.tar.xz", b"")), "two members 'data'"),
        (deb(CONTROL_MEMBER, ("data.tar.Z", b"")), "an unknown compression"),
        (deb(CONTROL_MEMBER, ("data.zip", b"")), "an unknown compression"),
        (GOOD[:-500], "cut short"),
        (GOOD[:90], "malformed archive member"),
        (GOOD.replace(b"`\n", b"``", 1), "malformed archive member"),
        (GOOD.replace(b"100644  4 ", b"100644  -4", 1), "malformed archive member"),
        (GOOD.replace(b"100644  4 ", b"100644  99999999", 1), "malformed archive member"),
        (deb(CONTROL_MEMBER, ("data.tar.xz", DATA_XZ[:-30])), "cut short|corrupt"),
        (deb(CONTROL_MEMBER, ("data.tar.xz", DATA_XZ[:40] + b"\xff" * 8 + DATA_XZ[48:])), "corrupt compressed data"),
        (deb(CONTROL_MEMBER, ("data.tar.xz", b"")), "cut short"),
        (deb(CONTROL_MEMBER, ("data.tar.xz", DATA_XZ + b"rest")), "corrupt compressed data"),
        (deb(CONTROL_MEMBER, ("data.tar.gz", compress(tar([("a", b"1" * 9000)]), "gzip")[:-9])), "cut short"),
        (deb(CONTROL_MEMBER, ("data.tar.bz2", compress(tar([("a", b"1")]), "bzip2")[:-9])), "cut short"),
        (deb(CONTROL_MEMBER, ("data.tar.bz2", b"BZh9" + bytes(100))), "corrupt compressed data"),
        (deb(CONTROL_MEMBER, ("data.tar.zst", compress(tar([("a", b"1")]), "zstd")[:-9])), "cut short|corrupt"),
        (deb(CONTROL_MEMBER, ("data.tar", tar([("a", b"1" * 2000)])[:1500])), "cut short"),
        (deb(CONTROL_MEMBER, ("data.tar", b"no tar at all" * 100)), "not a tar header|not a number"),
        (deb(CONTROL_MEMBER, ("data.tar", tar([("a/../../b", b"1")]))), "leaves its folder"),
        (deb(("control.tar", tar([("./postinst", b"")])), ("data.tar", tar([]))), "holds no file 'control'"),
        (deb(("control.tar", tar([("./a/control", CONTROL)])), ("data.tar", tar([]))), "not allowed"),
        (deb(("control.tar", tar([("./control", CONTROL)] * 2)), ("data.tar", tar([]))), "not allowed"),
        (deb(("control.tar", tar([("./control", b"")], type=tarfile.SYMTYPE)), ("data.tar", tar([]))), "not allowed"),
        (
            deb(("control.tar", tar([(f"./{number}", b"") for number in range(1002)])), ("data.tar", tar([]))),
            "larger than a package's ever is",
        ),
    ],
)
def test_damaged_and_hostile_files(data: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said) as raised:
        read_all(data)
    assert "one=1 all" in str(raised.value)


def test_every_truncation_is_noticed() -> None:
    for length in range(0, len(GOOD), 7):
        with pytest.raises(ImageError):
            read_all(GOOD[:length])


def announced(size_bytes: int, count: int = 1) -> bytes:
    """Headers of files of this size, without their content."""
    info = tarfile.TarInfo("./large")
    info.size = size_bytes
    return info.tobuf(tarfile.GNU_FORMAT) * count


def test_an_archive_that_unpacks_to_far_too_much() -> None:
    data = deb(CONTROL_MEMBER, ("data.tar.xz", lzma.compress(announced(1 << 40))))
    with pytest.raises(ImageError, match="unpacks to far more"):
        read_all(data)


def test_a_control_archive_that_unpacks_to_far_too_much() -> None:
    data = deb(("control.tar.xz", lzma.compress(announced(65 << 20))), ("data.tar", tar([])))
    with pytest.raises(ImageError, match="larger than a package's ever is"):
        read_all(data)


def test_decompression_takes_constant_memory() -> None:
    size_bytes = 200 << 20
    compressor = lzma.LZMACompressor(preset=0)
    packed = compressor.compress(announced(size_bytes))
    packed += b"".join(compressor.compress(bytes(1 << 20)) for _ in range(size_bytes >> 20)) + compressor.flush()
    found = opened(deb(CONTROL_MEMBER, ("data.tar.xz", packed)))
    tracemalloc.start()
    (length,) = (sum(len(chunk) for chunk in _chunks(entry)) for entry in found.entries())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert length == size_bytes
    assert peak < 16 << 20


def _chunks(entry: Entry) -> Iterable[bytes | memoryview]:
    assert callable(entry.content)
    return entry.chunks()
