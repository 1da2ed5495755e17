"""One verified, resumable transfer of a file of known digest, from any of several servers."""

import threading
from collections.abc import Callable, Iterable, Mapping

from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, NetworkError, OcibuildError
from ocibuild.core.events import EventSink, TaskAdvanced, TaskFinished, TaskStarted
from ocibuild.net.client import HttpClient
from ocibuild.net.document import content_range
from ocibuild.net.partial import Partial
from ocibuild.net.response import InterruptedBodyError, Response

__all__ = ["Opener", "Transfer", "TransferStoppedError"]

_OK, _PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 200, 206, 416

Opener = Callable[[Mapping[str, str]], Response]
"""Sends a GET for one file with these further headers (Range, If-Range), and returns the answer whatever its status."""


class TransferStoppedError(OcibuildError):
    """The transfer was given up because nobody waits for it any more."""


class Transfer:
    """Fills a partial file until it is the blob of ``digest``."""

    def __init__(
        self,
        *,
        http: HttpClient,
        partial: Partial,
        digest: Digest,
        size_bytes: int | None,
        subject: str,
        events: EventSink,
        stopped: threading.Event,
    ) -> None:
        self._http = http
        self._partial = partial
        self._digest = digest
        self._size_bytes = size_bytes
        self._subject = subject
        self._attempted = f"downloading {subject}"
        self._events = events
        self._stopped = stopped
        self._task = f"download {digest}"
        self._told_bytes = 0
        self._shown_url: str | None = None

    def run(self, openers: Iterable[Opener]) -> None:
        """Ask one server after the other until the file is whole and has the digest.

        Raises the last server's NetworkError or IntegrityError where none gives it. The partial file is kept where
        its bytes may be right, and emptied where they are known to be wrong.
        """
        self._events(TaskStarted(self._task, "downloading", self._subject, self._size_bytes))
        outcome = "failed"
        try:
            if self._partial.digest == self._digest:  # an earlier process ended before the move into the store
                outcome = ""
                return
            last: NetworkError = NetworkError(f"{self._attempted}: there is no URL to download it from")
            for opener in openers:
                try:
                    self._from(opener)
                except NetworkError as error:
                    last = error
                else:
                    outcome = ""
                    return
            raise last
        finally:
            self._events(TaskFinished(self._task, outcome))

    def _from(self, opener: Opener) -> None:
        """Bring the file from one server; bytes of an earlier attempt that turn out wrong are fetched again once."""
        began_bytes = self._partial.size_bytes
        self._fill(opener)
        if self._partial.digest != self._digest and began_bytes:
            self._partial.restart()
            self._fill(opener)
        if self._partial.digest != self._digest:
            got = self._partial.digest
            self._partial.restart()
            raise IntegrityError(
                f"{self._attempted}: expected {self._digest}, got {got} from {self._shown_url}",
                url=self._shown_url,
                hint="the file at the server changed, or something on the way (a proxy, a mirror) altered it",
            )

    def _fill(self, opener: Opener) -> None:
        """Append until the file has its size or the server says that it is complete; what breaks off goes on."""
        failures, most_bytes = 0, self._partial.size_bytes
        while self._size_bytes is None or self._partial.size_bytes != self._size_bytes:
            self._check_wanted()
            try:
                with opener(self._headers()) as response:
                    if self._append(response):
                        return
            except InterruptedBodyError as error:
                # A long file over a bad line: only attempts that bring nothing new count. A file that is too short at
                # the server begins again and again, and never comes further.
                failures = 1 if self._partial.size_bytes > most_bytes else failures + 1
                most_bytes = max(most_bytes, self._partial.size_bytes)
                if not error.temporary or failures >= self._http.policy.tries:
                    raise
                self._http.pause(failures, why=error.message)

    def _headers(self) -> dict[str, str]:
        if not self._partial.size_bytes:
            return {}
        headers = {"Range": f"bytes={self._partial.size_bytes}-"}
        return headers | ({"If-Range": self._partial.validator} if self._partial.validator else {})

    def _append(self, response: Response) -> bool:
        """Take an answer's bytes; True where the file is complete, False where to ask again from the start."""
        self._shown_url = response.shown_url
        if response.status == _PARTIAL_CONTENT and self._partial.size_bytes:
            told = content_range(response)
            if told is None or told[0] != self._partial.size_bytes or self._is_other_size(told[2]):
                self._partial.restart()
                return False
        elif response.status == _RANGE_NOT_SATISFIABLE and self._partial.size_bytes:
            self._partial.restart()
            return False
        elif response.status == _OK:
            self._partial.restart(validator=_validator(response))
        else:
            raise response.failure(self._attempted)
        self._tell()
        for block in response.chunks():
            self._check_wanted()
            if self._size_bytes is not None and self._partial.size_bytes + len(block) > self._size_bytes:
                self._partial.restart()
                raise IntegrityError(
                    f"{self._attempted}: {response.shown_url} gives more than the {self._size_bytes} bytes expected",
                    method=response.method,
                    url=response.shown_url,
                    status=response.status,
                )
            self._partial.write(block)
            self._tell()
        if self._size_bytes is not None and self._partial.size_bytes < self._size_bytes:
            raise InterruptedBodyError(
                f"{self._attempted}: {response.shown_url} ended after {self._partial.size_bytes} of"
                f" {self._size_bytes} bytes",
                method=response.method,
                url=response.shown_url,
                status=response.status,
                temporary=True,
            )
        return True

    def _check_wanted(self) -> None:
        if self._stopped.is_set():
            raise TransferStoppedError(f"{self._attempted}: stopped")

    def _is_other_size(self, total_bytes: int | None) -> bool:
        return self._size_bytes is not None and total_bytes is not None and total_bytes != self._size_bytes

    def _tell(self) -> None:
        """Report progress; bytes that come a second time are not counted again."""
        if self._partial.size_bytes > self._told_bytes:
            self._events(TaskAdvanced(self._task, self._partial.size_bytes - self._told_bytes))
            self._told_bytes = self._partial.size_bytes


def _validator(response: Response) -> str:
    """What If-Range may name: a strong ETag, else Last-Modified (RFC 9110, 13.1.5)."""
    etag = response.headers.get("etag", "")
    return etag if etag.startswith('"') else response.headers.get("last-modified", "")
