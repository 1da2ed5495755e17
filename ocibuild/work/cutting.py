"""Writing one layer's blob: cuts are hashed in order, compressed on every core, and written in order."""

import hashlib
from collections import deque
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from ocibuild.core.digest import Digest
from ocibuild.layer.compression import Compressor
from ocibuild.store.blobs import BlobWriter
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.fragments import Cut

__all__ = ["CutWriter"]

_HELD_PER_RAW_BYTE = 2  # a cut and, at worst, as much again for what it is compressed to


@dataclass(slots=True)
class _Pending:
    """A cut that is being compressed, and the list that its sizes go to."""

    future: "Future[bytes]"
    raw_bytes: int
    cuts: list[Cut] = field(default_factory=list)


class CutWriter:
    """Takes the raw bytes of a layer in cuts, in order. Used by one thread; compression runs in ``pool``.

    A layer that waits for memory first finishes cuts of its own, so layers that share a budget never wait for each
    other in a circle.
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
        while not self._budget.try_take(held):
            if not self._pending:
                self._budget.take(held)
                break
            self._write_first()
        self._count(raw)
        self._pending.append(_Pending(self._pool.submit(self._compress, raw), len(raw), cuts))
        while self._pending and self._pending[0].future.done():
            self._write_first()

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
            self._budget.give(_HELD_PER_RAW_BYTE * pending.raw_bytes)

    def _count(self, raw: bytes | bytearray) -> None:
        self._diff.update(raw)
        self.raw_bytes += len(raw)

    def _write_first(self) -> None:
        pending = self._pending[0]
        compressed = pending.future.result()
        self._pending.popleft()
        self._blob.write(compressed)
        pending.cuts.append(Cut(pending.raw_bytes, len(compressed)))
        self._budget.give(_HELD_PER_RAW_BYTE * pending.raw_bytes)
