"""The names in a face's ``name`` table, read as fontconfig and FreeType read them."""

import struct
from dataclasses import dataclass
from functools import cache
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.languages import name_languages
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace

__all__ = ["MAC", "WINDOWS", "NameRecord", "folded", "name_records"]

UNICODE, MAC, ISO, WINDOWS = 0, 1, 2, 3
"""Platforms (OpenType, "name")."""

_UNREADABLE: Final = ""
"""An encoding that the C library's iconv does not know by fontconfig's name for it: such a name is left out."""
_ENCODINGS: Final = {
    (MAC, 0): "mac_roman",
    (MAC, 1): "shift_jis",
    (WINDOWS, 0): "utf-16",
    (WINDOWS, 1): "utf-16",
    (WINDOWS, 2): _UNREADABLE,
    (WINDOWS, 3): "gb2312",
    (WINDOWS, 4): "big5",
    (WINDOWS, 5): _UNREADABLE,
    (WINDOWS, 6): "johab",
    (WINDOWS, 10): "utf-16",
    (ISO, 0): "latin-1",
    (ISO, 1): "utf-16",
    (ISO, 2): "latin-1",
}
_MAC_ENGLISH, _MAC_JAPANESE, _WINDOWS_ENGLISH, _WINDOWS_JAPANESE = 0, 11, 0x409, 0x411
_FIRST_WINDOWS_LANGUAGE: Final = 0x100  # what is used with the Mac platform by mistake
_FIRST_LANGUAGE_TAG: Final = 0x8000  # numbers from here name an entry of the table itself
_FIRST_HIGH_BYTE: Final = 0x80
_SURROGATE_MASK, _HIGH_SURROGATE, _LOW_SURROGATE = 0xFC00, 0xD800, 0xDC00


@dataclass(frozen=True, slots=True)
class NameRecord:
    """One record: ``name`` is the kind of name (1 is the family), ``language`` the platform's number for it."""

    platform: int
    encoding: int
    language: int
    name: int
    content: bytes

    def is_english(self) -> bool:
        """Whether fontconfig sorts it before other languages of its kind."""
        return (self.platform, self.language) in ((MAC, _MAC_ENGLISH), (WINDOWS, _WINDOWS_ENGLISH))

    def language_tag(self) -> str | None:
        """The language as fontconfig names it, where it does."""
        language = self.language
        if self.platform == MAC and self.encoding == 0 and _looks_like_shift_jis(self.content):
            language = _MAC_JAPANESE
        return name_languages().get((self.platform, language))

    def text(self, face: SfntFace, release: Release) -> bytes | None:
        """The name in UTF-8; None where fontconfig cannot read it, or it is blank."""
        encoding = "utf-16" if self.platform == UNICODE else _ENCODINGS.get((self.platform, self.encoding))
        if encoding == "mac_roman":
            encoding = self._mac_encoding(release)
        if encoding is None or encoding == _UNREADABLE:
            return None
        if encoding == "utf-16":
            decoded = _utf16(self.content)
        elif encoding in ("latin-1", "mac_roman"):
            decoded = self.content.decode(encoding).encode()
        else:
            decoded = self._legacy(face, encoding)
        if decoded is None or not decoded.partition(b"\0")[0].replace(b" ", b""):
            return None
        return decoded.partition(b"\0")[0]

    def _mac_encoding(self, release: Release) -> str | None:
        """The encoding of a name that claims to be Mac Roman, and often is not."""
        if self.language == _MAC_ENGLISH and _looks_like_shift_jis(self.content):
            return "shift_jis"
        if release.retries_as_utf16 and self.language == _MAC_JAPANESE:
            return "shift_jis"
        if self.language < _FIRST_WINDOWS_LANGUAGE:
            return "mac_roman"
        return {_WINDOWS_ENGLISH: "latin-1", _WINDOWS_JAPANESE: _UNREADABLE}.get(self.language)

    def _legacy(self, face: SfntFace, encoding: str) -> bytes:
        """A name that fontconfig gives to iconv. Only what every table of an encoding agrees on is read."""
        if encoding == "shift_jis" and not set(self.content) & {0x5C, 0x7E, 0x80, 0xA0, 0xFD, 0xFE, 0xFF}:
            try:
                return self.content.decode(encoding).encode()
            except UnicodeDecodeError:
                pass
        raise face.unmodelled(f"a name in the encoding {encoding}")


def _looks_like_shift_jis(content: bytes) -> bool:
    """Whether more than a third of the bytes have their highest bit set."""
    high = sum(byte >= _FIRST_HIGH_BYTE for byte in content)
    return 2 * high > len(content) - high


def _utf16(content: bytes) -> bytes | None:
    """UTF-16 in UTF-8, a lone low surrogate kept as it is; None where it is malformed."""
    result = bytearray()
    units = iter(struct.unpack(f">{len(content) // 2}H", content[: len(content) & ~1]))
    for unit in units:
        code = unit
        if unit & _SURROGATE_MASK == _HIGH_SURROGATE:
            low = next(units, 0)
            if low & _SURROGATE_MASK != _LOW_SURROGATE:
                return None
            code = ((unit & 0x3FF) << 10 | low & 0x3FF) + 0x10000
        result += chr(code).encode("utf-8", "surrogatepass")
    return None if len(content) % 2 else bytes(result)


@cache
def folded(text: bytes) -> bytes:
    """The text without blanks and case, as fontconfig compares names."""
    return text.replace(b" ", b"").decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")


def name_records(face: SfntFace) -> tuple[NameRecord, ...]:
    """The records that FreeType keeps, in the order of the table: those that are not empty and lie in the table."""
    if not face.has(b"name"):
        return ()
    table = face.table(b"name", at_least_bytes=6)
    table_format, count, strings = struct.unpack_from(">HHH", table)
    first = 6 + 12 * count
    if first > len(table) or table_format > 1:
        raise face.unmodelled(f"a name table of format {table_format} with {count} records")
    if table_format == 1:
        first += 2 + 4 * int.from_bytes(table[first : first + 2], "big")
    records = []
    for platform, encoding, language, name, length, offset in struct.iter_unpack(">6H", table[6 : 6 + 12 * count]):
        start = strings + offset
        if table_format == 1 and language >= _FIRST_LANGUAGE_TAG:
            raise face.unmodelled("names whose language is a tag")
        if length and first <= start and start + length <= len(table):
            records.append(NameRecord(platform, encoding, language, name, table[start : start + length]))
    return tuple(records)
