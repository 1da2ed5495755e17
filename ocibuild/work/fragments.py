"""What the store knows of fragments: their tables, their notes, and the layers that hold their bytes.

A fragment has no file of its own. Its table is a blob; its compressed cuts lie inside the blob of a layer, and a record
says where. A record whose blob was evicted counts as absent.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.image.table import TABLE_VERSION, decode_table, encode_table
from ocibuild.image.view import LayerTable
from ocibuild.layer.compression import Compression
from ocibuild.layer.observation import OBSERVATION_VERSION
from ocibuild.store.store import Store

__all__ = ["Cut", "FragmentLocation", "FragmentStore", "KnownFragment"]

_TABLE_KIND = f"fragment-table-{TABLE_VERSION}-{OBSERVATION_VERSION}"
_LOCATION_KIND = "fragment-in-"


@dataclass(frozen=True, slots=True)
class KnownFragment:
    """What a fragment holds, and the notes that placing it left (:class:`ocibuild.layer.placement.Placement`)."""

    key: str
    table: LayerTable
    notes: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Cut:
    """The sizes of one cut before and after compression, in bytes."""

    raw_bytes: int
    compressed_bytes: int


@dataclass(frozen=True, slots=True)
class FragmentLocation:
    """Where a fragment's cuts lie, one behind the other, inside a layer's blob."""

    blob: Digest
    offset: int
    cuts: tuple[Cut, ...]


class FragmentStore:
    """Fragments by key, as records and table blobs of a :class:`Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> KnownFragment | None:
        """The fragment's table and notes, or None where the store does not know it."""
        value = self._store.records.get(_TABLE_KIND, key)
        with contextlib.suppress(FileNotFoundError, ImageError, UsageError, KeyError, TypeError, AttributeError):
            table = decode_table(self._store.blobs.read(Digest.sha256(value["table"])))
            notes = {name: text.encode("latin-1") for name, text in value["notes"].items()}
            return KnownFragment(key, table, notes)
        return None

    def put(self, fragment: KnownFragment) -> None:
        """Remember a fragment's table and notes."""
        digest = self._store.blobs.add(encode_table(fragment.table))
        notes = {name: data.decode("latin-1") for name, data in fragment.notes.items()}
        self._store.records.put(_TABLE_KIND, fragment.key, {"table": digest.hex, "notes": notes})

    def locate(self, key: str, compression: Compression) -> FragmentLocation | None:
        """Where the fragment's bytes are in this compression, or None where no layer in the store holds them."""
        value: Any = self._store.records.get(_LOCATION_KIND + compression.value, key)
        try:
            location = FragmentLocation(
                Digest.sha256(value["blob"]), int(value["offset"]), tuple(Cut(int(r), int(c)) for r, c in value["cuts"])
            )
        except (KeyError, TypeError, ValueError, UsageError):
            return None
        return location if location.blob in self._store.blobs else None

    def remember(self, key: str, compression: Compression, location: FragmentLocation) -> None:
        """Note that this layer holds the fragment."""
        value = {
            "blob": location.blob.hex,
            "offset": location.offset,
            "cuts": [(cut.raw_bytes, cut.compressed_bytes) for cut in location.cuts],
        }
        self._store.records.put(_LOCATION_KIND + compression.value, key, value)
