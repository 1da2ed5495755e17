"""The one tar writer. Nothing else in this program writes a tar header.

Format: POSIX ustar, with a pax extended header only for what ustar cannot hold (a long or non-ASCII name or link, a
size from 8 GiB, an id above 2097151, extended attributes); never a global pax header, which would leak from one
package's fragment into the next; never a GNU extension. User and group names are left empty: ids decide, and names
would differ between machines.
Source: IEEE Std 1003.1, "pax - portable archive interchange"; image-spec, layer.md.
"""

from collections.abc import Iterable

from ocibuild.core.errors import BuildError
from ocibuild.layer.entry import Entry, EntryKind

__all__ = ["BLOCK_BYTES", "END_OF_ARCHIVE", "encode_header", "padding", "write_entries"]

BLOCK_BYTES = 512
END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)
"""Stands once, at the very end of a layer. Inside one, every reader would stop there and drop the rest silently."""

_TYPE_FLAGS = {
    EntryKind.FILE: b"0",
    EntryKind.HARDLINK: b"1",
    EntryKind.SYMLINK: b"2",
    EntryKind.DIRECTORY: b"5",
}
_NAME_BYTES, _PREFIX_BYTES, _LINK_BYTES = 100, 155, 100
_LARGEST_SIZE = 0o77777777777
_LARGEST_ID = 0o7777777
_ATTRIBUTE = "SCHILY.xattr."  # the record that GNU tar, libarchive and Go's archive/tar agree on


def encode_header(entry: Entry) -> bytes:
    """The header block of ``entry``, after its pax blocks where it needs any; the content is not included.

    The same entry gives the same bytes on every machine. A BuildError for what no tar can hold: an empty path, a kind
    that is not written, a negative time.
    """
    if entry.kind not in _TYPE_FLAGS or not entry.path or entry.modified < 0 or entry.size_bytes < 0:
        raise BuildError(f"cannot write a tar entry of kind {entry.kind} for {entry.path!r}")
    records: dict[str, bytes] = {}  # of a pax header: most entries need none
    name = entry.path.encode("utf-8", "surrogateescape")
    if entry.kind is EntryKind.DIRECTORY:
        name += b"/"
    link = entry.link.encode("utf-8", "surrogateescape") if entry.link else b""
    prefix, short_name = _split(name)
    if not short_name:
        records["path"] = name
        prefix, short_name = b"", name[:_NAME_BYTES]
    if len(link) > _LINK_BYTES or not link.isascii():
        records["linkpath"] = link
    size, uid, gid = entry.size_bytes, entry.uid, entry.gid
    if size > _LARGEST_SIZE:
        records["size"] = b"%d" % size
        size = 0
    if uid > _LARGEST_ID:
        records["uid"] = b"%d" % uid
        uid = 0
    if gid > _LARGEST_ID:
        records["gid"] = b"%d" % gid
        gid = 0
    if entry.attributes:
        records.update((_ATTRIBUTE + key, value) for key, value in sorted(entry.attributes.items()))
    header = _block(
        short_name,
        prefix=prefix,
        mode=entry.mode,
        uid=uid,
        gid=gid,
        size_bytes=size,
        modified=entry.modified,
        flag=_TYPE_FLAGS[entry.kind],
        link=link[:_LINK_BYTES],
    )
    return _pax_blocks(records) + header if records else header


def padding(size_bytes: int) -> bytes:
    """The zero bytes that fill the last block of a content of this size."""
    return bytes(-size_bytes % BLOCK_BYTES)


def write_entries(entries: Iterable[Entry]) -> Iterable[bytes | memoryview]:
    """The tar bytes of these entries in pieces, without an end of archive.

    A BuildError where a content is not as long as its entry says: the archive would be unreadable from there on.
    """
    for entry in entries:
        yield encode_header(entry)
        written = 0
        for chunk in entry.chunks():
            written += len(chunk)
            yield chunk
        if written != entry.size_bytes:
            raise BuildError(f"/{entry.path}: {written} bytes of content where {entry.size_bytes} were announced")
        if written % BLOCK_BYTES:
            yield padding(written)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """``name`` as ustar's prefix and name fields; two empty ones where it does not fit or is not ASCII."""
    if not name.isascii():
        return b"", b""
    if len(name) <= _NAME_BYTES:
        return b"", name
    slash = name.rfind(b"/", 0, min(len(name) - 1, _PREFIX_BYTES + 1))
    if slash <= 0 or len(name) - slash - 1 > _NAME_BYTES:
        return b"", b""
    return name[:slash], name[slash + 1 :]


def _pax_blocks(records: dict[str, bytes]) -> bytes:
    body = b"".join(_pax_record(key.encode(), value) for key, value in sorted(records.items()))
    header = _block(b"PaxHeaders/entry", mode=0o644, size_bytes=len(body), flag=b"x")
    return header + body + padding(len(body))


def _pax_record(key: bytes, value: bytes) -> bytes:
    """A record ``LENGTH KEY=VALUE`` and a line feed, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _block(
    name: bytes,
    *,
    prefix: bytes = b"",
    mode: int,
    uid: int = 0,
    gid: int = 0,
    size_bytes: int = 0,
    modified: int = 0,
    flag: bytes,
    link: bytes = b"",
) -> bytes:
    fields = (
        name.ljust(_NAME_BYTES, b"\0"),
        b"%07o\0%07o\0%07o\0%011o\0%011o\0        " % (mode & 0o7777, uid, gid, size_bytes, modified),
        flag,
        link.ljust(_LINK_BYTES, b"\0"),
        b"ustar\x0000",
        bytes(64),  # user and group name
        b"0000000\x000000000\x00",  # device numbers
        prefix.ljust(_PREFIX_BYTES, b"\0"),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
