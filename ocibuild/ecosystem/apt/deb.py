"""Debian binary packages (deb(5)): an ar archive of a format mark, the control members and the data.

Everything in it is hostile until checked: sizes, names, compression. Nothing is unpacked to disk.
"""

import io
import lzma
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.core.errors import ImageError
from ocibuild.layer.compression import Compression, open_decompressed
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Control", "DebFile"]

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_HEADER_END = b"`\n"
_LARGEST_CONTROL_BYTES = 64 << 20  # of all members together, unpacked; the largest real one has 5 MiB
_BLOCK_BYTES = 1 << 16
_XZ_MEMORY_BYTES = 128 << 20  # xz -9 needs 65 MiB; more is an attack
_OUTPUT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Control:
    """The members of control.tar by name (``control``, ``postinst``, ``md5sums``, ...), and which are executable."""

    members: Mapping[str, bytes]
    executable: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    offset: int
    size_bytes: int


class DebFile:
    """An open .deb. Use as ``with DebFile.open(path, name=...) as deb``; ``name`` is for messages."""

    def __init__(self, stream: BinaryIO, *, name: str) -> None:
        self._stream = stream
        self._name = name
        self._control, self._data = _find_members(stream, name)

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, name: str) -> Iterator["DebFile"]:
        """The package in this file; an ImageError where it is none."""
        with path.open("rb") as stream:
            yield cls(stream, name=name)

    def control(self) -> Control:
        """The control members; an ImageError where they are malformed or larger than 64 MiB together."""
        members: dict[str, bytes] = {}
        executable = set()
        total = 0
        with self._member(self._control) as raw:
            for entry in read_entries(raw, where=f"{self._name}: {self._control.name}"):
                if entry.kind is EntryKind.DIRECTORY:
                    continue
                total += entry.size_bytes
                if entry.kind is not EntryKind.FILE or "/" in entry.path or total > _LARGEST_CONTROL_BYTES:
                    raise ImageError(f"{self._name}: {self._control.name} holds {entry.path!r}, which is not allowed")
                members[entry.path] = entry.read()
                if entry.mode & 0o111:
                    executable.add(entry.path)
        if "control" not in members:
            raise ImageError(f"{self._name}: {self._control.name} holds no file 'control'")
        return Control(members, frozenset(executable))

    def entries(self) -> Iterator[Entry]:
        """The entries of the data archive, in its order (:func:`ocibuild.layer.reader.read_entries`)."""
        with self._member(self._data) as raw:
            yield from read_entries(raw, where=f"{self._name}: {self._data.name}")

    def _member(self, member: _Member) -> BinaryIO:
        part = io.BufferedReader(_Part(self._stream, member), _BLOCK_BYTES)
        where = f"{self._name}: {member.name}"
        suffix = member.name.rpartition(".tar")[2]
        match suffix:
            case ".xz" | ".lzma":
                return io.BufferedReader(_XzReader(part, where), _OUTPUT_BYTES)
            case ".gz":
                return io.BufferedReader(_GzipReader(part, where), _OUTPUT_BYTES)
            case ".zst":
                return open_decompressed(part, Compression.ZSTD, where=where)
            case "":
                return part
            case _:
                raise ImageError(f"{where}: an unknown compression")


def _find_members(stream: BinaryIO, name: str) -> tuple[_Member, _Member]:
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ImageError(f"{name}: not a Debian package")
    found: dict[str, _Member] = {}
    for member in _members(stream, name):
        kind = member.name.partition(".")[0]
        if not found and member.name != "debian-binary":
            raise ImageError(f"{name}: not a Debian package: its first member is {member.name!r}")
        if member.name.startswith("_"):
            continue  # deb(5): other programs' members
        if kind in found:
            raise ImageError(f"{name}: two members {kind!r}")
        found[kind] = member
    if "control" not in found or "data" not in found:
        raise ImageError(f"{name}: not a Debian package: it lacks control or data")
    return found["control"], found["data"]


def _members(stream: BinaryIO, name: str) -> Iterator[_Member]:
    end = stream.seek(0, io.SEEK_END)
    offset = len(_MAGIC)
    while offset < end:
        stream.seek(offset)
        header = stream.read(_HEADER_BYTES)
        size_text = header[48:58].strip()
        if len(header) < _HEADER_BYTES or header[58:] != _HEADER_END or not size_text.isdigit():
            raise ImageError(f"{name}: a malformed archive member at byte {offset}")
        size_bytes = int(size_text)
        offset += _HEADER_BYTES
        if offset + size_bytes > end:
            raise ImageError(f"{name}: cut short: a member of {size_bytes} bytes at byte {offset} of {end}")
        yield _Member(header[:16].decode("latin-1").strip().rstrip("/"), offset, size_bytes)
        offset += size_bytes + size_bytes % 2


class _Part(io.RawIOBase):
    """One member of the archive as a stream of its own."""

    def __init__(self, stream: BinaryIO, member: _Member) -> None:
        super().__init__()
        stream.seek(member.offset)
        self._stream = stream
        self._left_bytes = member.size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")[: self._left_bytes]
        data = self._stream.read(len(target))
        target[: len(data)] = data
        self._left_bytes -= len(data)
        return len(data)


class _XzReader(io.RawIOBase):
    """Decompresses xz or lzma in pieces of bounded size. dpkg writes one stream; several are taken as xz does."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        super().__init__()
        self._stream = stream
        self._where = where
        self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        try:
            while True:
                if self._decoder.eof:
                    self._input = self._decoder.unused_data or self._stream.read(_BLOCK_BYTES)
                    if not self._input.strip(b"\0"):
                        return 0
                    self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
                elif self._decoder.needs_input:
                    self._input = self._stream.read(_BLOCK_BYTES)
                    if not self._input:
                        raise ImageError(f"{self._where}: the xz data is cut short")
                data = self._decoder.decompress(self._input, len(target))
                self._input = b""
                if data:
                    target[: len(data)] = data
                    return len(data)
        except lzma.LZMAError as error:
            raise ImageError(f"{self._where}: corrupt xz data: {error}") from error


class _GzipReader(io.RawIOBase):
    """Decompresses one gzip member in pieces of bounded size."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        super().__init__()
        self._stream = stream
        self._where = where
        self._decoder = zlib.decompressobj(31)  # zlib.h: 15 bits of window, and 16 for a gzip header and trailer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        try:
            while not self._decoder.eof:
                data = self._decoder.unconsumed_tail or self._stream.read(_BLOCK_BYTES)
                if not data:
                    raise ImageError(f"{self._where}: the gzip data is cut short")
                output = self._decoder.decompress(data, len(target))
                if output:
                    target[: len(output)] = output
                    return len(output)
        except zlib.error as error:
            raise ImageError(f"{self._where}: corrupt gzip data: {error}") from error
        return 0
