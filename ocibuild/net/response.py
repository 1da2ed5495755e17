"""An HTTP answer: its head at once, its body as a stream."""

import zlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ocibuild.core.errors import NetworkError
from ocibuild.net.address import redacted
from ocibuild.net.failure import foreign_errors, network_error
from ocibuild.net.policy import is_temporary

if TYPE_CHECKING:
    import requests

__all__ = ["BLOCK_BYTES", "InterruptedBodyError", "Response"]

BLOCK_BYTES = 1 << 18
"""How much of a body is read at a time: small blocks cost CPU, larger ones gain nothing (measured)."""

_GZIP_WINDOW = 31  # zlib.h: 15 bits of window, and 16 for a gzip header and trailer
_DRAINED_BYTES = 1 << 16  # a rest up to this is read so that the connection can be used again
_QUOTED_BYTES = 2048
_QUOTED_CHARACTERS = 300


class InterruptedBodyError(NetworkError):
    """The head of an answer came, but its body broke off or ended too early: asking again may help."""


class Response:
    """The answer to one request; close it, or use it as a context manager.

    ``headers`` have lower-case names. ``url`` is the one that answered, redirects followed, and may hold secrets:
    show ``shown_url``. The body comes as it was sent: no Content-Encoding is undone but by :meth:`document`.
    """

    def __init__(self, foreign: "requests.Response", *, method: str, url: str) -> None:
        self._foreign = foreign
        self.method = method
        self.url = url
        self.status: int = foreign.status_code
        self._read_bytes = 0
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in foreign.headers.items()}

    @property
    def shown_url(self) -> str:
        """The URL for messages."""
        return redacted(self.url)

    def chunks(self, size_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The rest of the body. An :class:`InterruptedBodyError` where the connection breaks or ends too early."""
        while block := self._read(size_bytes):
            yield block

    def _read(self, size_bytes: int) -> bytes:
        try:
            block: bytes = self._foreign.raw.read(size_bytes, decode_content=False)
        except foreign_errors() as error:
            mapped = network_error(error, method=self.method, url=self.url)
            raise self._interrupted(mapped.message, temporary=mapped.temporary, hint=mapped.hint) from error
        self._read_bytes += len(block)
        # urllib3 before version 2 takes a body that is too short for a whole one.
        if not block and self.method != "HEAD" and self._read_bytes < (self.length_bytes or 0):
            raise self._interrupted(
                f"{self.method} {self.shown_url}: the connection ended before the whole answer came"
            )
        return block

    def _interrupted(self, message: str, *, temporary: bool = True, hint: str | None = None) -> InterruptedBodyError:
        return InterruptedBodyError(
            message, method=self.method, url=self.shown_url, status=self.status, temporary=temporary, hint=hint
        )

    @property
    def length_bytes(self) -> int | None:
        """The length of the body, as the server tells it; None where it does not."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def body(self, *, limit_bytes: int) -> bytes:
        """The rest of the body as it was sent; a NetworkError where it is longer than ``limit_bytes``."""
        blocks, total = [], 0
        for block in self.chunks():
            blocks.append(block)
            total += len(block)
            if total > limit_bytes:
                raise self._too_long(limit_bytes)
        return b"".join(blocks)

    def document(self, *, limit_bytes: int) -> bytes:
        """The body of a small document, decompressed where the server compressed it although it was asked not to.

        What is named ``.gz`` stays as it is: servers call such a file's own compression an encoding as well.
        """
        data = self.body(limit_bytes=limit_bytes)
        encoding = self.headers.get("content-encoding", "").strip().lower()
        path = self.url.partition("?")[0]
        if encoding not in ("gzip", "x-gzip") or path.endswith((".gz", ".tgz")):
            return data
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            plain = member.decompress(data, limit_bytes + 1)
        except zlib.error as error:
            raise NetworkError(
                f"{self.method} {self.shown_url}: a gzip encoding that cannot be undone: {error}",
                method=self.method,
                url=self.shown_url,
                status=self.status,
            ) from error
        if len(plain) > limit_bytes:
            raise self._too_long(limit_bytes)
        return plain

    def _too_long(self, limit_bytes: int) -> NetworkError:
        return NetworkError(
            f"{self.method} {self.shown_url}: the answer is longer than {limit_bytes} bytes",
            method=self.method,
            url=self.shown_url,
            status=self.status,
        )

    def failure(self, attempted: str) -> NetworkError:
        """The NetworkError that says: ``attempted`` failed, because this is no status that was hoped for."""
        quoted = self.quoted()
        return NetworkError(
            f"{attempted}: {self.method} {self.shown_url}: {self.status_text}{f': {quoted}' if quoted else ''}",
            method=self.method,
            url=self.shown_url,
            status=self.status,
            temporary=is_temporary(self.status),
            hint=_HINTS.get(self.status),
        )

    @property
    def status_text(self) -> str:
        """The status with its name: ``404 Not Found``."""
        from http import HTTPStatus  # noqa: PLC0415 - for messages only

        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def quoted(self) -> str:
        """The beginning of a plain-text or JSON body in one line, for messages; empty for anything else."""
        kind = self.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
        if self.method == "HEAD" or (kind != "text/plain" and not kind.endswith("json")):
            return ""
        try:
            text = self._read(_QUOTED_BYTES).decode(errors="replace")
        except NetworkError:
            return ""
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_QUOTED_CHARACTERS]

    def close(self) -> None:
        """Give the connection back, for use again where little of the body is unread."""
        length = self.length_bytes
        try:
            if length is not None and length <= _DRAINED_BYTES:
                self._foreign.raw.read(decode_content=False)
            self._foreign.close()
        except foreign_errors():
            self._foreign.raw.close()  # the answer is not wanted any more: how it ended does not matter

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_HINTS = {
    401: "the server wants a user and password: put them into ~/.netrc or into the URL of this source",
    403: "the server refuses access with these credentials",
    407: "the proxy wants a user and password: put them into HTTPS_PROXY",
    429: "the server limits how often it may be asked: try again later",
}
