"""Writing what a build has made into a shared cache, while the build goes on."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ocibuild import __version__
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import OcibuildError
from ocibuild.core.events import EventSink, Notice
from ocibuild.layer.compression import Compression
from ocibuild.registry.cache_entry import Bundle, CachedLayer, CacheEntry
from ocibuild.registry.cache_repository import write_entry
from ocibuild.registry.content import BlobContent
from ocibuild.registry.repository import Repository
from ocibuild.store.claims import ClaimedRecords
from ocibuild.store.store import Store
from ocibuild.work.cache_records import (
    LOCATION_KINDS,
    PUBLISHED_KIND,
    WHEEL_KIND,
    blobs_of,
    is_published,
    is_shared,
    published_key,
    record_key,
)
from ocibuild.work.fragments import TABLE_KIND
from ocibuild.work.frame import EDITABLE_LAYER, SOURCE_LAYER
from ocibuild.work.layer_cache import near_key, parts_key
from ocibuild.work.layers import MadeLayer

__all__ = ["CacheWriter"]

_MOST_AT_ONCE = 3
_PRIVATE_LAYERS = frozenset({SOURCE_LAYER, EDITABLE_LAYER})
_LARGEST_RECORD_BYTES = 32 << 20


class CacheWriter:
    """Writes to one cache, in threads of its own; nothing that fails here fails a build. Safe for several threads.

    Layers of the repository's own files and packages are never written. After :meth:`close` nothing is.
    """

    def __init__(
        self,
        name: str,
        repository: Callable[[], Repository],
        store: Store,
        records: ClaimedRecords,
        *,
        known: dict[Digest, CachedLayer],
        events: EventSink,
        now: Callable[[], float],
    ) -> None:
        self._name = name
        self._repository = repository
        self._store = store
        self._records = records
        self._known = known
        self._events = events
        self._now = now
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, "cache-write")
        self._futures: list[Future[None]] = []
        self._private: set[str] = set()
        self._withheld: set[str] = set()
        self._seen: set[Digest] = set()
        self._lock = threading.Lock()
        self._is_open = True
        self.written_bytes = 0

    def add_layer(self, layer: MadeLayer) -> "Future[None] | None":
        """Write a layer that was made; None where there is nothing to wait for."""
        if layer.name in _PRIVATE_LAYERS or not self._withheld.isdisjoint(layer.packages):
            self._private.update(fragment.key for fragment in layer.fragments)
            self._private.add(layer.key)
            return None
        digest = layer.descriptor.digest
        if digest in self._seen or not self._is_open:
            return None
        self._seen.add(digest)
        if digest in self._known and digest not in self._store.blobs:
            return None  # it is a cache's own
        return self._submit(lambda: self._write_layer(layer))

    def withhold(self, packages: Iterable[str]) -> None:
        """Write no layer of these packages, which are named as layers name them: they are the repository's own."""
        self._withheld.update(packages)

    def add_record(self, kind: str, key: str) -> None:
        """Write a record as an entry of its own."""
        self._submit(lambda: self._write_record(kind, key))

    def add_bundle(self, kind: str, key: str, *, also: Sequence[tuple[str, str]] = ()) -> None:
        """Write all that this process has used or found, with the layers that the cache has, as one entry."""
        self._submit(lambda: self._write_bundle(kind, key, also))

    def put_word(self, kind: str, key: str, word: str) -> None:
        """Write an entry that holds nothing but a word, at once. Raises what a registry raises."""
        if self._is_open:
            write_entry(self._repository(), self._entry(kind, key, (), {"word": word}), Bundle())

    def has(self, digest: Digest) -> bool:
        """Whether the cache has this layer, as far as this process knows."""
        return digest in self._known

    def settle(self) -> None:
        """Wait until all that was added is written, or was given up."""
        while self._futures:
            self._futures.pop().result()

    def close(self, *, wait: bool = True) -> None:
        """Write nothing any more."""
        if wait:
            self.settle()
        self._is_open = False
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _submit(self, write: Callable[[], None]) -> "Future[None] | None":
        if not self._is_open:
            return None

        def attempt() -> None:
            if not self._is_open:
                return
            try:
                write()
            except OcibuildError as error:
                with self._lock:
                    was_open, self._is_open = self._is_open, False
                if was_open:
                    self._events(Notice(f"the cache {self._name} is not written: {error.message}", warning=True))

        future = self._pool.submit(attempt)
        self._futures.append(future)
        return future

    def _write_layer(self, layer: MadeLayer) -> None:
        codec = _codec(layer.descriptor)
        value = self._records.peek(f"layer-{codec}", layer.key)
        cached = self._cached_layer(layer, value, codec)
        published = published_key(self._name, codec, layer.key, str(layer.descriptor.digest))
        if is_published(self._store, published, now=self._now()):
            self._known[layer.descriptor.digest] = cached
            return
        repository = self._repository()
        path = self._store.blobs.path(layer.descriptor.digest)
        repository.put_blob(BlobContent(cached.descriptor, path))
        self._known[layer.descriptor.digest] = cached
        records = {(f"layer-{codec}", layer.key): value} if value else {}
        for number, fragment in enumerate(layer.fragments):
            location = _location(layer, value, number)
            if location is not None:
                records[f"fragment-in-{codec}", fragment.key] = location
            table = self._records.peek(TABLE_KIND, fragment.key)
            if table is not None:
                records[TABLE_KIND, fragment.key] = table
        inputs = {"layer": layer.name, "packages": list(layer.packages)}
        parts = parts_key(fragment.key for fragment in layer.fragments)
        names = (("parts-" + codec, parts), ("near-" + codec, near_key(layer.packages)))
        entry = self._entry(f"layer-{codec}", layer.key, [cached], inputs)
        also = names if len(layer.fragments) > 1 else names[:1]
        write_entry(repository, entry, self._bundle(records), also=also)
        self.written_bytes += layer.descriptor.size_bytes
        self._records.put(PUBLISHED_KIND, published, {"time": self._now()})

    def _write_record(self, kind: str, key: str) -> None:
        value = self._records.peek(kind, key)
        if value is None or _is_local(value) or (kind.startswith(WHEEL_KIND) and not value.get("is_of_index")):
            return  # a wheel of a folder or a checkout is as private as they are
        entry = self._entry("record", record_key(kind, key), (), {"record": kind})
        bundle = self._bundle({(kind, key): value})
        if sum(map(len, bundle.blobs.values())) < _LARGEST_RECORD_BYTES:
            write_entry(self._repository(), entry, bundle)

    def _write_bundle(self, kind: str, key: str, also: Sequence[tuple[str, str]]) -> None:
        there = {digest.hex for digest in self._known}
        records: dict[tuple[str, str], Any] = {}
        for used in self._records.used:
            value = self._records.peek(*used)
            if not is_shared(used[0]) or used[1] in self._private or not isinstance(value, dict) or _is_local(value):
                continue
            if used[0].startswith(WHEEL_KIND):  # what was made of it is there
                continue
            if used[0] in LOCATION_KINDS and value.get("blob") not in there:
                continue
            records[used] = value
        named = {str(value.get("digest") or value.get("blob")) for value in records.values()}
        layers = [layer for digest, layer in self._known.items() if digest.hex in named]
        write_entry(self._repository(), self._entry(kind, key, layers, {}), self._bundle(records), also=also)
        self._records.put(PUBLISHED_KIND, published_key(self._name, kind, key), {"time": self._now()})

    def _bundle(self, records: dict[tuple[str, str], Any]) -> Bundle:
        """The records with the blobs that they need; those whose blobs are gone are left out."""
        layers = frozenset(digest.hex for digest in self._known)
        kept: dict[tuple[str, str], Any] = {}
        blobs: dict[str, bytes] = {}
        for (kind, key), value in records.items():
            try:
                needed = {name: self._store.blobs.read(Digest.sha256(name)) for name in blobs_of(kind, value, layers)}
            except (OSError, KeyError, TypeError, OcibuildError):
                continue
            kept[kind, key] = value
            blobs |= needed
        return Bundle(MappingProxyType(kept), MappingProxyType(blobs))

    def _entry(self, kind: str, key: str, layers: Iterable[CachedLayer], inputs: dict[str, Any]) -> CacheEntry:
        return CacheEntry(kind, key, __version__, self._now(), tuple(layers), inputs)

    def _cached_layer(self, layer: MadeLayer, value: Any, codec: str) -> CachedLayer:
        path = self._store.blobs.path(layer.descriptor.digest)
        places = {}
        for number, fragment in enumerate(layer.fragments):
            location = _location(layer, value, number)
            if location is not None:
                size_bytes = sum(compressed for _, compressed in location["cuts"])
                places[fragment.key] = (location["offset"], size_bytes)
        return CachedLayer(
            replace(layer.descriptor, annotations=MappingProxyType({})),
            layer.diff_id,
            layer.raw_bytes,
            str(value.get("compressor", codec)) if isinstance(value, dict) else codec,
            layer.name,
            layer.packages,
            MappingProxyType({key: (*place, _hash(path, *place)) for key, place in places.items()}),
        )


def _codec(descriptor: Descriptor) -> str:
    return next(each.value for each in Compression if each.media_type == descriptor.media_type)


def _location(layer: MadeLayer, value: Any, number: int) -> dict[str, Any] | None:
    """Where fragment ``number`` lies in this layer, as its layer's record tells; None in one of an older version."""
    cuts = value.get("cuts") if isinstance(value, dict) else None
    if not isinstance(cuts, list) or len(cuts) != len(layer.fragments):
        return None
    offset = sum(compressed for each in cuts[:number] for _, compressed in each)
    return {"blob": layer.descriptor.digest.hex, "offset": offset, "cuts": cuts[number]}


def _hash(path: Path, offset: int, size_bytes: int) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(offset)
        while size_bytes and (block := file.read(min(size_bytes, 1 << 20))):
            state.update(block)
            size_bytes -= len(block)
    return state.hexdigest()


def _is_local(value: Any) -> bool:
    """Whether a record names folders of this machine."""
    addresses = value.get("addresses") if isinstance(value, dict) else None
    return isinstance(addresses, dict) and any(str(address).startswith("file:") for address in addresses.values())
