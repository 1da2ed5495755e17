"""The sizes of a face's embedded bitmaps."""

import struct
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace

__all__ = ["strike_heights"]

_VERSIONS: Final = {b"CBLC": 3, b"EBLC": 2, b"bloc": 2}  # the tables, best first, and their major versions
_HEADER_BYTES: Final = 8
_STRIKE_BYTES: Final = 48  # a BitmapSize record (OpenType, "EBLC"); ppemX and ppemY are its bytes 44 and 45
_PPEM_AT: Final = 44


def strike_heights(face: SfntFace) -> tuple[float, ...]:
    """The pixels per em of each size of the bitmaps that FreeType takes: the coloured ones before others."""
    tag = next((tag for tag in _VERSIONS if face.has(tag)), None)
    if tag is None:
        return ()
    table = face.table(tag, at_least_bytes=_HEADER_BYTES)
    major, count = struct.unpack_from(">H2xI", table)
    end = _HEADER_BYTES + _STRIKE_BYTES * count
    if major != _VERSIONS[tag] or not count or end > len(table):
        raise face.unmodelled(f"a {tag.decode()} table of version {major} with {count} sizes")
    records = (table[at : at + _STRIKE_BYTES] for at in range(_HEADER_BYTES, end, _STRIKE_BYTES))
    sizes = [(record[_PPEM_AT], record[_PPEM_AT + 1]) for record in records]
    if not all(horizontal and vertical for horizontal, vertical in sizes):
        raise face.unmodelled("bitmaps of no size")
    return tuple(float(vertical) for _, vertical in sizes)
