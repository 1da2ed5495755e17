"""Asking shared caches, and believing what they say as far as it goes: the records go where claims are kept."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, IntegrityError, NetworkError, OcibuildError, UsageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.reference import Reference
from ocibuild.image.manifest import layer_compression
from ocibuild.layer.compression import open_decompressed
from ocibuild.registry.cache_entry import Bundle, CachedLayer, CacheEntry, entry_tag
from ocibuild.registry.cache_repository import read_entry
from ocibuild.registry.registries import Registries
from ocibuild.store.claims import ClaimedRecords, ClaimError
from ocibuild.store.elsewhere import ElsewhereBlob
from ocibuild.store.store import Store
from ocibuild.work.cache_records import LOCATION_KINDS, is_better, is_shared
from ocibuild.work.cache_settings import cache_name

__all__ = ["REFUSED_KIND", "CacheReader"]

REFUSED_KIND = "refused-claim-1"
"""Records of blobs that were not what a cache had said: what names them is not believed again."""

_MOST_AT_ONCE = 8
_BLOCK_BYTES = 1 << 20


class CacheReader:
    """Asks the caches of one build, each question once; safe for several threads.

    ``store`` is the claiming store and ``records`` are its records. A cache that cannot be reached is told of once, and
    not asked again; an entry that is not what it should be is refused, with a warning.
    """

    def __init__(
        self,
        places: Sequence[Reference],
        registries: Callable[[], Registries],
        store: Store,
        records: ClaimedRecords,
        *,
        events: EventSink,
        now: Callable[[], float],
    ) -> None:
        self._places = list(places)
        self._registries = registries
        self._store = store
        self._records = records
        self._events = events
        self._now = now
        self._lock = threading.Lock()
        self._asked: dict[str, bool] = {}
        self._asking: dict[str, threading.Lock] = {}
        self.layers: dict[Digest, CachedLayer] = {}
        self.hits = 0
        self.misses = 0

    def ask(self, kind: str, key: str) -> bool:
        """Whether a cache has the entry; what it says is in the store's records then."""
        tag = entry_tag(kind, key)
        with self._lock:
            asking = self._asking.setdefault(tag, threading.Lock())
        with asking:
            if tag not in self._asked:
                self._asked[tag] = any(self._read(place, kind, key) for place in list(self._places))
                self.hits += self._asked[tag]
                self.misses += not self._asked[tag]
            return self._asked[tag]

    def ask_again(self, kind: str, key: str) -> bool:
        """As :meth:`ask`, whatever was answered before."""
        with self._lock:
            if not self._asked.get(entry_tag(kind, key)):
                self._asked.pop(entry_tag(kind, key), None)
        return self.ask(kind, key)

    def word(self, kind: str, key: str) -> str | None:
        """The word of an entry in the first cache that holds nothing else; None where there is none to be had."""
        for place in self._places[:1]:
            with contextlib.suppress(OcibuildError):
                found = read_entry(
                    self._registries().source(replace(place, tag=entry_tag(kind, key))), kind=kind, key=key
                )
                return None if found is None else str(found[0].inputs.get("word", ""))
        return None

    def ask_all(self, questions: Iterable[tuple[str, str]]) -> list[bool]:
        """As :meth:`ask`, several at once."""
        questions = list(questions)
        if len(questions) < 2 or not self._places:  # noqa: PLR2004 - one needs no threads
            return [self.ask(*question) for question in questions]
        with ThreadPoolExecutor(_MOST_AT_ONCE, "cache") as pool:
            return list(pool.map(lambda question: self.ask(*question), questions))

    def fetch(self, digest: Digest) -> bool:
        """Bring a layer that a cache has into the store, verified; False where no cache is known to have it.

        A ClaimError where it cannot be had, or is not what the cache said it would be.
        """
        known = self._store.elsewhere(digest)
        if known is None:
            return False
        with self._lock:
            fetching = self._asking.setdefault(str(digest), threading.Lock())
        with fetching:
            if digest not in self._store.blobs:
                self._fetch(known)
        return True

    def range(self, digest: Digest, offset: int, size_bytes: int, sha256: str) -> bytes:
        """A part of a layer that a cache has, which must have this SHA-256; a ClaimError where it cannot be had."""
        known = self._store.elsewhere(digest)
        headers = {"Range": f"bytes={offset}-{offset + size_bytes - 1}"}
        for place in self._having(known):
            with contextlib.suppress(NetworkError):
                repository = self._registries().repository(place)
                with repository.open_blob(digest, headers=headers) as response:
                    if response.status != 206:  # noqa: PLR2004 - partial content
                        continue
                    content = response.document(limit_bytes=size_bytes)
                if hashlib.sha256(content).hexdigest() == sha256:
                    return content
        raise self._broken(digest, "a part of it is not what was promised, or cannot be had")

    def _having(self, known: ElsewhereBlob | None) -> list[Reference]:
        return [place for place in self._places if known is not None and cache_name(place) in known.caches]

    def _fetch(self, known: ElsewhereBlob) -> None:
        digest, reason = known.descriptor.digest, "it is not there any more"
        for place in self._having(known):
            try:
                self._registries().source(place).fetch_blob(known.descriptor)
            except NetworkError as error:
                reason = error.message
                continue
            try:
                self._check_content(known)
            except ImageError as error:
                self._store.blobs.path(digest).unlink(missing_ok=True)
                raise self._broken(digest, error.message) from error
            return
        raise self._broken(digest, reason)

    def _check_content(self, known: ElsewhereBlob) -> None:
        """An ImageError unless the blob decompresses to what the cache said, to the byte."""
        descriptor, state, left_bytes = known.descriptor, hashlib.sha256(), known.raw_bytes
        where = f"layer {descriptor.digest}"
        with self._store.blobs.open(descriptor.digest) as blob:
            raw = open_decompressed(blob, layer_compression(descriptor, where=where), where=where)
            while block := raw.read(min(_BLOCK_BYTES, left_bytes + 1)):
                state.update(block)
                left_bytes -= len(block)
                if left_bytes < 0:
                    raise ImageError(f"{where}: it is larger than the cache says")
        if left_bytes or state.hexdigest() != known.diff_id.hex:
            raise ImageError(f"{where}: its diff_id is sha256:{state.hexdigest()}, and the cache says {known.diff_id}")

    def _broken(self, digest: Digest, reason: str) -> ClaimError:
        self._records.put(REFUSED_KIND, digest.hex, {"reason": reason})
        return ClaimError(f"a shared cache has lost or changed the layer {digest}: {reason}", digest=digest)

    def _read(self, place: Reference, kind: str, key: str) -> bool:
        name = cache_name(place)
        try:
            source = self._registries().source(replace(place, tag=entry_tag(kind, key)))
            found = read_entry(source, kind=kind, key=key)
            if found is None:
                return False
            entry, bundle, _ = found
            self._check(entry, bundle)
            self._believe(name, entry, bundle)
        except (ImageError, IntegrityError, UsageError) as error:
            self._events(Notice(f"an entry of the cache {name} is refused: {error.message}", warning=True))
            return False
        except OcibuildError as error:
            with self._lock:
                if place in self._places:
                    self._places.remove(place)
                    self._events(Notice(f"the cache {name} is not used: {error.message}", warning=True))
            return False
        return True

    def _check(self, entry: CacheEntry, bundle: Bundle) -> None:
        """An ImageError where an entry says what no entry may."""
        for kind, _ in bundle.records:
            if not is_shared(kind):
                raise ImageError(f"it holds a record of the kind {kind!r}, which is not shared")
        for layer in entry.layers:
            if self._records.peek(REFUSED_KIND, layer.descriptor.digest.hex) is not None:
                raise ImageError(f"it names the layer {layer.descriptor.digest}, which was not what it should be")

    def _believe(self, name: str, entry: CacheEntry, bundle: Bundle) -> None:
        store, records = self._store, self._records
        for content in bundle.blobs.values():
            store.blobs.add(content)
        hashes = {
            (layer.descriptor.digest.hex, key): sha256
            for layer in entry.layers
            for key, (_, _, sha256) in layer.fragments.items()
        }
        for layer in entry.layers:
            digest = layer.descriptor.digest
            self.layers[digest] = layer
            known = store.elsewhere(digest)
            caches = tuple(dict.fromkeys((*(known.caches if known else ()), name)))
            where = ElsewhereBlob(replace(layer.descriptor, annotations={}), layer.diff_id, layer.raw_bytes, caches)
            records.claim(*where.record())
        for (kind, key), value in bundle.records.items():
            if kind in LOCATION_KINDS and isinstance(value, dict):
                value["sha256"] = hashes.get((str(value.get("blob")), key))  # this part can be read by itself then
            if is_better(kind, records.peek(kind, key), value, store, now=self._now()):
                records.claim(kind, key, value)
