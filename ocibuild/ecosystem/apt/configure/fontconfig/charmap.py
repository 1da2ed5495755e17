"""Which character is which glyph: a face's ``cmap`` tables, and the one that FreeType takes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import OPENTYPE, SfntFace

__all__ = ["CharacterMap", "character_map"]

_UNICODE_PLATFORM, _MAC_PLATFORM, _ISO_PLATFORM, _WINDOWS_PLATFORM = 0, 1, 2, 3
_SYMBOL, _UNICODE_BMP, _UNICODE_FULL = 0, 1, 10  # encodings of the Windows platform
_UNICODE_32 = 4  # encoding of the Unicode platform
_VARIATION_SELECTORS: Final = 14  # a format whose characters are none of their own
_LAST_BMP: Final = 0xFFFF  # also the last glyph, and the offset of a segment without glyphs
_LAST_CHARACTER: Final = 0x10FFFF

_Pairs = Iterator[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class CharacterMap:
    """The characters that have a glyph, in order, each with its glyph. ``is_symbol``: Windows' symbol encoding."""

    glyphs: tuple[tuple[int, int], ...]
    is_symbol: bool


def character_map(face: SfntFace, *, glyph_count: int) -> CharacterMap:
    """The map that fontconfig reads: FreeType's Unicode one, else the symbol one, else an empty one.

    FreeType prefers a map of all of Unicode, else takes the last Unicode map (its find_unicode_charmap).
    """
    table = face.table(b"cmap", at_least_bytes=4)
    count = int.from_bytes(table[2:4], "big")
    if 4 + 8 * count > len(table):
        raise face.unmodelled(f"{count} character maps in {len(table)} bytes")
    records = list(struct.iter_unpack(">HHI", table[4 : 4 + 8 * count]))
    full = [r for r in records if r[:2] in ((_WINDOWS_PLATFORM, _UNICODE_FULL), (_UNICODE_PLATFORM, _UNICODE_32))]
    unicode = full or [record for record in records if _is_unicode(*record[:2])]
    symbol = [record for record in records if record[:2] == (_WINDOWS_PLATFORM, _SYMBOL)]
    if not unicode and (not symbol or face.version == OPENTYPE):
        # FreeType makes a map from the glyphs' names then.
        raise face.unmodelled("no Unicode character map")
    offset = unicode[-1][2] if unicode else symbol[0][2]
    pairs = {code: glyph for code, glyph in _pairs(face, table, offset) if 0 < glyph < glyph_count}
    return CharacterMap(tuple(sorted(pairs.items())), not unicode)


def _is_unicode(platform: int, encoding: int) -> bool:
    return platform in (_UNICODE_PLATFORM, _ISO_PLATFORM) or (
        platform == _WINDOWS_PLATFORM and encoding in (_UNICODE_BMP, _UNICODE_FULL)
    )


def _pairs(face: SfntFace, table: bytes, offset: int) -> _Pairs:
    map_format = int.from_bytes(table[offset : offset + 2], "big")
    readers = {0: _byte_map, 4: _segment_map, 6: _trimmed_map, 12: _group_map}
    if map_format == _VARIATION_SELECTORS:
        return iter(())
    if not offset or map_format not in readers:
        raise face.unmodelled(f"a character map of format {map_format}")
    try:
        return iter(list(readers[map_format](table, offset)))
    except (struct.error, ValueError) as error:
        raise face.unmodelled(f"a character map of format {map_format} that is damaged: {error}") from error


def _byte_map(table: bytes, offset: int) -> _Pairs:
    """Format 0: a byte a character."""
    yield from enumerate(struct.unpack_from("256B", table, offset + 6))


def _trimmed_map(table: bytes, offset: int) -> _Pairs:
    """Format 6: an array from a first character."""
    first, count = struct.unpack_from(">HH", table, offset + 6)
    yield from enumerate(struct.unpack_from(f">{count}H", table, offset + 10), first)


def _group_map(table: bytes, offset: int) -> _Pairs:
    """Format 12: runs of characters whose glyphs follow each other."""
    length, _, count = struct.unpack_from(">III", table, offset + 4)
    if 16 + 12 * count > length or offset + length > len(table):
        raise ValueError(f"{count} groups in {length} bytes")
    last = -1
    for start, end, glyph in struct.iter_unpack(">III", table[offset + 16 : offset + 16 + 12 * count]):
        if start > end or start <= last or glyph + end - start > _LAST_BMP or end > _LAST_CHARACTER:
            raise ValueError(f"a group from {start:#x} to {end:#x} after {last:#x}")
        yield from zip(range(start, end + 1), range(glyph, glyph + end - start + 1), strict=True)
        last = end


def _segment_map(table: bytes, offset: int) -> _Pairs:
    """Format 4: segments, each with a distance to its glyphs or with an array of them."""
    count = struct.unpack_from(">H", table, offset + 6)[0] // 2
    fields = struct.unpack_from(f">{count}H2x{3 * count}H", table, offset + 14)
    ends, starts, deltas, arrays = (fields[part * count : (part + 1) * count] for part in range(4))
    arrays_at = offset + 16 + 6 * count
    if not ends or ends[-1] != _LAST_BMP:
        raise ValueError("no last segment")
    last = -1
    for number, (start, end, delta, array) in enumerate(zip(starts, ends, deltas, arrays, strict=True)):
        if start == end == _LAST_BMP and number == count - 1 and array:
            continue  # many fonts set nothing but the bounds of the last segment, which has to be there
        if start > end or start <= last or array == _LAST_BMP:
            raise ValueError(f"a segment from {start:#x} to {end:#x} after {last:#x}")
        last = end
        if not array:
            yield from ((code, (code + delta) & 0xFFFF) for code in range(start, end + 1))
            continue
        if array < 2 * (count - number):
            raise ValueError(f"a segment whose glyphs would lie before those of all segments, {array} bytes on")
        glyphs = struct.unpack_from(f">{end - start + 1}H", table, arrays_at + 2 * number + array)
        yield from ((code, (glyph + delta) & 0xFFFF) for code, glyph in enumerate(glyphs, start) if glyph)
