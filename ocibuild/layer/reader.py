"""Reading tar archives that others wrote: base layers, the data of a .deb, R packages.

Understands what those writers produce: ustar, old v7 headers, GNU long names and links, pax extended and global
headers. Sparse files are refused: neither dpkg nor an image builder writes them. Everything read is hostile until
checked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from ocibuild.core.errors import ImageError
from ocibuild.core.paths import clean_path
from ocibuild.layer.entry import Content, Entry, EntryKind
from ocibuild.layer.tar import BLOCK_BYTES

__all__ = ["LARGEST_INLINE_BYTES", "read_entries"]

LARGEST_INLINE_BYTES = 1 << 20
"""A file up to this size comes as bytes; a larger one as a function that reads on in the archive."""

_CHUNK_BYTES = 1 << 20
_LARGEST_EXTENSION_BYTES = 1 << 20  # a pax header or long name beyond this is an attack, not an archive
_ZERO_BLOCK = bytes(BLOCK_BYTES)
_KINDS = {
    b"0": EntryKind.FILE,
    b"\0": EntryKind.FILE,
    b"7": EntryKind.FILE,
    b"1": EntryKind.HARDLINK,
    b"2": EntryKind.SYMLINK,
    b"5": EntryKind.DIRECTORY,
    b"3": EntryKind.OTHER,
    b"4": EntryKind.OTHER,
    b"6": EntryKind.OTHER,
}
_ATTRIBUTE = b"SCHILY.xattr."


def read_entries(stream: BinaryIO, *, where: str, refuse_trailing_data: bool = False) -> Iterator[Entry]:
    """The entries of a tar stream, in order, to its end of archive or the end of the stream.

    Paths are cleaned (:func:`ocibuild.core.paths.clean_path`); the root itself (``./``) is left out. A file's content
    is bytes up to 1 MiB and above that a function that may be called once, before the next entry is asked for.
    Constant memory. ``where`` names the archive in the ImageError raised for whatever is malformed or cut short;
    ``refuse_trailing_data`` makes anything but zeros behind the end of archive an error instead of ignoring it.
    """
    reader = _Reader(stream, where)
    extension = _Extension()
    shared: dict[bytes, bytes] = {}
    while (block := reader.header()) is not None:
        flag, size_bytes = block[156:157], _number(block[124:136], where)
        if flag in b"LKxgXNS":
            extension = _extended(extension, flag, reader.extension(size_bytes), shared, where)
            continue
        entry = _entry(block, size_bytes, extension, shared, where)
        extension = _Extension()
        if entry.kind is EntryKind.FILE:
            entry = reader.with_content(entry)
        if entry.path:
            yield entry
        reader.finish_content()
    if refuse_trailing_data:
        reader.refuse_trailing_data()


@dataclass(frozen=True, slots=True)
class _Extension:
    """What GNU and pax headers say of the entry that follows them."""

    name: bytes | None = None
    link: bytes | None = None
    records: Mapping[bytes, bytes] = field(default_factory=dict)


class _Reader:
    """Counts bytes and blocks of the stream, so that a content left unread is skipped."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream = stream
        self._where = where
        self._offset = 0
        self._unread_bytes = 0  # of the current content
        self._padding_bytes = 0

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._offset += len(data)
        if len(data) < count:
            raise ImageError(f"{self._where}: cut short at byte {self._offset} of the archive")
        return data

    def header(self) -> bytes | None:
        """The next header block; None at the end of the archive or, between entries, of the stream."""
        block = self._stream.read(BLOCK_BYTES)
        self._offset += len(block)
        if not block or block == _ZERO_BLOCK:
            return None
        if len(block) < BLOCK_BYTES:
            raise ImageError(f"{self._where}: cut short at byte {self._offset} of the archive")
        expected = sum(block) - sum(block[148:156]) + 8 * 0x20
        if _number(block[148:156], self._where) != expected:
            raise ImageError(f"{self._where}: not a tar header at byte {self._offset - BLOCK_BYTES} of the archive")
        return block

    def extension(self, size_bytes: int) -> bytes:
        if size_bytes > _LARGEST_EXTENSION_BYTES:
            raise ImageError(f"{self._where}: an extended header of {size_bytes} bytes")
        return self._read(size_bytes + -size_bytes % BLOCK_BYTES)[:size_bytes]

    def with_content(self, entry: Entry) -> Entry:
        size = entry.size_bytes
        self._unread_bytes, self._padding_bytes = size, -size % BLOCK_BYTES
        content: Content = self._chunks
        if size <= LARGEST_INLINE_BYTES:
            self._unread_bytes = 0
            content = self._read(size) if size else b""
        return _replaced(entry, content)

    def _chunks(self) -> Iterator[bytes]:
        while self._unread_bytes:
            data = self._read(min(_CHUNK_BYTES, self._unread_bytes))
            self._unread_bytes -= len(data)
            yield data

    def finish_content(self) -> None:
        for _ in self._chunks():
            pass
        if self._padding_bytes:
            self._read(self._padding_bytes)
            self._padding_bytes = 0

    def refuse_trailing_data(self) -> None:
        while data := self._stream.read(_CHUNK_BYTES):
            if data.count(0) != len(data):
                raise ImageError(
                    f"{self._where}: data behind an end-of-archive block, from byte {self._offset} of the archive on",
                    hint="readers stop at that block and silently drop the rest",
                )
            self._offset += len(data)


def _replaced(entry: Entry, content: Content) -> Entry:
    return Entry(
        entry.path,
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size_bytes,
        entry.link,
        content,
        entry.modified,
        entry.attributes,
    )


def _number(text: bytes, where: str) -> int:
    """A numeric field: octal text, or GNU's base-256 form for what octal cannot hold."""
    if text[0] & 0x80:
        value = int.from_bytes(bytes((text[0] & 0x3F,)) + text[1:], "big")
        if text[0] & 0x40:
            raise ImageError(f"{where}: a negative number in a tar header")
        return value
    try:
        return int(text.strip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise ImageError(f"{where}: not a number in a tar header: {text!r}") from error


def _extended(extension: _Extension, flag: bytes, data: bytes, shared: dict[bytes, bytes], where: str) -> _Extension:
    if flag == b"L":
        return _Extension(data.rstrip(b"\0"), extension.link, extension.records)
    if flag == b"K":
        return _Extension(extension.name, data.rstrip(b"\0"), extension.records)
    if flag in b"SN":
        raise ImageError(f"{where}: a sparse file or another GNU extension ({flag!r}), which is not supported")
    records = _pax_records(data, where)
    if flag == b"g":
        shared.update(records)
        return extension
    return _Extension(extension.name, extension.link, {**extension.records, **records})


def _pax_records(data: bytes, where: str) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = data[space + 1 : position + length].partition(b"=")
        if length <= space - position or position + length > len(data) or not equals or not value.endswith(b"\n"):
            raise ImageError(f"{where}: a malformed pax header")
        if key.startswith(b"GNU.sparse."):
            raise ImageError(f"{where}: a sparse file, which is not supported")
        records[key] = value[:-1]
        position += length
    return records


def _entry(block: bytes, size_bytes: int, extension: _Extension, shared: Mapping[bytes, bytes], where: str) -> Entry:
    flag = block[156:157]
    kind = _KINDS.get(flag)
    if kind is None:
        raise ImageError(f"{where}: an entry of unknown type {flag!r}")
    name, link = extension.name, extension.link
    if name is None:
        name = block[:100].rstrip(b"\0").split(b"\0", 1)[0]
        if block[345] and block[257:263] == b"ustar\0":  # GNU's own format keeps other things there
            name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    if link is None:
        link = block[157:257].split(b"\0", 1)[0]
    uid, gid, modified = _number(block[108:116], where), _number(block[116:124], where), _time(block[136:148], where)
    attributes: dict[str, bytes] = {}
    if extension.records or shared:
        records = {**shared, **extension.records}
        try:
            name, link = records.get(b"path", name), records.get(b"linkpath", link)
            size_bytes, uid, gid = (
                int(records.get(key, value)) for key, value in ((b"size", size_bytes), (b"uid", uid), (b"gid", gid))
            )
            modified = int(float(records.get(b"mtime", modified)))
        except (ValueError, OverflowError) as error:
            raise ImageError(f"{where}: a malformed number in a pax header") from error
        attributes = {
            key[len(_ATTRIBUTE) :].decode("utf-8", "replace"): value
            for key, value in records.items()
            if key.startswith(_ATTRIBUTE)
        }
    if min(size_bytes, uid, gid) < 0:
        raise ImageError(f"{where}: a negative number in a tar header")
    if kind is EntryKind.FILE and name.endswith(b"/"):
        kind = EntryKind.DIRECTORY  # how v7 archives mark a folder
    path = clean_path(name.decode("utf-8", "surrogateescape"), where=where)
    mode = _number(block[100:108], where) & 0o7777
    size = size_bytes if kind is EntryKind.FILE else 0
    return Entry(path, kind, mode, uid, gid, size, _link_text(link, kind, where), b"", max(0, modified), attributes)


def _link_text(link: bytes, kind: EntryKind, where: str) -> str:
    if kind not in (EntryKind.SYMLINK, EntryKind.HARDLINK):
        return ""
    text = link.decode("utf-8", "surrogateescape")
    if "\0" in text:  # only an extended header can hold one
        raise ImageError(f"{where}: a link with a NUL byte: {text!r}")
    return clean_path(text, where=where) if kind is EntryKind.HARDLINK else text


def _time(text: bytes, where: str) -> int:
    before_1970 = text[0] & 0x80 and text[0] & 0x40  # a negative number in base 256
    return 0 if before_1970 else _number(text, where)
