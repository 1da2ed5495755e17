"""Whether a TrueType outline has a contour (OpenType, "glyf" and "loca")."""

import struct
from itertools import pairwise
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace

__all__ = ["draws_nothing_but_notdef", "has_contours"]

_MOST_COMPONENTS: Final = 64  # of a composite glyph, nested ones included; more is refused
_ARE_WORDS, _HAS_SCALE, _MORE_COMPONENTS, _HAS_XY_SCALE, _HAS_MATRIX = 0x1, 0x8, 0x20, 0x40, 0x80
_HEADER_BYTES: Final = 10


def has_contours(face: SfntFace, glyph: int) -> bool:
    """Whether the glyph or, where it is a composite one, a part of it has contours."""
    return _has_contours(face, _locations(face), glyph, budget=[_MOST_COMPONENTS])


def draws_nothing_but_notdef(face: SfntFace) -> bool:
    """Whether the first glyph alone has an outline: FreeType does not count it in a font that has bitmaps too."""
    drawn = [glyph for glyph, (start, end) in enumerate(pairwise(_locations(face))) if start != end]
    if len(drawn) == 1 and drawn[0]:
        raise face.unmodelled("an outline of a single glyph, which may be called .notdef")
    return drawn == [0]


def _locations(face: SfntFace) -> tuple[int, ...]:
    """The offset of each glyph in ``glyf``, and the one behind the last."""
    table = face.table(b"loca", at_least_bytes=4)
    if face.has_long_locations:
        return struct.unpack(f">{len(table) // 4}I", table[: len(table) & ~3])
    return tuple(2 * half for half in struct.unpack(f">{len(table) // 2}H", table[: len(table) & ~1]))


def _has_contours(face: SfntFace, locations: tuple[int, ...], glyph: int, *, budget: list[int]) -> bool:
    """``budget`` holds how many glyphs may still be looked at, since hostile ones can contain themselves."""
    budget[0] -= 1
    if budget[0] < 0 or glyph + 1 >= len(locations):
        raise face.unmodelled(f"a glyph {glyph} that cannot be followed")
    start, end = locations[glyph : glyph + 2]
    if start == end:
        return False
    glyphs = face.table(b"glyf")
    if not start + _HEADER_BYTES <= end <= len(glyphs):
        raise face.unmodelled(f"a glyph {glyph} of bytes {start} to {end} in {len(glyphs)}")
    contours: int = struct.unpack_from(">h", glyphs, start)[0]
    if contours >= 0:
        return contours > 0
    parts = _components(face, glyphs[start + _HEADER_BYTES : end])
    return any(_has_contours(face, locations, part, budget=budget) for part in parts)


def _components(face: SfntFace, composite: bytes) -> list[int]:
    """The glyphs of a composite one ("Composite Glyph Description")."""
    parts, offset, flags = [], 0, _MORE_COMPONENTS
    while flags & _MORE_COMPONENTS:
        if offset + 6 > len(composite):
            raise face.unmodelled("a composite glyph that is cut off")
        flags, part = struct.unpack_from(">HH", composite, offset)
        parts.append(part)
        offset += 8 if flags & _ARE_WORDS else 6
        offset += 2 if flags & _HAS_SCALE else 4 if flags & _HAS_XY_SCALE else 8 if flags & _HAS_MATRIX else 0
    return parts
