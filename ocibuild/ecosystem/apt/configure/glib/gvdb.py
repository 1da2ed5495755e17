"""GVDB, GLib's file format of a hash table that is mapped into memory.

Source: gvdb's ``gvdb-format.h`` and ``gvdb-builder.c``, as GLib 2.74 and 2.84 use them; little endian.
"""

import struct
from dataclasses import dataclass
from typing import Any

from ocibuild.ecosystem.apt.configure.glib.gvariant import Variant, serialised
from ocibuild.ecosystem.apt.configure.glib.hash_table import GHashTable, string_hash

__all__ = ["GvdbTable", "gvdb_file"]

_HEADER = struct.Struct("<8sIIII")
_ITEM = struct.Struct("<IIIHBxII")
_NO_PARENT = 0xFFFFFFFF
_BLOOM_SHIFT = 5
_LIST_KEY = ""


@dataclass(slots=True)
class _Item:
    key: str
    content: "Variant | GvdbTable | None"
    is_listed: bool


class GvdbTable:
    """A table of values and tables. One item of the empty name lists those so inserted, by name."""

    def __init__(self) -> None:
        self._items: GHashTable[_Item] = GHashTable()
        self._items[_LIST_KEY] = _Item(_LIST_KEY, None, is_listed=False)

    def insert(self, key: str, content: "Variant | GvdbTable", *, is_listed: bool = False) -> None:
        """Put the content under ``key``, which must be new."""
        self._items[key] = _Item(key, content, is_listed)

    def ordered(self) -> list[list[_Item]]:
        """The buckets of the file's own hash table: a bucket's items in the reverse of GLib's order."""
        buckets: list[list[_Item]] = [[] for _ in range(len(self._items))]
        for key, item in self._items.items():
            buckets[string_hash(key) % len(buckets)].insert(0, item)
        return buckets


class _Writer:
    """Pieces one behind the other; a table's own piece stands before what its items name, and is filled afterwards."""

    def __init__(self) -> None:
        self.data = bytearray(_HEADER.size)

    def allocate(self, size: int, alignment: int) -> int:
        self.data += bytes(-len(self.data) % alignment)
        start = len(self.data)
        self.data += bytes(size)
        return start

    def add(self, piece: bytes, alignment: int = 1) -> tuple[int, int]:
        start = self.allocate(len(piece), alignment)
        self.data[start:] = piece
        return start, len(self.data)

    def add_table(self, table: GvdbTable) -> tuple[int, int]:
        buckets = table.ordered()
        items = [item for bucket in buckets for item in bucket]
        numbers = {item.key: number for number, item in enumerate(items)}
        start = self.allocate(8 + 4 * len(buckets) + _ITEM.size * len(items), 4)
        end = len(self.data)
        firsts, count = [], 0
        for bucket in buckets:
            firsts.append(count)
            count += len(bucket)
        struct.pack_into(f"<II{len(firsts)}I", self.data, start, _BLOOM_SHIFT << 27, len(buckets), *firsts)
        where = start + 8 + 4 * len(buckets)
        for item in items:
            key_start, key_end = self.add(item.key.encode("utf-8", "surrogateescape"))
            kind, pointer = self._add_content(item, items, numbers)
            parent = numbers[_LIST_KEY] if item.is_listed else _NO_PARENT
            fields: tuple[Any, ...] = (string_hash(item.key), parent, key_start, key_end - key_start, kind, *pointer)
            _ITEM.pack_into(self.data, where, *fields)
            where += _ITEM.size
        return start, end

    def _add_content(self, item: _Item, items: list[_Item], numbers: dict[str, int]) -> tuple[int, tuple[int, int]]:
        if isinstance(item.content, GvdbTable):
            return ord("H"), self.add_table(item.content)
        if item.content is not None:
            return ord("v"), self.add(serialised("v", item.content), 8)
        listed = sorted(
            (other.key for other in items if other.is_listed), key=lambda key: key.encode("utf-8", "surrogateescape")
        )
        if not listed:
            return 0, (0, 0)
        return ord("L"), self.add(struct.pack(f"<{len(listed)}I", *(numbers[key] for key in listed)), 4)


def gvdb_file(table: GvdbTable) -> bytes:
    """The file of the table."""
    writer = _Writer()
    start, end = writer.add_table(table)
    _HEADER.pack_into(writer.data, 0, b"GVariant", 0, 0, start, end)
    return bytes(writer.data)
