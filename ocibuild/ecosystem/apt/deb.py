"""Debian binary packages (deb(5)): an ar archive of a format mark, the control members and the data.

Everything in it is hostile until checked: sizes, names, compression. Nothing is unpacked to disk.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.decompression import open_by_suffix
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.limited import limited
from ocibuild.layer.reader import read_entries

__all__ = ["Control", "DebFile"]

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_HEADER_END = b"`\n"
_LARGEST_CONTROL_BYTES = 64 << 20  # of all members together, unpacked; the largest real one has 5 MiB
_MOST_CONTROL_MEMBERS = 1000  # debconf's and dpkg's own are some twenty
_MOST_ENTRIES = 2_000_000  # the largest real packages hold some 100,000
_SMALL_DATA_BYTES = 1 << 30
_LARGEST_RATIO = 200  # of data beyond 1 GiB, unpacked, to the file: real packages stay below 50
_BLOCK_BYTES = 1 << 16


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
                if entry.kind is not EntryKind.FILE or "/" in entry.path or entry.path in members:
                    raise ImageError(f"{self._name}: {self._control.name} holds {entry.path!r}, which is not allowed")
                if total > _LARGEST_CONTROL_BYTES or len(members) == _MOST_CONTROL_MEMBERS:
                    raise ImageError(f"{self._name}: {self._control.name} is larger than a package's ever is")
                members[entry.path] = entry.read()
                if entry.mode & 0o111:
                    executable.add(entry.path)
            _finish(raw, _LARGEST_CONTROL_BYTES, f"{self._name}: {self._control.name}")
        if "control" not in members:
            raise ImageError(f"{self._name}: {self._control.name} holds no file 'control'")
        return Control(members, frozenset(executable))

    def entries(self) -> Iterator[Entry]:
        """The entries of the data archive, in its order (:func:`ocibuild.layer.reader.read_entries`).

        An ImageError for an archive that unpacks to far more than any real package does: it would fill the disk.
        """
        left_bytes = max(_SMALL_DATA_BYTES, self._data.size_bytes * _LARGEST_RATIO)
        where = f"{self._name}: {self._data.name}"
        with self._member(self._data) as raw:
            for count, entry in enumerate(read_entries(raw, where=where)):
                left_bytes -= entry.size_bytes
                if left_bytes < 0 or count == _MOST_ENTRIES:
                    raise ImageError(f"{where}: unpacks to far more than its {self._data.size_bytes} bytes can mean")
                yield entry
            _finish(raw, left_bytes, where)

    def _member(self, member: _Member) -> BinaryIO:
        self._stream.seek(member.offset)
        part = limited(self._stream, member.size_bytes, buffer_bytes=_BLOCK_BYTES)
        return open_by_suffix(part, member.name.rpartition(".tar")[2], where=f"{self._name}: {member.name}")


def _finish(raw: BinaryIO, most_bytes: int, where: str) -> None:
    """Read what follows the archive's end: only then has the decompressor seen its checksum."""
    while data := raw.read(_BLOCK_BYTES):
        most_bytes -= len(data)
        if most_bytes < 0:
            raise ImageError(f"{where}: endless data behind the archive")


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
    mark = found.pop("debian-binary", None)
    stream.seek(mark.offset if mark else 0)
    if mark is None or not stream.read(min(mark.size_bytes, _HEADER_BYTES)).startswith(b"2."):
        raise ImageError(f"{name}: not a Debian package of format 2 (deb(5))")
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
