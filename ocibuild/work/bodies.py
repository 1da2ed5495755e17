"""The packages' files: downloaded ahead of the layers that are made of them."""

import shutil
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from ocibuild.core.atomic import map_os_error
from ocibuild.core.errors import BuildError
from ocibuild.core.events import EventSink
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.pip.source import body_digest, is_built
from ocibuild.net.client import HttpClient
from ocibuild.net.download import Downloader, DownloadRequest
from ocibuild.net.transfer import TransferStoppedError
from ocibuild.store.store import Store

__all__ = ["PackageBodies"]

_LOOK_SECONDS = 0.2  # how soon whoever waits for a download sees that the build ends
_MOST_AT_ONCE = 6  # more connections to one mirror gained nothing, and mirrors limit them


class PackageBodies:
    """Gives each package's verified file, from the store or from its source. A context manager: leaving ends downloads.

    ``addresses`` maps a source's name to its address on this machine; a package's URL is address and path, joined.
    ``urls`` are of packages that are elsewhere on this machine's sources, by SHA-256. ``clients`` are for ecosystems
    whose servers are reached in another way than ``http`` does, ``headers`` what they want to be sent when a download
    begins. Setting ``stopped`` ends downloads.
    """

    def __init__(
        self,
        store: Store,
        addresses: Mapping[str, str],
        *,
        http: HttpClient,
        clients: Mapping[Ecosystem, HttpClient] = MappingProxyType({}),
        headers: Mapping[Ecosystem, Mapping[str, str]] = MappingProxyType({}),
        events: EventSink,
        urls: Mapping[str, str] = MappingProxyType({}),
        stopped: threading.Event | None = None,
    ) -> None:
        self._store = store
        self._addresses = dict(addresses)
        self._urls = dict(urls)
        self._downloader = Downloader(http=http, blobs=store.blobs, events=events)
        self._downloaders = {
            ecosystem: Downloader(http=client, blobs=store.blobs, events=events)
            for ecosystem, client in clients.items()
        }
        self._headers = headers
        self._futures: dict[str, Future[Path]] = {}
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, "fetch")
        self._lock = threading.Lock()
        self._stopped = stopped or threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # after a success everything that was asked for is here
            self._stopped.set()
        # A server that says nothing must not hold up the end of a build that failed.
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def add_places(self, addresses: Mapping[str, str], urls: Mapping[str, str] = MappingProxyType({})) -> None:
        """Tell of further sources and packages, as when this was made."""
        self._addresses |= addresses
        self._urls |= urls

    def url(self, package: LockedPackage) -> str:
        """Where the package's file is on this machine's sources; may hold credentials."""
        try:
            return self._urls.get(package.digest.hex) or self._addresses[package.source] + package.path
        except KeyError as error:
            raise BuildError(
                f"{package.identity}: this machine has no source named {package.source!r}",
                hint="the lock was made with other package sources; resolve again with --refresh",
            ) from error

    def is_here(self, package: LockedPackage) -> bool:
        """Whether the file is in the store already; of a package that was built, its wheel."""
        return body_digest(package) in self._store.blobs

    def fetch_ahead(self, packages: Iterable[LockedPackage]) -> None:
        """Begin to download what is not in the store, in this order."""
        for package in packages:
            self._start(package)

    def path(self, package: LockedPackage) -> Path:
        """The package's file; waits for its download. Raises what :meth:`Downloader.fetch` raises.

        A TransferStoppedError where the downloads are ended meanwhile.
        """
        future = self._start(package)
        while not wait([future], timeout=_LOOK_SECONDS).done:
            if self._stopped.is_set():
                raise TransferStoppedError(f"downloading {package.identity}: stopped")
        return future.result()

    def _start(self, package: LockedPackage) -> "Future[Path]":
        with self._lock:
            digest = body_digest(package)
            future = self._futures.get(digest.hex)
            if future is None:
                if self.is_here(package):
                    future = Future()
                    future.set_result(self._store.blobs.path(digest))
                else:
                    future = self._pool.submit(self._download, package)
                self._futures[digest.hex] = future
            return future

    def _download(self, package: LockedPackage) -> Path:
        if is_built(package):
            raise BuildError(
                f"the store has lost the wheel that was built of {package.identity}", hint="build again with --refresh"
            )
        url = self.url(package)
        if url.startswith("file:"):  # a wheel of the repository, or an index or folder of wheels on this machine
            return self._copy(Path(unquote(urlsplit(url).path)), package)
        headers = self._headers.get(package.ecosystem, MappingProxyType({}))
        request = DownloadRequest((url,), package.digest, package.size_bytes, package.identity, headers)
        downloader = self._downloaders.get(package.ecosystem, self._downloader)
        return downloader.fetch(request, stopped=self._stopped)

    def _copy(self, path: Path, package: LockedPackage) -> Path:
        blobs = self._store.blobs
        try:
            with path.open("rb") as source, blobs.writer(expected=package.digest, where=str(path)) as writer:
                shutil.copyfileobj(source, writer, 1 << 20)
        except OSError as error:
            raise map_os_error(error, attempted=f"reading {path} for {package.identity}") from error
        return blobs.path(package.digest)
