"""Layer tables as bytes, for the store: columns of JSON, compressed.

A base of 60,000 paths must load in a fraction of a second, so the values of one kind stand together and small numbers
stand for repeated ones.
"""

import json
import zlib
from typing import Any

from ocibuild.core.errors import ImageError
from ocibuild.image.view import LayerTable, ViewEntry

__all__ = ["TABLE_VERSION", "decode_table", "encode_table"]

TABLE_VERSION = 2
"""Part of every key under which tables are stored."""

_LEVEL = 6


def encode_table(table: LayerTable) -> bytes:
    """The table as bytes; equal tables give equal bytes on the same zlib."""
    shapes: dict[tuple[str, int, int, int, str], int] = {}
    entries = table.entries.values()
    rows = [
        shapes.setdefault((entry.kind, entry.mode, entry.uid, entry.gid, entry.layer), len(shapes)) for entry in entries
    ]
    value = {
        "version": TABLE_VERSION,
        "shapes": list(shapes),
        "paths": list(table.entries),
        "rows": rows,
        "sizes": [entry.size_bytes for entry in entries],
        "times": [entry.modified for entry in entries],
        "links": {number: entry.link for number, entry in enumerate(entries) if entry.link},
        # Bytes as Latin-1 text: nearly all are ASCII, and base64 would not compress.
        "kept": {path: data.decode("latin-1") for path, data in table.kept.items()},
        "libraries": dict(table.libraries),
    }
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode("ascii"), _LEVEL)


def decode_table(data: bytes) -> LayerTable:
    """The table that these bytes hold; an ImageError where they hold none of this version."""
    try:
        value = json.loads(zlib.decompress(data))
        if value["version"] != TABLE_VERSION:
            raise ImageError(f"a layer table of version {value['version']!r}")
        return _table(value)
    except (zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise ImageError(f"a damaged layer table: {error!r}") from error


def _table(value: dict[str, Any]) -> LayerTable:
    shapes = value["shapes"]
    links = {int(number): link for number, link in value["links"].items()}
    entries = {}
    columns = zip(value["paths"], value["rows"], value["sizes"], value["times"], strict=True)
    for number, (path, row, size_bytes, modified) in enumerate(columns):
        kind, mode, uid, gid, layer = shapes[row]
        entries[path] = ViewEntry(kind, mode, uid, gid, size_bytes, links.get(number, ""), layer, modified)
    return LayerTable(
        entries, {path: text.encode("latin-1") for path, text in value["kept"].items()}, value["libraries"]
    )
