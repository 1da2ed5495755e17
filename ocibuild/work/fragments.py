"""What the store knows of fragments: their tables, their notes, and the layers that hold their bytes.

A fragment has no file of its own. Its table is a blob; its compressed cuts lie inside the blob of a layer, and a record
says where. A record whose blob was evicted counts as absent.
"""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.image.table import TABLE_VERSION, decode_table, encode_table
from ocibuild.image.view import LayerTable
from ocibuild.layer.compression import Compression
from ocibuild.layer.observation import OBSERVATION_VERSION
from ocibuild.store.store import Store

__all__ = ["TABLE_KIND", "Cut", "FragmentLocation", "FragmentStore", "KnownFragment"]

TABLE_KIND = f"fragment-table-{TABLE_VERSION}-{OBSERVATION_VERSION}"
_LOCATION_KIND = "fragment-in-"
_LARGEST_PART_BYTES = 8 << 20


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
    """Where a fragment's cuts lie, one behind the other, inside a layer's blob.

    ``sha256`` is of the compressed bytes, where the blob is in a shared cache that told it; else "".
    """

    blob: Digest
    offset: int
    cuts: tuple[Cut, ...]
    sha256: str = ""

    @property
    def size_bytes(self) -> int:
        """The size of all cuts as they are compressed."""
        return sum(cut.compressed_bytes for cut in self.cuts)


class FragmentStore:
    """Fragments by key, as records and table blobs of a :class:`Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> KnownFragment | None:
        """The fragment's table and notes, or None where the store does not know it."""
        value = self._store.records.get(TABLE_KIND, key)
        with contextlib.suppress(FileNotFoundError, ImageError, UsageError, KeyError, TypeError, AttributeError):
            table = decode_table(self._store.blobs.read(Digest.sha256(value["table"])))
            notes = {name: text.encode("latin-1") for name, text in value["notes"].items()}
            return KnownFragment(key, table, notes)
        return None

    def put(self, fragment: KnownFragment) -> None:
        """Remember a fragment's table and notes."""
        digest = self._store.blobs.add(encode_table(fragment.table))
        notes = {name: data.decode("latin-1") for name, data in fragment.notes.items()}
        self._store.records.put(TABLE_KIND, fragment.key, {"table": digest.hex, "notes": notes})

    def locate(self, key: str, compression: Compression) -> FragmentLocation | None:
        """Where the fragment's bytes are in this compression, or None where no layer that is to be had does."""
        value: Any = self._store.records.get(_LOCATION_KIND + compression.value, key)
        try:
            location = FragmentLocation(
                Digest.sha256(value["blob"]),
                int(value["offset"]),
                tuple(Cut(int(r), int(c)) for r, c in value["cuts"]),
                str(value.get("sha256") or ""),
            )
        except (KeyError, TypeError, ValueError, UsageError):
            return None
        return location if self._store.holds(location.blob) else None

    def open(self, location: FragmentLocation) -> BinaryIO:
        """A reader of the fragment's compressed bytes; FileNotFoundError where its layer is not to be had any more.

        A small part of a layer in a shared cache is read by itself; for a large one the whole layer is fetched.
        """
        blobs = self._store.blobs
        if location.sha256 and location.blob not in blobs and location.size_bytes <= _LARGEST_PART_BYTES:
            part = blobs.part(location.blob, location.offset, location.size_bytes, location.sha256)
            if part is not None:
                return io.BytesIO(part)
        blob = blobs.open(location.blob)
        blob.seek(location.offset)
        return blob

    def remember(self, key: str, compression: Compression, location: FragmentLocation) -> None:
        """Note that this layer holds the fragment."""
        value = {
            "blob": location.blob.hex,
            "offset": location.offset,
            "cuts": [(cut.raw_bytes, cut.compressed_bytes) for cut in location.cuts],
        }
        self._store.records.put(_LOCATION_KIND + compression.value, key, value)
