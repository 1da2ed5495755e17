"""``mime.cache``, the database in one binary file.

Source: the format is version 1.2 of the Shared MIME-info Database specification 0.21, section 2.10; what it leaves open
(the order of strings, of suffixes and of matches) is as in shared-mime-info 2.2's ``src/update-mime-database.c``.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ocibuild.ecosystem.apt.configure.glib.hash_table import GHashTable
from ocibuild.ecosystem.apt.configure.mime.database import Glob, MimeDatabase
from ocibuild.ecosystem.apt.configure.mime.magic import Match

__all__ = ["cache_file"]

_VERSION = (1, 2)
_HEADER = struct.Struct(">HH10I")
_CASE_SENSITIVE = 0x100
_SUFFIX_BYTES, _MAGIC_BYTES, _MATCH_BYTES = 12, 16, 32


@dataclass(slots=True)
class _Suffix:
    """A character of a suffix, read from its end; a leaf has the character 0."""

    character: int
    mime_type: str = ""
    weight: int = 0
    flags: int = 0
    children: "list[_Suffix]" = field(default_factory=list)


class _Writer:
    def __init__(self, database: MimeDatabase) -> None:
        self.database = database
        self.data = bytearray(_HEADER.size)
        self.strings: dict[str, int] = {}

    def numbers(self, *numbers: int) -> None:
        self.data += struct.pack(f">{len(numbers)}I", *numbers)

    def piece(self, data: bytes) -> None:
        self.data += data + bytes(-len(data) % 4)

    def write_strings(self) -> None:
        for text in _strings(self.database):
            self.strings[text] = len(self.data)
            self.piece(_bytes(text) + b"\0")

    def write_pairs(self, pairs: Iterable[Sequence[str]]) -> None:
        """A list of entries of two or three strings, sorted by all but the last."""
        rows = sorted(pairs, key=lambda row: _bytes(" ".join(row[:-1])))
        self.numbers(len(rows))
        for row in rows:
            self.numbers(*(self.strings[text] for text in row))

    def write_parents(self) -> None:
        rows = sorted(self.database.parents.items(), key=lambda row: _bytes(row[0]))
        self.numbers(len(rows))
        where = len(self.data) + 8 * len(rows)
        for mime_type, parents in rows:
            self.numbers(self.strings[mime_type], where)
            where += 4 + 4 * len(parents)
        for _, parents in rows:
            self.numbers(len(parents), *(self.strings[parent] for parent in parents))

    def write_globs(self, *, are_literal: bool) -> None:
        found = [
            glob
            for pattern, globs in sorted(self.database.globs.items(), key=lambda row: _bytes(row[0]))
            for glob in globs
            if not _is_suffix(pattern) and _is_literal(pattern) is are_literal
        ]
        self.numbers(len(found))
        for glob in found:
            self.numbers(self.strings[glob.pattern], self.strings[glob.type], glob.weight | _flags(glob))

    def write_suffixes(self) -> None:
        """The tree of suffixes, level by level."""
        level: list[_Suffix] = []
        for pattern, globs in self.database.globs.items():
            if _is_suffix(pattern):
                for glob in globs:
                    _insert(level, pattern[:0:-1], glob)
        self.numbers(len(level), len(self.data) + 8)
        children_at = len(self.data) + _SUFFIX_BYTES * len(level)
        while level:
            for suffix in level:
                if suffix.character:
                    self.numbers(suffix.character, len(suffix.children), children_at)
                else:
                    self.numbers(0, self.strings[suffix.mime_type], suffix.weight | suffix.flags)
                children_at += _SUFFIX_BYTES * len(suffix.children)
            level = [child for suffix in level for child in suffix.children]

    def write_types(self) -> None:
        """A list of nothing but zeros: the reference looks its types up with a line feed behind them."""
        self.numbers(len(self.database.types), *[0] * len(self.database.types))

    def write_magic(self) -> None:
        magics = list(self.database.sorted_magics())
        matches = [match for magic in magics for match in _flattened(magic.matches)]
        # matches are found by identity: equal ones of different types are different entries
        numbers = {id(match): number for number, match in enumerate(matches)}
        extent = max((len(match.data) + match.start + match.length for match in matches), default=0)
        self.numbers(len(magics), extent, len(self.data) + 12)
        first_match = len(self.data) + _MAGIC_BYTES * len(magics)
        for magic in magics:
            where = first_match + _MATCH_BYTES * numbers[id(magic.matches[0])]
            self.numbers(magic.priority, self.strings[magic.type], len(magic.matches), where)
        data_at = first_match + _MATCH_BYTES * len(matches)
        for match in matches:
            size = len(match.data) + -len(match.data) % 4
            mask_at = data_at + size if match.mask is not None else 0
            children = match.matches
            children_at = first_match + _MATCH_BYTES * numbers[id(children[0])] if children else 0
            self.numbers(match.start, match.length, match.word_bytes, len(match.data), data_at, mask_at)
            self.numbers(len(children), children_at)
            data_at += size * (1 if match.mask is None else 2)
        for match in matches:
            self.piece(match.data)
            self.piece(match.mask or b"")


def _strings(database: MimeDatabase) -> Iterable[str]:
    """The strings in the order in which the reference's hash table gives them."""
    table: GHashTable[None] = GHashTable()

    def add(*texts: str) -> None:
        for text in texts:
            table[text] = None

    for alias, mime_type in database.aliases.items():
        add(alias, mime_type)
    for mime_type, parents in database.parents.items():
        add(mime_type, *parents)
    for pattern, globs in database.globs.items():
        add(*(() if _is_suffix(pattern) else (pattern,)), *(glob.type for glob in globs))
    add(*(magic.type for magic in database.sorted_magics()))
    for name, mime_type in database.namespaces.items():
        add(mime_type, *name.split(" "))
    for icons in (database.generic_icons, database.icons):
        for mime_type, icon in icons.items():
            add(mime_type, icon)
    return (text for text, _ in table.items())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_literal(pattern: str) -> bool:
    return not any(character in pattern for character in "\\[?*")


def _is_suffix(pattern: str) -> bool:
    return pattern.startswith("*") and _is_literal(pattern[1:])


def _flags(glob: Glob) -> int:
    return _CASE_SENSITIVE if glob.is_case_sensitive else 0


def _insert(level: list[_Suffix], reversed_suffix: str, glob: Glob) -> None:
    """Put the suffix into the tree: leaves first, in the order of their coming, then characters in theirs."""
    for character in map(ord, reversed_suffix):
        number = next((number for number, node in enumerate(level) if node.character >= character), len(level))
        if number == len(level) or level[number].character != character:
            level.insert(number, _Suffix(character))
        level = level[number].children
    leaves = [node for node in level if not node.character]
    for leaf in leaves:
        if leaf.mime_type == glob.type:
            leaf.weight = max(leaf.weight, glob.weight)
            return
    level.insert(len(leaves), _Suffix(0, glob.type, glob.weight, _flags(glob)))


def _flattened(matches: Iterable[Match]) -> Iterable[Match]:
    """All of a list, then what lies below each."""
    yield from matches
    for match in matches:
        yield from _flattened(match.matches)


def cache_file(database: MimeDatabase) -> bytes:
    """The file."""
    writer = _Writer(database)
    writer.write_strings()
    namespaces = [(*name.split(" "), mime_type) for name, mime_type in database.namespaces.items()]
    sections: Sequence[Callable[[], None]] = (
        partial(writer.write_pairs, database.aliases.items()),
        writer.write_parents,
        partial(writer.write_globs, are_literal=True),
        writer.write_suffixes,
        partial(writer.write_globs, are_literal=False),
        writer.write_magic,
        partial(writer.write_pairs, namespaces),
        partial(writer.write_pairs, database.icons.items()),
        partial(writer.write_pairs, database.generic_icons.items()),
        writer.write_types,
    )
    starts = []
    for write in sections:
        starts.append(len(writer.data))
        write()
    _HEADER.pack_into(writer.data, 0, *_VERSION, *starts)
    return bytes(writer.data)
