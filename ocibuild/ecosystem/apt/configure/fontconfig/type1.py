"""Type 1 fonts (Adobe Type 1 Font Format, 1990): what FreeType reads of their program."""

import re
from dataclasses import dataclass
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.type1syntax import check_program, check_text
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["SIGNATURES", "Type1Font", "is_type1"]

SIGNATURES: Final = (b"%!PS-AdobeFont", b"%!FontType")
_SEGMENT_MARK, _TEXT_SEGMENT, _BINARY_SEGMENT = 0x80, 1, 2  # of a .pfb file
_SEGMENT_HEADER: Final = 6
_FONT_KEY, _CHARSTRING_KEY = 55665, 4330  # section 7.2
_FIRST, _SECOND = 52845, 22719  # of the cipher
_WIDTH_BYTES: Final = 64  # of a glyph's program, in which it sets its width
_LEADING_BYTES: Final = 4  # random ones before what is encrypted
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_STRING: Final = rb"/%s\s*\(((?:[^()\\]|\\.|\([^()]*\))*)\)"
_GLYPH: Final = re.compile(rb"\s*/([^\s/()<>\[\]{}%]*)\s+(\d+)\s+(?:RD|-\|)\s")
_END: Final = re.compile(rb"\s*end\s")
_SUBROUTINES: Final = re.compile(rb"/Subrs\s+\d+\s+array(?=\s)")
_SUBROUTINE: Final = re.compile(rb"\s*dup\s+(\d+)\s+(\d+)\s+(?:RD|-\|)\s")
_AFTER_PIECE: Final = re.compile(rb"\s*(?:ND|NP|\|-|\||noaccess\s+(?:def|put))(?=\s)")
_MOVE_WIDTH, _MOVE_WIDTH_2D, _DIVIDE, _ESCAPE = 13, 7, 12, 12  # hsbw; sbw and div behind the escape


@dataclass(frozen=True, slots=True)
class Type1Font:
    """A font program. Strings are as they stand in it, escapes not taken away; None where there is none.

    ``glyphs`` are their names and encrypted programs, whose first ``skipped_bytes`` are random.
    """

    where: str
    font_name: bytes | None
    family: bytes | None
    full_name: bytes | None
    weight: bytes | None
    notice: bytes | None
    italic_angle: int
    glyphs: tuple[tuple[str, bytes], ...]
    skipped_bytes: int

    @classmethod
    def parse(cls, data: bytes, *, where: str) -> "Type1Font":
        """The font of a .pfb or .pfa file; an UnmodelledError where it is damaged or has more than one master."""
        text, program = _sections(data, where)
        if b"/BlendAxisTypes" in text or b"/WeightVector" in text or b"FontDirectory" in program:
            raise UnmodelledError(f"{where}: a multiple master or synthetic font")
        angles = re.findall(rb"/ItalicAngle\s+(-?\d+)(?:\.\d*)?\s", text)
        name = re.findall(rb"/FontName\s*/([^\s/()<>\[\]{}%]+)", text)
        skipped = re.findall(rb"/lenIV\s+(\d+)\s", program)
        check_text(text, where=where)
        glyphs, plain = _glyphs(program, where)
        check_program(plain, where=where)
        return cls(
            where=where,
            font_name=name[-1] if name else None,
            family=_string(text, b"FamilyName", where),
            full_name=_string(text, b"FullName", where),
            weight=_string(text, b"Weight", where),
            notice=_string(text, b"Notice", where),
            italic_angle=int(angles[-1]) if angles else 0,
            glyphs=glyphs,
            skipped_bytes=int(skipped[-1]) if skipped else _LEADING_BYTES,
        )

    def advance(self, glyph: int) -> int:
        """The advance of a glyph in font units: what its program sets first."""
        name, encrypted = self.glyphs[glyph]
        program = _decrypted(encrypted[:_WIDTH_BYTES], _CHARSTRING_KEY)[self.skipped_bytes :]
        stack: list[float] = []
        offset = 0
        while offset < len(program):
            byte = program[offset]
            if byte == _MOVE_WIDTH and len(stack) == 2:  # noqa: PLR2004 - side bearing and width
                return _rounded(stack[1])
            if byte == _ESCAPE and program[offset + 1 : offset + 2] == bytes([_DIVIDE]) and len(stack) > 1:
                divisor = stack.pop()
                stack.append(stack.pop() / divisor if divisor else 0)
                offset += 2
            elif byte == _ESCAPE and program[offset + 1 : offset + 2] == bytes([_MOVE_WIDTH_2D]) and len(stack) > 2:  # noqa: PLR2004 - two of each
                return _rounded(stack[2])
            else:
                number, offset = self._number(program, offset)
                stack.append(number)
        raise UnmodelledError(f"{self.where}: the glyph {name} sets no width")

    def _number(self, program: bytes, offset: int) -> tuple[int, int]:
        """A number of a charstring and the offset behind it (section 6.2)."""
        first = program[offset]
        following = program[offset + 1 : offset + 5]
        if 32 <= first <= 246:  # noqa: PLR2004 - one byte
            return first - 139, offset + 1
        if 247 <= first <= 254 and following:  # noqa: PLR2004 - two bytes
            low = following[0] + 108
            return ((first - 247) * 256 + low if first < 251 else -(first - 251) * 256 - low), offset + 2  # noqa: PLR2004 - negative from 251
        if first == 255 and len(following) == 4:  # noqa: PLR2004 - four bytes
            return int.from_bytes(following, "big", signed=True), offset + 5
        raise UnmodelledError(f"{self.where}: a glyph's program that begins with operator {first}")


def is_type1(data: bytes) -> bool:
    """Whether FreeType takes a file for a Type 1 font."""
    start = _SEGMENT_HEADER if data[:2] == bytes([_SEGMENT_MARK, _TEXT_SEGMENT]) else 0
    return data[start : start + 20].startswith(SIGNATURES)


def _rounded(number: float) -> int:
    return int(number + 0.5) if number >= 0 else -int(0.5 - number)


def _string(text: bytes, key: bytes, where: str) -> bytes | None:
    found = re.findall(_STRING % key, text, re.DOTALL)
    if not found and re.search(rb"/%s\s*[(/<]" % key, text):
        raise UnmodelledError(f"{where}: a {key.decode()} that is no plain string")
    return found[-1] if found else None


def _sections(data: bytes, where: str) -> tuple[bytes, bytes]:
    """The text and the decrypted program."""
    if data[0] == _SEGMENT_MARK:
        text, encrypted = _segments(data, where)
    else:
        found = re.search(rb"\scurrentfile\s+eexec(?=[ \t\r\n])", data)
        if found is None:
            raise UnmodelledError(f"{where}: no encrypted part")
        text, rest = data[: found.end()], data[found.end() :]
        line_feed, carriage_return = rest.find(b"\n"), rest.find(b"\r")
        ends_lines_by_carriage_return = line_feed < 0 or 0 <= carriage_return < line_feed
        encrypted = rest.lstrip(b" \t\r\n" if ends_lines_by_carriage_return else b" \t\n")
        if set(encrypted[:4]) <= _HEX_DIGITS:
            digits = re.match(rb"[0-9a-fA-F\s]*", encrypted)
            compact = b"".join(digits.group().split()) if digits else b""
            encrypted = bytes.fromhex(compact[: len(compact) & ~1].decode())
    if re.search(rb"[(%][^)\n]*eexec", text):
        raise UnmodelledError(f"{where}: eexec in a string or comment")
    return text, _decrypted(encrypted, _FONT_KEY)[_LEADING_BYTES:]


def _segments(data: bytes, where: str) -> tuple[bytes, bytes]:
    """The first text segment of a .pfb file, and the binary ones behind it."""
    kinds: list[tuple[int, bytes]] = []
    offset = 0
    while data[offset : offset + 1] == bytes([_SEGMENT_MARK]) and data[offset + 1] in (_TEXT_SEGMENT, _BINARY_SEGMENT):
        length = int.from_bytes(data[offset + 2 : offset + _SEGMENT_HEADER], "little")
        start = offset + _SEGMENT_HEADER
        kinds.append((data[offset + 1], data[start : start + length]))
        offset = start + length
    if [kind for kind, _ in kinds[:2]] != [_TEXT_SEGMENT, _BINARY_SEGMENT] or offset > len(data):
        raise UnmodelledError(f"{where}: segments that are damaged")
    program = b""
    for kind, content in kinds[1:]:
        if kind != _BINARY_SEGMENT:
            break
        program += content
    return kinds[0][1], program


def _decrypted(data: bytes, key: int) -> bytes:
    """Section 7.3."""
    result = bytearray(len(data))
    for index, cipher in enumerate(data):
        result[index] = cipher ^ (key >> 8)
        key = (cipher + key) * _FIRST + _SECOND & 0xFFFF
    return bytes(result)


def _glyphs(program: bytes, where: str) -> tuple[tuple[tuple[str, bytes], ...], bytes]:
    """The glyphs of the /CharStrings dictionary, and the program without these and other binary pieces.

    There may be fewer glyphs than the dictionary promises.
    """
    start = re.search(rb"/CharStrings\s+(\d+)\s+dict\s+dup\s+begin(?=\s)", program)
    if start is None or len(re.findall(rb"/CharStrings\s+\d+\s+dict", program)) != 1:
        raise UnmodelledError(f"{where}: no single dictionary of glyphs")
    subroutines = _SUBROUTINES.search(program, 0, start.start())
    before = program[: start.end()]
    if subroutines:
        _, behind = _pieces(program, subroutines.end(), _SUBROUTINE, where)
        before = program[: subroutines.start()] + program[behind : start.end()]
    pieces, end = _pieces(program, start.end(), _GLYPH, where)
    if not _END.match(program, end) or len(pieces) > int(start.group(1)):
        raise UnmodelledError(f"{where}: {len(pieces)} glyphs of {start.group(1).decode()}")
    after = program[end:].partition(b"closefile")[0]
    return tuple((name.decode("latin-1"), piece) for name, piece in pieces), before + after


def _pieces(
    program: bytes, offset: int, pattern: re.Pattern[bytes], where: str
) -> tuple[list[tuple[bytes, bytes]], int]:
    """The binary pieces, with their names, that follow each other from an offset, and the offset behind them."""
    pieces: list[tuple[bytes, bytes]] = []
    while piece := pattern.match(program, offset):
        end = piece.end() + int(piece.group(2))
        pieces.append((piece.group(1), program[piece.end() : end]))
        after = _AFTER_PIECE.match(program, end)
        if after is None:
            raise UnmodelledError(f"{where}: a piece of binary data that does not end")
        offset = after.end()
    return pieces, offset
