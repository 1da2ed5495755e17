"""The outlines of a PostScript font in an OpenType file (Adobe Technical Notes 5176 and 5177)."""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["CompactFont", "compact_font"]

_NOTICE, _CHARSTRINGS = 1, 17  # operators of a top dictionary
_STANDARD_STRINGS: Final = 391  # strings that the format itself has; the font's own are numbered behind them
_ESCAPE: Final = 12  # of two-byte operators
_LAST_OPERATOR: Final = 21  # of a dictionary
_SHORT, _LONG, _REAL = 28, 29, 30  # how numbers of two and four bytes and decimal ones begin
_END_OF_REAL: Final = 0xF
_ONE_BYTE, _POSITIVE, _NEGATIVE, _FIXED = 32, 247, 251, 255  # how numbers of one, two, two and four bytes begin
_ONE_BYTE_ZERO: Final = 139
_TWO_BYTE_BIAS: Final = 108
_ENDCHAR: Final = 14
_DRAWING: Final = frozenset({5, 6, 7, 8, 24, 25, 26, 27, 30, 31})  # lines and curves of a charstring
_PLAIN: Final = frozenset({1, 3, 4, 18, 21, 22, 23})  # moves, and hints without masks


@dataclass(frozen=True, slots=True)
class _Index:
    """An INDEX (5176, section 5): the offsets of its objects in the table, and the one behind the last."""

    table: bytes
    offsets: tuple[int, ...]
    end: int

    @classmethod
    def parse(cls, table: bytes, start: int) -> "_Index":
        count = struct.unpack_from(">H", table, start)[0]
        if not count:
            return cls(table, (), start + 2)
        size = table[start + 2]
        first = start + 3
        behind = first + size * (count + 1)
        offsets = tuple(int.from_bytes(table[at : at + size], "big") + behind - 1 for at in range(first, behind, size))
        if offsets[0] != behind or offsets[-1] > len(table) or any(a > b for a, b in pairwise(offsets)):
            raise ValueError(f"objects at {offsets[0]} to {offsets[-1]} of {len(table)}")
        return cls(table, offsets, offsets[-1])

    def __len__(self) -> int:
        return max(len(self.offsets) - 1, 0)

    def __getitem__(self, number: int) -> bytes:
        return self.table[self.offsets[number] : self.offsets[number + 1]]


@dataclass(frozen=True, slots=True)
class CompactFont:
    """A ``CFF`` table: the glyphs' programs, and the notice where there is one. ``where`` names the file."""

    where: str
    charstrings: _Index
    notice: bytes | None

    @property
    def glyph_count(self) -> int:
        """How many glyphs there are."""
        return len(self.charstrings)

    def has_contours(self, glyph: int) -> bool:
        """Whether a glyph's program draws. One that calls a subroutine before it draws is an UnmodelledError."""
        charstring = self.charstrings[glyph]
        offset = 0
        while offset < len(charstring):
            operator = charstring[offset]
            if operator in _DRAWING or operator == _ENDCHAR:
                return operator != _ENDCHAR
            if operator < _ONE_BYTE and operator not in _PLAIN and operator != _SHORT:
                break
            offset += _operand_bytes(operator) if operator not in _PLAIN else 1
        raise UnmodelledError(f"{self.where}: the outline of a control character needs more than moves and lines")


def _operand_bytes(first: int) -> int:
    """The length of a number in a charstring that begins with this byte (5177, table 1)."""
    if first == _SHORT:
        return 3
    return 1 if first < _POSITIVE else 2 if first < _FIXED else 5


def compact_font(face: SfntFace) -> CompactFont | None:
    """The face's ``CFF`` table, None where it has none; an UnmodelledError where it is damaged."""
    if not face.has(b"CFF "):
        return None
    table = face.table(b"CFF ", at_least_bytes=4)
    try:
        names = _Index.parse(table, table[2])
        dictionaries = _Index.parse(table, names.end)
        strings = _Index.parse(table, dictionaries.end)
        top = _dictionary(dictionaries[0])
        notice = top.get(_NOTICE, 0) - _STANDARD_STRINGS
        charstrings = _Index.parse(table, top[_CHARSTRINGS])
        return CompactFont(face.where, charstrings, strings[notice] if notice >= 0 else None)
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise face.unmodelled(f"a CFF table that cannot be read: {error!r}") from error


def _dictionary(data: bytes) -> dict[int, int]:
    """The whole numbers of a DICT (5176, section 4): operator -> its last operand; decimal numbers are passed over."""
    found: dict[int, int] = {}
    operand, offset = 0, 0
    while offset < len(data):
        first = data[offset]
        offset += 1
        if first <= _LAST_OPERATOR:
            if first == _ESCAPE:
                offset += 1
            else:
                found[first] = operand
        elif first == _REAL:
            while _END_OF_REAL not in (data[offset] >> 4, data[offset] & 0xF):
                offset += 1
            offset += 1
        elif first in (_SHORT, _LONG):
            size = 2 if first == _SHORT else 4
            operand = int.from_bytes(data[offset : offset + size], "big", signed=True)
            offset += size
        elif first < _POSITIVE:
            operand = first - _ONE_BYTE_ZERO
        else:
            low = data[offset] + _TWO_BYTE_BIAS
            operand = (first - _POSITIVE) * 256 + low if first < _NEGATIVE else -(first - _NEGATIVE) * 256 - low
            offset += 1
    return found
