"""Reading the entries of a piece out of the store, decompressed by a thread of its own while files are written."""

import io
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING

from ocibuild.core.errors import BuildError, ImageError
from ocibuild.layer.compression import open_decompressed
from ocibuild.layer.entry import Entry
from ocibuild.layer.limited import limited
from ocibuild.layer.reader import read_entries
from ocibuild.sandbox.chain import BlobRange

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["piece_entries"]

_CHUNK_BYTES = 1 << 20
_MOST_CHUNKS = 8
_SMALL_BYTES = 256 << 10
"""Of compressed data: a thread would cost more than it saves."""


def piece_entries(ranges: Sequence[BlobRange], *, where: str) -> Iterator[Entry]:
    """The entries of the tar stream that these ranges hold, each range decompressed once.

    Memory is bounded. A BuildError where a blob is not in the store any more, an ImageError where it is damaged; both
    name ``where``.
    """
    if sum(stretch.size_bytes for stretch in ranges) <= _SMALL_BYTES:
        yield from read_entries(io.BytesIO(b"".join(_chunks(ranges, where))), where=where)
        return
    with closing(_ReadAhead(_chunks(ranges, where))) as ahead:
        yield from read_entries(io.BufferedReader(ahead, _CHUNK_BYTES), where=where)


def _chunks(ranges: Sequence[BlobRange], where: str) -> Iterator[bytes]:
    for stretch in ranges:
        try:
            with stretch.blob.open("rb") as blob:
                with suppress(OSError):
                    os.utime(blob.fileno())  # noted for eviction, as BlobStore.open does
                blob.seek(stretch.offset)
                part = limited(blob, stretch.size_bytes, buffer_bytes=_CHUNK_BYTES)
                raw = open_decompressed(part, stretch.compression, where=where)
                while chunk := raw.read(_CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError as error:
            raise BuildError(
                f"{where}: the store has lost the blob {stretch.blob.name}", hint="run the build again"
            ) from error


class _ReadAhead(io.RawIOBase):
    """Gives chunks that a thread takes from an iterator, a few ahead of the reader."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._queue: Queue[bytes | OSError | ImageError | BuildError | None] = Queue(_MOST_CHUNKS)
        self._stopped = threading.Event()
        self._pending = memoryview(b"")
        self._thread = threading.Thread(target=self._fill, args=(chunks,), name="read-ahead", daemon=True)
        self._thread.start()

    def _fill(self, chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                if not self._put(chunk):
                    return
            self._put(None)
        except (OSError, ImageError, BuildError) as error:
            self._put(error)

    def _put(self, item: bytes | OSError | ImageError | BuildError | None) -> bool:
        while not self._stopped.is_set():
            with suppress(Full):
                self._queue.put(item, timeout=0.2)
                return True
        return False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        if not self._pending:
            item = self._queue.get()
            if item is None:
                self._queue.put(None)  # whoever asks again gets the end again
                return 0
            if isinstance(item, Exception):
                raise item
            self._pending = memoryview(item)
        count = min(len(target), len(self._pending))
        target[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join()
        super().close()
