"""Writing one layer's blob: cuts are hashed in order, compressed on every core, and written in order."""

import contextlib
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from ocibuild.core.digest import Digest
from ocibuild.layer.compression import Compressor
from ocibuild.store.blobs import BlobWriter
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.fragments import Cut

__all__ = ["CutWriter"]

_HELD_PER_RAW_BYTE = 2  # a cut and, at worst, as much again for what it is compressed to
_DECODER_BYTES = 10 << 20  # what xz -6, the level of most .debs, needs for decoding, and a buffer


@dataclass(slots=True)
class _Pending:
    """A cut that is being compressed, the permits held for it, and the list that its sizes go to."""

    future: "Future[bytes]"
    raw_bytes: int
    held_bytes: int
    cuts: list[Cut] = field(default_factory=list)


class CutWriter:
    """Takes the raw bytes of a layer in cuts, in order. Used by one thread; compression runs in ``pool``.

    A layer reserves memory for the one cut that it works on, and more for cuts that wait only where there is some: it
    waits for memory only while it holds none, so layers that share a budget never wait for each other in a circle.
    """

    def __init__(self, blob: BlobWriter, compressor: Compressor, *, pool: Executor, budget: MemoryBudget) -> None:
        self._blob = blob
        self._compress = compressor.compress
        self._pool = pool
        self._budget = budget
        self._pending: deque[_Pending] = deque()
        self._diff = hashlib.sha256()
        self.raw_bytes = 0

    @property
    def diff_id(self) -> Digest:
        """The digest of all raw bytes so far."""
        return Digest("sha256", self._diff.hexdigest())

    def add(self, raw: bytearray | bytes, cuts: list[Cut]) -> None:
        """Compress and write this cut; its sizes are appended to ``cuts`` when it has been written."""
        held = _HELD_PER_RAW_BYTE * len(raw)
        if not self._budget.try_take(held):
            self.flush()
            if not self._budget.try_take(held):
                held = 0  # the reservation is for this cut alone: it is written before the next is begun
        self._count(raw)
        self._pending.append(_Pending(self._pool.submit(self._compress, raw), len(raw), held, cuts))
        while self._pending and (self._pending[0].future.done() or not held):
            self._write_first()

    @contextlib.contextmanager
    def reserved(self, raw_bytes: int) -> Iterator[None]:
        """Memory for making cuts of at most ``raw_bytes`` each, one at a time; waits for it."""
        reserved = _DECODER_BYTES + (1 + _HELD_PER_RAW_BYTE) * raw_bytes  # one is filled while another is compressed
        if not self._budget.try_take(reserved):
            self.flush()
            self._budget.take(reserved)
        try:
            yield
        finally:
            self._budget.give(reserved)

    def add_compressed(self, compressed: bytes, raw: bytes, cuts: list[Cut]) -> None:
        """Write a cut that is compressed already."""
        self.flush()
        self._count(raw)
        self._blob.write(compressed)
        cuts.append(Cut(len(raw), len(compressed)))

    def flush(self) -> int:
        """Wait until all cuts are written; the size of the blob then, in bytes."""
        while self._pending:
            self._write_first()
        return self._blob.size_bytes

    def abandon(self) -> None:
        """Give back the memory of cuts that will not be written."""
        while self._pending:
            pending = self._pending.popleft()
            pending.future.cancel()
            self._budget.give(pending.held_bytes)

    def _count(self, raw: bytes | bytearray) -> None:
        self._diff.update(raw)
        self.raw_bytes += len(raw)

    def _write_first(self) -> None:
        pending = self._pending[0]
        compressed = pending.future.result()
        self._pending.popleft()
        self._blob.write(compressed)
        pending.cuts.append(Cut(pending.raw_bytes, len(compressed)))
        self._budget.give(pending.held_bytes)
