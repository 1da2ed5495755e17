"""Sending layers to a registry while others are still made."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from types import TracebackType
from typing import Self

from ocibuild.core.digest import Digest
from ocibuild.core.errors import OcibuildError
from ocibuild.registry.content import BlobContent
from ocibuild.registry.push import MOST_AT_ONCE
from ocibuild.registry.repository import Repository
from ocibuild.store.store import Store
from ocibuild.work.layers import MadeLayer

__all__ = ["PushAhead"]


class PushAhead:
    """A head start for the push, which comes when the image is made, asks for every blob, and is the one that fails.

    So an error here only ends the head start. A layer that the image turns out not to need was sent in vain: that takes
    two packages with one path, where the first placing of one of them is not the last. A context manager: leaving it
    waits for what is on its way, or ends it where the build failed. ``mount_from`` names repositories of the same
    registry that may have a layer.
    """

    def __init__(
        self, repository: Repository, store: Store, *, mount_from: Callable[[Digest], Sequence[str]] = lambda _: ()
    ) -> None:
        self._mount_from = mount_from
        self._repository = repository
        self._store = store
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, "push-ahead")
        self._stopped = threading.Event()
        self._added: set[Digest] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stopped.set()
        self._pool.shutdown(wait=kind is None, cancel_futures=kind is not None)

    def add(self, layer: MadeLayer, *, after: "Future[None] | None" = None) -> None:
        """Send this layer when its turn comes, once; and when ``after`` is done, from where it may be mounted then."""
        with self._lock:
            if layer.descriptor.digest not in self._added:
                self._added.add(layer.descriptor.digest)
                self._pool.submit(self._send, layer, after)

    def _send(self, layer: MadeLayer, after: "Future[None] | None") -> None:
        if after is not None:
            wait([after])
        if self._stopped.is_set():
            return
        digest = layer.descriptor.digest
        content = BlobContent(layer.descriptor, partial(self._store.blobs.bring, digest))
        try:
            self._repository.put_blob(content, mount_from=self._mount_from(digest), stopped=self._stopped)
        except OcibuildError:
            self._stopped.set()
