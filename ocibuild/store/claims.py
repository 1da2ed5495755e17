"""The store as a build sees it that trusts shared caches: what they say is kept apart, and counts in such builds alone.

An entry of a shared cache is a claim: whoever can write it decides what is in the layers that it names. So all that a
build learns with caches, and all that it makes of what it learnt, goes to a folder of its own for exactly these caches;
a build without them, or with others, never reads it. What is verified by itself (signed package lists, blobs by their
digest) is shared with every build.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError
from ocibuild.store.blobs import BlobStore
from ocibuild.store.images import ImageNames
from ocibuild.store.records import RecordStore
from ocibuild.store.store import Store

__all__ = ["ClaimError", "ClaimedRecords", "Fetches", "claiming_store", "claims_folder", "forget_claims"]

_EVERYBODYS = ("apt-", "image", "source-digests", "upload-strategy", "refused-claim", "cache-")
"""Kinds of records that no cache can decide: they are this machine's, whichever build writes them."""

Ask = Callable[[str, str, Any], Any]
"""Gives the value of a record by kind, key and what is known of it (None: nothing)."""
Told = Callable[[str, str], None]
"""Is told of a record by kind and key."""


class ClaimError(IntegrityError):
    """What a shared cache claimed turned out wrong, or cannot be had any more; ``digest`` is the blob's."""

    def __init__(self, message: str, *, digest: Digest) -> None:
        super().__init__(message)
        self.digest = digest


class ClaimedRecords(RecordStore):
    """Records in a folder of their own over those of the machine, which are read and not written.

    ``ask`` may know more than is written here. ``used`` tells what was read or written so far, in that order.
    """

    def __init__(self, folder: Path, below: RecordStore, *, ask: Ask, on_new: Told) -> None:
        super().__init__(folder)
        self._below = below
        self._ask = ask
        self._on_new = on_new
        self._used: dict[tuple[str, str], None] = {}

    def get(self, kind: str, key: str) -> Any:
        """As of :class:`RecordStore`; what no claim says, the machine's own record does."""
        if kind.startswith(_EVERYBODYS):
            return self._below.get(kind, key)
        value = self._ask(kind, key, self.peek(kind, key))
        if value is not None:
            self._used[kind, key] = None
        return value

    def peek(self, kind: str, key: str) -> Any:
        """The record without asking anybody, and without noting its use."""
        value = super().get(kind, key)
        return self._below.get(kind, key) if value is None else value

    def put(self, kind: str, key: str, value: Any) -> None:
        """As of :class:`RecordStore`."""
        if kind.startswith(_EVERYBODYS):
            self._below.put(kind, key, value)
            return
        super().put(kind, key, value)
        self._used[kind, key] = None
        self._on_new(kind, key)

    def claim(self, kind: str, key: str, value: Any) -> None:
        """Write down what somebody else said."""
        super().put(kind, key, value)

    def remove(self, kind: str, key: str) -> None:
        """As of :class:`RecordStore`."""
        (self._below.remove if kind.startswith(_EVERYBODYS) else super().remove)(kind, key)

    def keys(self, kind: str) -> Iterator[str]:
        """As of :class:`RecordStore`."""
        yield from {*super().keys(kind), *self._below.keys(kind)}

    @property
    def used(self) -> tuple[tuple[str, str], ...]:
        """Kind and key of every record that this process has read or written here."""
        return tuple(self._used)


class Fetches(Protocol):
    """Brings what is elsewhere: whole blobs into the store, and parts of blobs."""

    def fetch(self, digest: Digest) -> bool:
        """Bring the blob into the store; False where nobody is known to have it."""

    def range(self, digest: Digest, offset: int, size_bytes: int, sha256: str) -> bytes:
        """A part of the blob, with this SHA-256."""


class _ClaimedBlobs(BlobStore):
    def __init__(self, folder: Path, elsewhere: Fetches) -> None:
        super().__init__(folder)
        self._elsewhere = elsewhere

    def bring(self, digest: Digest) -> Path:
        if digest not in self and not self._elsewhere.fetch(digest):
            raise FileNotFoundError(self.path(digest))
        return self.path(digest)

    def part(self, digest: Digest, offset: int, size_bytes: int, sha256: str) -> bytes | None:
        return self._elsewhere.range(digest, offset, size_bytes, sha256)


def claims_folder(store: Path, caches: Sequence[str]) -> Path:
    """Where the store in this folder keeps what exactly these caches said."""
    return store / "claims" / sha256("\n".join(caches).encode()).hexdigest()[:32]


def forget_claims(store: Path, caches: Sequence[str]) -> None:
    """Drop all that exactly these caches said to the store in this folder."""
    shutil.rmtree(claims_folder(store, caches), ignore_errors=True)


def claiming_store(
    store: Store, caches: Sequence[str], *, ask: Ask, on_new: Told, elsewhere: Fetches
) -> tuple[Store, ClaimedRecords]:
    """The store as builds with these caches see it, and its records. ``elsewhere`` has blobs."""
    records = ClaimedRecords(claims_folder(store.folder, caches), store.records, ask=ask, on_new=on_new)
    blobs = _ClaimedBlobs(store.blobs.folder, elsewhere)
    return Store(store.folder, blobs, records, ImageNames(records), store.notice), records
