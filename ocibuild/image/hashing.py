"""A stream that is hashed and counted while somebody else reads it."""

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.core.digest import Digest
from ocibuild.core.errors import OcibuildError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["HashingReader"]

_CHUNK_BYTES = 1 << 20


class HashingReader(io.RawIOBase):
    """Passes a stream's bytes on. What has been read so far is in ``digest`` and ``size_bytes``.

    Read it through :meth:`buffered`, so that small reads do not become small updates of the hash. Closing it does not
    close the stream below. ``broken`` tells whether reading the stream below failed: there is no going on then.
    ``on_read`` is told the number of bytes of every read.
    """

    def __init__(
        self, stream: BinaryIO, *, algorithm: str = "sha256", on_read: Callable[[int], None] | None = None
    ) -> None:
        super().__init__()
        self._stream = stream
        self._hash = hashlib.new(algorithm)
        self._algorithm = algorithm
        self._on_read = on_read
        self.size_bytes = 0
        self.broken = False

    def readable(self) -> bool:
        """True: it is only read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer as far as one read of the stream below does."""
        target = memoryview(buffer).cast("B")
        try:
            data = self._stream.read(len(target))
        except OcibuildError:
            self.broken = True
            raise
        target[: len(data)] = data
        self._hash.update(data)
        self.size_bytes += len(data)
        if self._on_read is not None and data:
            self._on_read(len(data))
        return len(data)

    def buffered(self) -> io.BufferedReader:
        """A reader of any size of reads on top of this one."""
        return io.BufferedReader(self, _CHUNK_BYTES)

    def drain(self) -> None:
        """Read what is left of the stream, so that digest and size are those of all of it."""
        while self.read(_CHUNK_BYTES):
            pass

    @property
    def digest(self) -> Digest:
        """The digest of what has been read so far."""
        return Digest(self._algorithm, self._hash.hexdigest())
