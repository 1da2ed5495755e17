"""The characters of a face, and whether they are equally wide."""

from dataclasses import dataclass
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.cff import CompactFont
from ocibuild.ecosystem.apt.configure.fontconfig.characters import CharacterSet
from ocibuild.ecosystem.apt.configure.fontconfig.charmap import character_map
from ocibuild.ecosystem.apt.configure.fontconfig.glyf import has_contours
from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace
from ocibuild.ecosystem.apt.configure.fontconfig.spacing import spacing

__all__ = ["Coverage", "face_coverage"]

_FIRST_PRINTABLE: Final = 0x20
_SYMBOL_AREA: Final = range(0xF000, 0xF100)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a face's character map tells: its characters, their spacing, and whether they are symbols only."""

    characters: CharacterSet
    spacing: int
    is_symbol: bool


def face_coverage(face: SfntFace, compact: CompactFont | None) -> Coverage:
    """The coverage of a face; ``compact`` is its ``CFF`` table if it has one.

    A control character counts only if its glyph has an outline, since some makers map them all to a blank; a symbol
    font has the characters of its private area also where Windows shows them, from 0. (FcFreeTypeCharSet.)
    """
    mapping = character_map(face, glyph_count=compact.glyph_count if compact else face.glyph_count)
    codes = [code for code, glyph in mapping.glyphs if code >= _FIRST_PRINTABLE or _draws(face, compact, glyph)]
    if mapping.is_symbol:
        codes += [code - _SYMBOL_AREA.start for code in codes if code in _SYMBOL_AREA]
    advances = (face.metrics.advance(glyph) for _, glyph in mapping.glyphs)
    return Coverage(CharacterSet.of(codes), spacing(advances), mapping.is_symbol)


def _draws(face: SfntFace, compact: CompactFont | None, glyph: int) -> bool:
    if not face.has_outlines:
        return False
    return compact.has_contours(glyph) if compact else has_contours(face, glyph)
