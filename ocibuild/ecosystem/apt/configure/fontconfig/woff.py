"""Fonts compressed for the web (WOFF File Format 1.0), as a plain font file."""

import struct
import zlib
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["WOFF", "unwrapped"]

WOFF: Final = b"wOFF"
_HEADER: Final = struct.Struct(">4s4sIHHI")  # signature, flavor, length, tables, reserved, length when unpacked
_HEADER_BYTES: Final = 44
_ENTRY: Final = struct.Struct(">4sIIII")  # tag, offset, length as it is, length when unpacked, checksum
_MOST_BYTES: Final = 64 << 20


def unwrapped(data: bytes, *, where: str) -> bytes:
    """The font file that FreeType makes of a WOFF one; an UnmodelledError where it is damaged or very large."""
    try:
        _, flavor, length, count, reserved, unpacked = _HEADER.unpack_from(data)
        entries = sorted(
            _ENTRY.iter_unpack(data[_HEADER_BYTES : _HEADER_BYTES + _ENTRY.size * count]), key=lambda e: e[1]
        )
    except struct.error as error:
        raise UnmodelledError(f"{where}: a WOFF header that is cut off") from error
    if length != len(data) or reserved or unpacked > _MOST_BYTES or len(entries) != count or not count:
        raise UnmodelledError(f"{where}: a WOFF header that is wrong, or a font of {unpacked} bytes")
    directory, tables = b"", b""
    for tag, offset, packed, size, checksum in entries:
        table = data[offset : offset + packed]
        if packed < size:
            table = _inflated(table, size, where)
        if len(table) != size or len(tables) + size > _MOST_BYTES:
            raise UnmodelledError(f"{where}: a {tag!r} table of {len(table)} bytes that should be {size}")
        start = 12 + 16 * count + len(tables)
        directory += struct.pack(">4sIII", tag, checksum, start, size)
        tables += table + bytes(-size % 4)
    return bytes(flavor) + struct.pack(">HHHH", count, 0, 0, 0) + directory + tables


def _inflated(data: bytes, size: int, where: str) -> bytes:
    try:
        plain: bytes = zlib.decompressobj().decompress(data, min(size, _MOST_BYTES) or 1)
    except zlib.error as error:
        raise UnmodelledError(f"{where}: {error}") from error
    return plain
