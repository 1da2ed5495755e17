"""Reading a blob as a stream: verified, and gone on with where a connection breaks off."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.errors import IntegrityError, NetworkError
from ocibuild.net.client import HttpClient
from ocibuild.net.document import content_range
from ocibuild.net.response import InterruptedBodyError, Response
from ocibuild.net.transfer import Opener
from ocibuild.registry.client import registry_error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["open_verified"]

_OK, _PARTIAL_CONTENT = 200, 206
_BUFFER_BYTES = 1 << 18


def open_verified(openers: Sequence[Opener], descriptor: Descriptor, *, http: HttpClient, where: str) -> BinaryIO:
    """A reader of the blob, from the first of these servers that has it, to be closed by the caller.

    Reading raises a NetworkError where the connection breaks more often than the HTTP policy allows, and an
    IntegrityError at the blob's end unless size and digest are the descriptor's: what was read before is not to be
    trusted until then. Not one byte more than the descriptor's size is handed out.
    """
    attempted = f"reading blob {descriptor.digest} of {where}"
    response, opener = _first_answer(openers, attempted)
    return io.BufferedReader(_BlobReader(response, opener, descriptor, http=http, attempted=attempted), _BUFFER_BYTES)


def _first_answer(openers: Sequence[Opener], attempted: str) -> tuple[Response, Opener]:
    """The answer of the first server that has the blob, and how to ask it again."""
    last = NetworkError(f"{attempted}: there is no server to ask")
    for opener in openers:
        try:
            response = opener({})
        except NetworkError as error:
            last = error
            continue
        if response.status == _OK:
            return response, opener
        with response:
            last = registry_error(response, attempted)
    raise last


class _BlobReader(io.RawIOBase):
    def __init__(
        self, response: Response, opener: Opener, descriptor: Descriptor, *, http: HttpClient, attempted: str
    ) -> None:
        super().__init__()
        self._response = response
        self._opener = opener
        self._descriptor = descriptor
        self._http = http
        self._attempted = attempted
        self._hash = hashlib.new(descriptor.digest.algorithm)
        self._blocks: Iterator[bytes] = response.chunks(_BUFFER_BYTES)
        self._pending = memoryview(b"")
        self._position = 0
        self._skip_bytes = 0
        self._failures = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        while not self._pending and not self._ended:
            self._pending = memoryview(self._next_block())
        count = min(len(target), len(self._pending))
        target[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    def _next_block(self) -> bytes:
        """The next bytes; none where the stream broke and was opened again, or where the blob ended."""
        try:
            block = next(self._blocks, b"")
        except InterruptedBodyError as error:
            self._reopen(error)
            return b""
        if not block and self._position < self._descriptor.size_bytes:
            self._reopen(self._too_short())
            return b""
        if not block:
            self._verify()
            return b""
        skipped = min(len(block), self._skip_bytes)
        self._skip_bytes -= skipped
        block = block[skipped:]
        if block:
            self._failures = 0
            self._position += len(block)
            if self._position > self._descriptor.size_bytes:
                raise IntegrityError(f"{self._attempted}: it is longer than its {self._descriptor.size_bytes} bytes")
            self._hash.update(block)
        return block

    def _too_short(self) -> InterruptedBodyError:
        return InterruptedBodyError(
            f"{self._attempted}: it ended after {self._position} of {self._descriptor.size_bytes} bytes",
            method="GET",
            url=self._response.shown_url,
            status=self._response.status,
            temporary=True,
        )

    def _reopen(self, error: InterruptedBodyError) -> None:
        self._response.close()
        self._failures += 1
        if not error.temporary or self._failures >= self._http.policy.tries:
            raise error
        self._http.pause(self._failures, why=error.message)
        self._response = self._opener({"Range": f"bytes={self._position}-"} if self._position else {})
        self._blocks = self._response.chunks(_BUFFER_BYTES)
        told = content_range(self._response)
        if self._response.status == _PARTIAL_CONTENT and told is not None and told[0] == self._position:
            self._skip_bytes = 0
        elif self._response.status == _OK:
            # The server takes no ranges. Should these be other bytes than the first time, the digest will show it.
            self._skip_bytes = self._position
        else:
            raise registry_error(self._response, self._attempted)

    def _verify(self) -> None:
        self._ended = True
        if self._hash.hexdigest() != self._descriptor.digest.hex:
            raise IntegrityError(
                f"{self._attempted}: expected {self._descriptor.digest},"
                f" got {self._descriptor.digest.algorithm}:{self._hash.hexdigest()}"
            )

    def close(self) -> None:
        if not self.closed:
            self._response.close()
        super().close()
