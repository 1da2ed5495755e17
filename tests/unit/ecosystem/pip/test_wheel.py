import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.errors import ImageError, IntegrityError
from ocibuild.ecosystem.pip.wheel import LARGEST_WHOLE_BYTES, WheelArchive

BIG = random.Random(1).randbytes(100_000) * 70 + b"tail"  # beyond what is decoded in one piece


def archive_of(path: Path, files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, zip64: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            with archive.open(zipfile.ZipInfo(name) if zip64 else name, "w", force_zip64=zip64) as member:
                member.write(data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("zip64", [False, True])
def test_members_read_and_stream_as_zipfile_wrote_them(tmp_path: Path, method: int, *, zip64: bool) -> None:
    files = {"a.py": b"x = 1\n" * 1000, "empty": b"", "folder/é.txt": b"y", "big.bin": BIG, "zeros": bytes(9 << 20)}
    path = archive_of(tmp_path / "a.whl", files, method=method, zip64=zip64)
    with WheelArchive(path, name="a.whl") as archive:
        assert [member.name for member in archive.members] == list(files)
        for member in archive.members:
            assert b"".join(archive.stream(member)) == files[member.name]
            if member.size_bytes <= LARGEST_WHOLE_BYTES:
                assert archive.read(member) == files[member.name]
            else:
                with pytest.raises(ImageError, match="more than"):
                    archive.read(member)


def test_a_large_member_comes_in_small_pieces(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"zeros": bytes(64 << 20)})
    with WheelArchive(path, name="a.whl") as archive:
        sizes = [len(piece) for piece in archive.stream(archive.members[0])]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= 1 << 20


def test_more_than_65535_members_need_the_zip64_directory(tmp_path: Path) -> None:
    files = {f"{number}": b"" for number in range(65_600)}
    path = archive_of(tmp_path / "a.whl", files)
    with WheelArchive(path, name="a.whl") as archive:
        assert len(archive.members) == 65_600


def test_a_comment_is_allowed_even_if_it_looks_like_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        archive.comment = b"PK\x05\x06 and more"
    with WheelArchive(path, name="a.whl") as read:
        assert read.read(read.members[0]) == b"1"


def refused(path: Path, match: str, kind: type[Exception] = ImageError) -> None:
    def read_all() -> None:
        with WheelArchive(path, name="bad.whl") as archive:
            for member in archive.members:
                for _ in archive.stream(member):
                    pass
                archive.read(member)

    with pytest.raises(kind, match=match) as caught:
        read_all()
    assert "bad.whl" in str(caught.value)


def changed(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def central(data: bytes | bytearray) -> int:
    return bytes(data).index(b"PK\x01\x02")


def test_no_zip_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(b"<html>not found</html>")
    refused(path, "no zip archive")
    path.write_bytes(b"")
    refused(path, "no zip archive")


@pytest.mark.parametrize("cut", [1, 10, 30, 100])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = archive_of(tmp_path / "a.whl", {"a.py": b"x" * 300, "b.py": b"y" * 300})
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, "not a wheel that can be used")


def test_bytes_before_or_after_the_archive(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"a.py": b"x"})
    data = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\n" + data)
    refused(path, "directory is not where")
    path.write_bytes(data + b"more")
    refused(path, "no zip archive")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit(tmp_path: Path, method: int) -> None:
    text = random.Random(2).randbytes(3000)
    path = archive_of(tmp_path / "a.whl", {"a.bin": text}, method=method)

    def flip(data: bytearray) -> None:
        data[1000] ^= 4

    refused(changed(path, flip), "a.bin is corrupt", IntegrityError)


def test_a_flipped_bit_in_a_large_member_is_found_before_the_last_piece(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"big": BIG}, method=zipfile.ZIP_STORED)

    def flip(data: bytearray) -> None:
        data[5000] ^= 4

    changed(path, flip)
    with WheelArchive(path, name="bad.whl") as archive:
        pieces = archive.stream(archive.members[0])
        seen = 0
        with pytest.raises(IntegrityError):
            for piece in pieces:
                seen += len(piece)
    assert seen < len(BIG)


def test_encrypted(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"a.py": b"x"})
    refused(changed(path, lambda data: data.__setitem__(central(data) + 8, 1)), "encrypted")


def test_unknown_method(tmp_path: Path) -> None:
    refused(archive_of(tmp_path / "a.whl", {"a.py": b"x" * 99}, method=zipfile.ZIP_BZIP2), "method 12")


def test_a_header_that_contradicts_the_directory(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"a.py": b"x"})
    refused(changed(path, lambda data: data.__setitem__(30, ord("b"))), "contradicts")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", b"1")
        archive.writestr("a.py", b"2")
    refused(path, "occurs twice")


def test_members_that_overlap(tmp_path: Path) -> None:
    """The kernel of a zip bomb: two names for the same compressed bytes."""
    path = archive_of(tmp_path / "a.whl", {"a": b"x" * 50, "b": b"x" * 50})

    def overlap(data: bytearray) -> None:
        second = bytes(data).rindex(b"PK\x01\x02")
        data[second + 42 : second + 46] = struct.pack("<L", 0)

    refused(changed(path, overlap), "overlaps")


def test_impossible_size_claims(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"a": b"x" * 5000})

    def claim(size: int) -> Callable[[bytearray], None]:
        return lambda data: data.__setitem__(
            slice(central(data) + 24, central(data) + 28), bytearray(struct.pack("<L", size))
        )

    refused(changed(path, claim(1 << 30)), "impossible")
    refused(changed(path, claim(4999)), "corrupt", IntegrityError)
    refused(changed(path, claim(5001)), "corrupt", IntegrityError)


def test_a_large_member_that_inflates_to_more_than_it_claims(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"a": bytes(32 << 20)})
    size = bytearray(struct.pack("<L", 8 << 20))
    changed(path, lambda data: data.__setitem__(slice(central(data) + 24, central(data) + 28), size))
    refused(path, "corrupt", IntegrityError)


def test_a_directory_entry_that_points_beyond_the_archive(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"a": b"x" * 50})
    offset = bytearray(struct.pack("<L", 1 << 20))
    changed(path, lambda data: data.__setitem__(slice(central(data) + 42, central(data) + 46), offset))
    refused(path, "beyond the archive")


def test_missing_zip64_sizes(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.whl", {"a": b"x" * 50})
    changed(path, lambda data: data.__setitem__(slice(central(data) + 24, central(data) + 28), bytearray(b"\xff" * 4)))
    refused(path, "zip64 sizes of a are missing")


@pytest.mark.parametrize("seed", range(300))
def test_random_damage_is_an_error_of_ours_or_harmless(tmp_path: Path, seed: int) -> None:
    numbers = random.Random(seed)
    path = archive_of(
        tmp_path / "a.whl", {"a.py": b"x = 1\n" * 50, "b/c.bin": numbers.randbytes(200)}, zip64=seed % 2 == 0
    )
    data = bytearray(path.read_bytes())
    for _ in range(numbers.randint(1, 4)):
        data[numbers.randrange(len(data))] = numbers.randrange(256)
    path.write_bytes(data)
    try:
        with WheelArchive(path, name="bad.whl") as archive:
            for member in archive.members:
                assert sum(len(piece) for piece in archive.stream(member)) == member.size_bytes
    except (ImageError, IntegrityError):
        pass
