"""The outlines of a PostScript font in an OpenType file (Adobe Technical Notes 5176 and 5177)."""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["CompactFont", "compact_font"]

_NOTICE, _CHARSET, _CHARSTRINGS, _PRIVATE = 1, 15, 17, 18  # operators of a top dictionary
_SUBROUTINES: Final = 19  # operator of a private dictionary
_OPERANDS: Final = {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 4, 13: 1, 15: 1, 16: 1, 17: 1, 18: 2, 0x0C07: 6, 0x0C1E: 3}
"""How many operands operators of a top dictionary have (5176, table 9), where that is fixed."""
_CHARSETS: Final = (229, 166, 87)  # glyphs of the charsets that the format itself has
_HEADER_BYTES: Final = 4
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
    if table[0] != 1 or table[2] < _HEADER_BYTES or table[3] not in range(1, 5):
        raise face.unmodelled(f"a CFF table that begins with {table[:4]!r}")
    try:
        names = _Index.parse(table, table[2])
        dictionaries = _Index.parse(table, names.end)
        strings = _Index.parse(table, dictionaries.end)
        _Index.parse(table, strings.end)  # the subroutines of all glyphs
        top = _dictionary(dictionaries[0])
        (charstrings_at,) = top[_CHARSTRINGS]
        charstrings = _Index.parse(table, charstrings_at)
        _check(face, table, top, glyphs=len(charstrings))
        (notice,) = top.get(_NOTICE, (0,))
        has_notice = notice >= _STANDARD_STRINGS
        return CompactFont(face.where, charstrings, strings[notice - _STANDARD_STRINGS] if has_notice else None)
    except (struct.error, IndexError, KeyError, StopIteration, ValueError) as error:
        raise face.unmodelled(f"a CFF table that cannot be read: {error!r}") from error


def _check(face: SfntFace, table: bytes, top: dict[int, tuple[int, ...]], *, glyphs: int) -> None:
    """A ValueError where FreeType would stumble over the top dictionary or what it points to."""
    if any(len(operands) != _OPERANDS.get(operator, len(operands)) for operator, operands in top.items()):
        raise ValueError("a top dictionary with odd operands")
    (charset,) = top.get(_CHARSET, (0,))
    size, start = top.get(_PRIVATE, (0, 0))
    if glyphs != face.glyph_count or not 0 <= charset < len(table) or min(size, start) < 0 or start + size > len(table):
        raise ValueError(f"{glyphs} glyphs, a charset at {charset}, {size} private bytes at {start}")
    if glyphs > _CHARSETS[charset] if charset < len(_CHARSETS) else table[charset] not in range(3):
        raise ValueError(f"a charset at {charset} for {glyphs} glyphs")
    private = _dictionary(table[start : start + size])
    if _SUBROUTINES in private:
        (offset,) = private[_SUBROUTINES]
        _Index.parse(table, start + offset)


def _dictionary(data: bytes) -> dict[int, tuple[int, ...]]:
    """A DICT (5176, section 4): operator -> its operands, decimal numbers as 0. A ValueError where it is no such."""
    found: dict[int, tuple[int, ...]] = {}
    operands: list[int] = []
    offset = 0
    while offset < len(data):
        first = data[offset]
        offset += 1
        if first <= _LAST_OPERATOR:
            if first == _ESCAPE:
                first = _ESCAPE << 8 | data[offset]
                offset += 1
            found[first] = tuple(operands)
            operands = []
            continue
        if first == _REAL:
            end = next(at for at in range(offset, len(data)) if _END_OF_REAL in (data[at] >> 4, data[at] & 0xF))
            number, offset = 0, end + 1
        elif first in (_SHORT, _LONG):
            size = 2 if first == _SHORT else 4
            number, offset = int.from_bytes(data[offset : offset + size], "big", signed=True), offset + size
        elif _ONE_BYTE <= first < _POSITIVE:
            number = first - _ONE_BYTE_ZERO
        elif _POSITIVE <= first < _FIXED:
            low = data[offset] + _TWO_BYTE_BIAS
            number = (first - _POSITIVE) * 256 + low if first < _NEGATIVE else -(first - _NEGATIVE) * 256 - low
            offset += 1
        else:
            raise ValueError(f"byte {first} in a dictionary")
        operands.append(number)
    if operands:
        raise ValueError("numbers without an operator")
    return found
