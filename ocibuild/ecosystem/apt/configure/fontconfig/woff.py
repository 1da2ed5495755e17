"""Fonts compressed for the web (WOFF File Format 1.0), as a plain font file."""

import struct
import zlib
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["WOFF", "unwrapped"]

WOFF: Final = b"wOFF"
_HEADER: Final = struct.Struct(">4s4sIHHI")  # signature, flavor, length, tables, reserved, length when unpacked
_HEADER_BYTES: Final = 44
_EXTRAS_AT: Final = 24
_EXTRAS: Final = struct.Struct(">IIIII")  # places and lengths of metadata and private data
_ENTRY: Final = struct.Struct(">4sIIII")  # tag, offset, length as it is, length when unpacked, checksum
_MOST_BYTES: Final = 64 << 20


def unwrapped(data: bytes, *, where: str) -> bytes:
    """The font file that FreeType makes of a WOFF one; an UnmodelledError where it is damaged or very large.

    All that the format demands ("must") of header and directory is demanded here too, as FreeType does; metadata and
    private data are not modelled.
    """
    try:
        _, flavor, length, count, reserved, unpacked = _HEADER.unpack_from(data)
        extras = _EXTRAS.unpack_from(data, _EXTRAS_AT)
        entries = list(_ENTRY.iter_unpack(data[_HEADER_BYTES : _HEADER_BYTES + _ENTRY.size * count]))
    except struct.error as error:
        raise UnmodelledError(f"{where}: a WOFF header that is cut off") from error
    if any(extras) or reserved or length != len(data) or unpacked > _MOST_BYTES or len(entries) != count or not count:
        raise UnmodelledError(f"{where}: a WOFF header that is wrong, a font of {unpacked} bytes, or metadata")
    places: dict[bytes, tuple[int, int, int]] = {}
    tables = b""
    at = _HEADER_BYTES + _ENTRY.size * count
    for tag, offset, packed, size, checksum in sorted(entries, key=lambda entry: entry[1]):
        table = data[offset : offset + packed]
        if packed < size:
            table = _inflated(table, size, where)
        if offset != at or len(table) != size or len(tables) + size > unpacked:
            raise UnmodelledError(f"{where}: a {tag!r} table at {offset} of {len(table)} bytes")
        places[tag] = (checksum, 12 + 16 * count + len(tables), size)
        tables += table + bytes(-size % 4)
        at += packed + -packed % 4
    tags = [entry[0] for entry in entries]
    if at != length or 12 + 16 * count + len(tables) != unpacked or tags != sorted(places):
        raise UnmodelledError(f"{where}: WOFF tables that do not fill the file, or are not in order")
    directory = b"".join(struct.pack(">4sIII", tag, *places[tag]) for tag in tags)
    return bytes(flavor) + struct.pack(">HHHH", count, 0, 0, 0) + directory + tables


def _inflated(data: bytes, size: int, where: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        plain: bytes = stream.decompress(data, min(size, _MOST_BYTES) + 1)
    except zlib.error as error:
        raise UnmodelledError(f"{where}: {error}") from error
    if not stream.eof:
        raise UnmodelledError(f"{where}: compressed data that does not end")
    return plain
