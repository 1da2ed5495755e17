"""The shared caches of one build: what is asked of them, what is written to them, and when that ends.

Trust (design, section 8). An entry is a claim: who can write it can replace packages in every image that takes it. So
reading is the default; writing is asked for, by the user and never by a repository, and has a login of its own; the
claims are kept apart from what this machine made (:mod:`ocibuild.store.claims`). Package layers are written before a
step starts. A step on a rung that is no security boundary could do what this process can, so after it nothing is
written.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.package import LockedPackage
from ocibuild.core.reference import Reference
from ocibuild.store.claims import claiming_store
from ocibuild.store.store import Store
from ocibuild.work.cache_records import SINGLE_KINDS, is_published, published_key, record_key
from ocibuild.work.cache_settings import CacheSettings, cache_name

if TYPE_CHECKING:
    from ocibuild.work.access import RegistryAccess
    from ocibuild.work.cache_reader import CacheReader
    from ocibuild.work.cache_turn import CacheTurn
    from ocibuild.work.cache_writer import CacheWriter
    from ocibuild.work.layers import MadeLayer
    from ocibuild.work.remote import Remote

__all__ = ["ASKED_KIND", "CONFINED_RUNGS", "LOCK_KIND", "USE_KIND", "SharedCache"]

ASKED_KIND, LOCK_KIND = "asked", "lock"
"""Kinds of entries that answer a whole image, but for the repository's own files: by what is asked, and by its lock."""

_MAKING_KIND = "making"
CONFINED_RUNGS = frozenset({"sub-ids", "one-id"})
"""The rungs on which a step cannot reach what this process can."""

USE_KIND = "cache-use-1"
"""Records of what a cache gave, for ``ocibuild cache``."""


class SharedCache:
    """What a build knows of its caches. A context manager; nothing is asked, nor HTTP imported, before a question.

    ``store`` is the machine's store as this build sees it. ``key`` is that of what is asked
    (:attr:`.BuildRequest.frame_key`).
    """

    def __init__(
        self,
        settings: CacheSettings,
        key: str,
        *,
        store: Store,
        max_age_seconds: float,
        environment: Mapping[str, str],
        events: EventSink,
        access: "RegistryAccess | None" = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._key = key
        self._max_age_seconds = max_age_seconds
        self._environment = environment
        self._events = events
        self._access = access
        self._now = now
        self._stack = contextlib.ExitStack()
        self._opened: Remote | None = None
        self._read: CacheReader | None = None
        self._write: CacheWriter | None = None
        self._turn: CacheTurn | None = None
        self._locks: list[tuple[str, str]] = []
        self._used_count = self._used_bytes = 0
        self.store, self.records = claiming_store(
            store, settings.names, ask=self._answer, on_new=self._note, elsewhere=self
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if self._write is not None:
                self._write.close(wait=kind is None)
            if kind is None:
                self._count()

    # Reading.

    def ask(self, kind: str, key: str) -> bool:
        """Whether a cache has this entry; what it says is in the store's records then."""
        return self._reader().ask(kind, key)

    def ask_all(self, questions: Iterable[tuple[str, str]]) -> Sequence[bool]:
        """As :meth:`ask`, several at once."""
        questions = list(questions)
        return self._reader().ask_all(questions) if questions else []

    def ask_image(self) -> bool:
        """Whether a cache has an answer to all that is asked."""
        return self.ask(ASKED_KIND, self._key)

    def ask_lock(self, key: str) -> None:
        """Ask for all that is made of a lock; what this build makes is written under its key too."""
        self._locks.append((LOCK_KIND, key))
        self.ask(LOCK_KIND, key)

    def fetch(self, digest: Digest) -> bool:
        """See :class:`~ocibuild.store.claims.Fetches`."""
        return self._reader().fetch(digest) if self.store.elsewhere(digest) is not None else False

    def range(self, digest: Digest, offset: int, size_bytes: int, sha256: str) -> bytes:
        """See :class:`~ocibuild.store.claims.Fetches`."""
        return self._reader().range(digest, offset, size_bytes, sha256)

    def mounts(self, digest: Digest, registry: str) -> tuple[str, ...]:
        """The repositories of this registry that have the layer, as the caches say or as was just written there."""
        known = self.store.elsewhere(digest)
        names = list(known.caches) if known is not None else []
        if self._write is not None and self._write.has(digest):
            names.append(self._settings.names[0])
        places = [place for place in self._settings.places if cache_name(place) in names]
        return tuple(place.repository for place in places if place.registry == registry)

    def note_use(self, blobs: Callable[[], Iterable[Descriptor]]) -> None:
        """Count which of an image's blobs came from a cache, where one was asked."""
        if self._read is not None:
            came = {each.digest: each.size_bytes for each in blobs() if self.store.elsewhere(each.digest) is not None}
            self._used_count, self._used_bytes = len(came), sum(came.values())

    # Writing.

    def withhold(self, packages: Iterable[LockedPackage]) -> None:
        """Write nothing that holds these packages: they are the repository's own."""
        writer = self._writer()
        if writer is not None:
            writer.withhold(f"{package.ecosystem} {package.identity}" for package in packages)

    def made(self, layer: "MadeLayer") -> "Future[None] | None":
        """Take note of a layer that is in the image; the write that has begun where it is to be written."""
        writer = self._writer()
        return writer.add_layer(layer) if writer is not None else None

    def wants_all(self) -> bool:
        """Whether the answer to what is asked is still to be written, so that all of it must be looked at."""
        if not self._settings.writes:
            return False
        key = published_key(self._settings.names[0], ASKED_KIND, self._key)
        return not is_published(self.store, key, now=self._now()) and not self.ask_image()

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """The turn to make what is asked, among all that write to this cache; True where another one has made it."""
        writer = self._writer()
        if writer is None:
            yield False
            return
        from ocibuild.work.cache_turn import CacheTurn  # noqa: PLC0415 - only builds that write take turns

        reader = self._reader()
        self._turn = CacheTurn(
            lambda word: writer.put_word(_MAKING_KIND, self._key, word),
            lambda: reader.word(_MAKING_KIND, self._key),
            lambda: reader.ask_again(ASKED_KIND, self._key),
            events=self._events,
        )
        with self._turn.taken() as is_made:
            yield is_made
            writer.settle()  # so that it is there when the turn ends

    def before_step(self, rung: str) -> None:
        """Let what was made so far be written before a step runs; the last that is, where the step is not confined."""
        writer = self._writer()
        if writer is None:
            return
        writer.settle()
        if rung not in CONFINED_RUNGS:
            writer.add_bundle(ASKED_KIND, self._key, also=self._locks)
            writer.settle()
            if self._turn is not None:
                self._turn.end()
            writer.close()
            self._events(Notice(f"nothing more is written to the cache {self._settings.names[0]}: steps run as {rung}"))

    def finished(self) -> None:
        """Write the answer to what was asked, now that all of it is known."""
        writer = self._writer()
        if writer is not None:
            writer.settle()
            writer.add_bundle(ASKED_KIND, self._key, also=self._locks)

    # Inside.

    def _answer(self, kind: str, key: str, known: Any) -> Any:
        """A record, asked of the caches where it is one of those that have an entry each, and is missing or too old."""
        if not kind.startswith(SINGLE_KINDS):
            return known
        if known is not None:
            resolved = known.get("resolved") if isinstance(known, dict) else None
            if resolved is None or self._now() - float(resolved) <= self._max_age_seconds:
                return known
        return self.records.peek(kind, key) if self.ask("record", record_key(kind, key)) else known

    def _note(self, kind: str, key: str) -> None:
        writer = self._writer()
        if writer is not None and kind.startswith(SINGLE_KINDS):
            writer.add_record(kind, key)

    def _remote(self) -> "Remote":
        """Connections of the cache's own, which are less patient: a build does without a cache."""
        if self._opened is None:
            from ocibuild.net.policy import HttpPolicy  # noqa: PLC0415 - see the class
            from ocibuild.work.access import RegistryAccess  # noqa: PLC0415 - see the class
            from ocibuild.work.remote import open_remote  # noqa: PLC0415 - see the class

            access, settings = self._access or RegistryAccess(), self._settings
            if settings.username is not None:
                access = replace(
                    access,
                    username=settings.username,
                    password_file=settings.password_file,
                    login_registry=settings.places[0].registry,
                )
            policy = HttpPolicy(tries=2, first_wait_seconds=0.2, connect_timeout_seconds=5.0, read_timeout_seconds=30.0)
            self._opened = self._stack.enter_context(
                open_remote(
                    environment=self._environment, store=self.store, events=self._events, access=access, policy=policy
                )
            )
        return self._opened

    def _reader(self) -> "CacheReader":
        if self._read is None:
            from ocibuild.work.cache_reader import CacheReader  # noqa: PLC0415 - see the class

            self._read = CacheReader(
                self._settings.places,
                lambda: self._remote().registries,
                self.store,
                self.records,
                events=self._events,
                now=self._now,
            )
        return self._read

    def _writer(self) -> "CacheWriter | None":
        if self._write is None and self._settings.writes:
            from ocibuild.work.cache_writer import CacheWriter  # noqa: PLC0415 - see the class

            place: Reference = self._settings.places[0]
            self._write = CacheWriter(
                cache_name(place),
                lambda: self._remote().registries.repository(place),
                self.store,
                self.records,
                known=self._reader().layers,
                events=self._events,
                now=self._now,
            )
        return self._write

    def _count(self) -> None:
        """Add what the caches gave to what is remembered of them."""
        if self._read is None:
            return
        key = Digest.of(" ".join(self._settings.names).encode()).hex
        value = self.records.get(USE_KIND, key) or {}
        written = self._write.written_bytes if self._write is not None else 0
        found = {
            "caches": list(self._settings.names),
            "hits": value.get("hits", 0) + self._read.hits,
            "misses": value.get("misses", 0) + self._read.misses,
            "layers": value.get("layers", 0) + self._used_count,
            "saved_bytes": value.get("saved_bytes", 0) + self._used_bytes,
            "written_bytes": value.get("written_bytes", 0) + written,
        }
        self.records.put(USE_KIND, key, found)
