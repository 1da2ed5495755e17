"""A stretch of a stream as a stream of its own."""

import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["limited"]


def limited(stream: BinaryIO, size_bytes: int, *, buffer_bytes: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
    """The next ``size_bytes`` of a stream, fewer where it ends before. Closing it does not close ``stream``."""
    return io.BufferedReader(_Limited(stream, size_bytes), buffer_bytes)


class _Limited(io.RawIOBase):
    def __init__(self, stream: BinaryIO, size_bytes: int) -> None:
        super().__init__()
        self._stream = stream
        self._left_bytes = size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")[: self._left_bytes]
        data = self._stream.read(len(target))
        target[: len(data)] = data
        self._left_bytes -= len(data)
        return len(data)
