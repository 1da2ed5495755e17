"""The format of a cache file: what fontconfig maps into memory, every pointer an offset."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.characters import CharacterSet
from ocibuild.ecosystem.apt.configure.fontconfig.languages import LanguageSet
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern, Range, Value

__all__ = ["FolderCache", "cache_file_name", "cached_folder"]

_MAGIC: Final = 0xFC02FC04
_HEADER: Final = struct.Struct("<IiqqqixxxxqixxxxQ")
"""Magic, version, size, offsets of folder and subfolders, their count, offset of the fonts, time, nanoseconds."""
_FONT_SET: Final = struct.Struct("<iiq")  # count, count, offset of the patterns' offsets
_PATTERN: Final = struct.Struct("<iiqixxxx")  # count, count, offset of the elements, reference count
_ELEMENT: Final = struct.Struct("<ixxxxq")  # property, offset of its first value
_VALUE: Final = struct.Struct("<qixxxx8sq")  # offset of the next value, type, content, binding (always 0 in a cache)
_CHARACTER_SET: Final = struct.Struct("<iiqq")  # reference count, pages, offsets of the pages' offsets and numbers
_CONSTANT: Final = -1  # the reference count of what is never freed
_WORD: Final = 8

_INTEGER, _DOUBLE, _STRING, _BOOL, _CHARACTERS, _LANGUAGES, _RANGE = 1, 2, 3, 4, 6, 8, 9
"""fontconfig's FcType."""


def cache_file_name(folder: str, *, layout: str, cache_version: int) -> str:
    """The name of the cache of a folder (``/usr/share/fonts``) for a memory layout (``le64``)."""
    digest = hashlib.md5(folder.encode("utf-8", "surrogateescape"), usedforsecurity=False)
    return f"{digest.hexdigest()}-{layout}.cache-{cache_version}"


def cached_folder(content: bytes) -> str | None:
    """The folder that a cache of this layout is of, or None where the bytes are no such cache."""
    if len(content) < _HEADER.size:
        return None
    magic, _, size, folder, *_ = _HEADER.unpack_from(content)
    if magic != _MAGIC or size != len(content) or not _HEADER.size <= folder < size:
        return None
    return content[folder:].partition(b"\0")[0].decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class FolderCache:
    """What a cache says of a folder: its path, its subfolders' paths, its fonts, and its time of change in seconds."""

    folder: str
    subfolders: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    modified: int

    def serialised(self, *, cache_version: int) -> bytes:
        """The file's bytes for little-endian machines with 64-bit pointers (fontconfig's ``le64``)."""
        return _Writer(self).file(cache_version)


class _Writer:
    """Lays out one cache. Blocks follow each other in the order in which fontconfig allocates them, 8-aligned.

    Character sets and their pages are written once and shared; nothing else is.
    """

    def __init__(self, cache: FolderCache) -> None:
        self._cache = cache
        self._bytes = bytearray()
        self._sets: dict[CharacterSet, int] = {}
        self._pages: dict[int, int] = {}

    def file(self, cache_version: int) -> bytes:
        cache = self._cache
        self._reserve(_HEADER.size)
        folder = self._string(cache.folder)
        subfolders = self._reserve(_WORD * len(cache.subfolders))
        for number, path in enumerate(cache.subfolders):
            struct.pack_into("<q", self._bytes, subfolders + _WORD * number, self._string(path) - subfolders)
        fonts = self._font_set(cache.patterns)
        header = (_MAGIC, cache_version, len(self._bytes), folder, subfolders, len(cache.subfolders), fonts)
        _HEADER.pack_into(self._bytes, 0, *header, cache.modified, 0)
        return bytes(self._bytes)

    def _reserve(self, size_bytes: int) -> int:
        offset = len(self._bytes)
        self._bytes += bytes(-(-size_bytes // _WORD) * _WORD)
        return offset

    def _block(self, content: bytes) -> int:
        offset = self._reserve(len(content))
        self._bytes[offset : offset + len(content)] = content
        return offset

    def _string(self, text: str | bytes) -> int:
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return self._block(data + b"\0")

    def _font_set(self, patterns: Sequence[Pattern]) -> int:
        font_set = self._reserve(_FONT_SET.size)
        offsets = self._reserve(_WORD * len(patterns))
        _FONT_SET.pack_into(self._bytes, font_set, len(patterns), len(patterns), _encoded(offsets - font_set))
        for number, pattern in enumerate(patterns):
            offset = _encoded(self._pattern(pattern) - font_set)
            struct.pack_into("<q", self._bytes, offsets + _WORD * number, offset)
        return font_set

    def _pattern(self, pattern: Pattern) -> int:
        count = len(pattern.values)
        start = self._reserve(_PATTERN.size)
        elements = self._reserve(_ELEMENT.size * count)
        _PATTERN.pack_into(self._bytes, start, count, count, elements - start, _CONSTANT)
        for number, (name, values) in enumerate(pattern.values.items()):
            element = elements + _ELEMENT.size * number
            _ELEMENT.pack_into(self._bytes, element, name, _encoded(self._values(values) - element))
        return start

    def _values(self, values: Sequence[Value]) -> int:
        first = len(self._bytes)
        for number, value in enumerate(values):
            node = self._reserve(_VALUE.size)
            kind, content = self._content(value, node + _WORD)
            is_last = number == len(values) - 1
            following = 0 if is_last else _encoded(len(self._bytes) - node)
            _VALUE.pack_into(self._bytes, node, following, kind, content, 0)
        return first

    def _content(self, value: Value, base: int) -> tuple[int, bytes]:
        """The type and the eight bytes of a value; what does not fit is written, and named by its offset from base."""
        if isinstance(value, bool):
            return _BOOL, struct.pack("<i4x", value)
        if isinstance(value, int):
            return _INTEGER, struct.pack("<i4x", value)
        if isinstance(value, float):
            return _DOUBLE, struct.pack("<d", value)
        kind, offset = self._large(value)
        return kind, struct.pack("<q", _encoded(offset - base))

    def _large(self, value: bytes | CharacterSet | LanguageSet | Range) -> tuple[int, int]:
        """The type and the offset of a value that is written as a block of its own."""
        match value:
            case bytes():
                return _STRING, self._string(value)
            case CharacterSet():
                return _CHARACTERS, self._character_set(value)
            case LanguageSet():
                words = -(-value.count // 32)
                mask = value.mask.to_bytes(4 * words, "little")
                return _LANGUAGES, self._block(struct.pack("<qi", 0, words) + mask)
            case Range():
                return _RANGE, self._block(struct.pack("<dd", value.begin, value.end))

    def _character_set(self, characters: CharacterSet) -> int:
        if characters in self._sets:
            return self._sets[characters]
        count = len(characters.pages)
        start = self._sets[characters] = self._reserve(_CHARACTER_SET.size)
        pages = self._reserve(_WORD * count)
        numbers = self._block(struct.pack(f"<{count}H", *(number for number, _ in characters.pages)))
        for index, (_, mask) in enumerate(characters.pages):
            if mask not in self._pages:
                self._pages[mask] = self._block(mask.to_bytes(32, "little"))
            struct.pack_into("<q", self._bytes, pages + _WORD * index, self._pages[mask] - pages)
        offsets = (pages - start, numbers - start) if count else (0, 0)
        _CHARACTER_SET.pack_into(self._bytes, start, _CONSTANT, count, *offsets)
        return start


def _encoded(offset: int) -> int:
    """An offset in the place of a pointer: fontconfig tells it from a pointer by its lowest bit."""
    return offset | 1
