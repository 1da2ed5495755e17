"""Verified downloads into the store: several at once, resumed where they broke off, visible only when whole."""

import errno
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.atomic import map_os_error
from ocibuild.core.digest import Digest
from ocibuild.core.events import EventSink, discard
from ocibuild.core.turns import turn
from ocibuild.net.client import HttpClient
from ocibuild.net.partial import Partial
from ocibuild.net.transfer import Opener, Transfer
from ocibuild.store.blobs import BlobStore

__all__ = ["DownloadRequest", "Downloader"]


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """A file to have: where it is (mirrors, asked in this order), and what it must be.

    ``subject`` is its name in messages. ``size_bytes`` is None where it is not known beforehand. ``headers`` go to
    every URL, so they must hold no credentials: those stand in a URL, or in ``.netrc``.
    """

    urls: tuple[str, ...]
    digest: Digest
    size_bytes: int | None
    subject: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)


class Downloader:
    """Brings files into the store's blobs; may be used from several threads, beside other processes.

    What breaks off stays as a partial file, which the next attempt, in this process or a later one, goes on with.
    """

    def __init__(self, *, http: HttpClient, blobs: BlobStore, events: EventSink = discard) -> None:
        self._http = http
        self._blobs = blobs
        self._events = events

    def fetch(self, request: DownloadRequest, *, stopped: threading.Event | None = None) -> Path:
        """The file's place in the store, downloaded where it is not there yet.

        A NetworkError where no URL gives it (the last one's error), an IntegrityError where what came has not the
        digest or size that was promised, a MachineError where the disk is full. After any of them the store is as
        it was. Setting ``stopped`` from another thread ends the download with its next bytes, by a
        TransferStoppedError.
        """

        def opener(url: str) -> Opener:
            return lambda headers: self._http.request("GET", url, headers={**request.headers, **headers})

        return self.fetch_from(
            [opener(url) for url in request.urls],
            digest=request.digest,
            size_bytes=request.size_bytes,
            subject=request.subject,
            stopped=stopped,
        )

    def fetch_from(
        self,
        openers: Iterable[Opener],
        *,
        digest: Digest,
        size_bytes: int | None,
        subject: str,
        stopped: threading.Event | None = None,
    ) -> Path:
        """As :meth:`fetch`, with functions that send the requests: for servers that want more than a GET of a URL.

        What another process downloads at this moment into the same store is waited for.
        """
        if digest in self._blobs:
            return self._blobs.path(digest)
        stopped = stopped or threading.Event()
        with turn(self._blobs.folder.with_name("turns") / f"fetch-{digest.hex}", stopped=stopped.is_set):
            return self._fetch_from(openers, digest, size_bytes, subject, stopped)

    def _fetch_from(
        self,
        openers: Iterable[Opener],
        digest: Digest,
        size_bytes: int | None,
        subject: str,
        stopped: threading.Event,
    ) -> Path:
        if digest in self._blobs:
            return self._blobs.path(digest)
        try:
            with Partial.claimed(self._blobs.path(digest).parent, digest) as partial:
                transfer = Transfer(
                    http=self._http,
                    partial=partial,
                    digest=digest,
                    size_bytes=size_bytes,
                    subject=subject,
                    events=self._events,
                    stopped=stopped,
                )
                try:
                    transfer.run(openers)
                    return self._blobs.adopt(partial.finish(), digest)
                except OSError as error:
                    if error.errno in (errno.ENOSPC, errno.EDQUOT):
                        partial.discard()  # whoever has no space left needs it
                    raise
        except OSError as error:
            raise map_os_error(error, attempted=f"downloading {subject}") from error
