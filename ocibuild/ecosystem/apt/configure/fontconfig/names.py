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

_UTF16, _MAC_ROMAN, _LATIN1, _LEGACY = "utf-16", "mac-roman", "latin-1", "legacy"
"""Encodings. The legacy ones Debian's fontconfig cannot convert, since it is built without iconv."""
_ENCODINGS: Final = {
    (MAC, 0): _MAC_ROMAN,
    (MAC, 1): _LEGACY,
    (WINDOWS, 0): _UTF16,
    (WINDOWS, 1): _UTF16,
    (WINDOWS, 2): _LEGACY,
    (WINDOWS, 3): _LEGACY,
    (WINDOWS, 4): _LEGACY,
    (WINDOWS, 5): _LEGACY,
    (WINDOWS, 6): _LEGACY,
    (WINDOWS, 10): _UTF16,
    (ISO, 0): _LATIN1,
    (ISO, 1): _UTF16,
    (ISO, 2): _LATIN1,
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

    def text(self, release: Release) -> bytes | None:
        """The name in UTF-8; None where fontconfig cannot read it, or it is blank."""
        encoding = self._encoding(release)
        if encoding == _LEGACY:
            encoding = _UTF16 if release.retries_as_utf16 else None
        if encoding is None:
            return None
        if encoding == _UTF16:
            decoded = _utf16(self.content)
        else:
            decoded = self.content.decode("mac_roman" if encoding == _MAC_ROMAN else "latin-1").encode()
        text = (decoded or b"").partition(b"\0")[0]
        return text if text.replace(b" ", b"") else None

    def _encoding(self, release: Release) -> str | None:
        """The encoding of the record; a name that claims to be Mac Roman often is not."""
        encoding = _UTF16 if self.platform == UNICODE else _ENCODINGS.get((self.platform, self.encoding))
        if encoding != _MAC_ROMAN:
            return encoding
        if self.language == _MAC_ENGLISH and _looks_like_shift_jis(self.content):
            return _LEGACY
        if release.retries_as_utf16 and self.language == _MAC_JAPANESE:
            return _LEGACY
        if self.language < _FIRST_WINDOWS_LANGUAGE:
            return _MAC_ROMAN
        return {_WINDOWS_ENGLISH: _LATIN1, _WINDOWS_JAPANESE: _LEGACY}.get(self.language)


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
