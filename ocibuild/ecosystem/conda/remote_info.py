"""What packages say of themselves whose bodies are not here yet: read out of the remote files, piece by piece.

A .conda keeps its metadata at the end, where its table of contents is, and a .tar.bz2 at the beginning. What is read so
is hostile: nothing vouches for it before the whole file is verified. It is compared then (:mod:`.place`, the notes).
"""

import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from ocibuild.core.atomic import map_os_error
from ocibuild.core.digest import Digest
from ocibuild.core.errors import NetworkError
from ocibuild.core.events import EventSink, TaskFinished, TaskStarted
from ocibuild.core.package import LockedPackage
from ocibuild.net.client import HttpClient
from ocibuild.net.document import fetch_range
from ocibuild.store.store import Store

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["PackageFacts", "remote_facts"]

_KIND = "conda-unverified-info"
_BLOCK_BYTES = 64 << 10  # most packages' metadata fits into one
_CONNECTIONS = 6
_OK = 200


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What of a package matters before it is placed.

    ``distributions`` are the Python distributions in it, name -> version; ``post_link`` is the path below the prefix of
    the script that it wants to be run, empty where it has none.
    """

    distributions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    post_link: str = ""


def remote_facts(
    packages: Iterable[LockedPackage],
    url_of: Callable[[LockedPackage], str],
    *,
    fetch: Callable[[LockedPackage], Path],
    http: HttpClient,
    store: Store,
    events: EventSink,
) -> dict[Digest, PackageFacts]:
    """Package digest -> its facts.

    A package that the store holds is read there; what was read elsewhere is remembered by the package's digest. Bodies
    are fetched (``fetch``) only from a server that gives no parts of files. A NetworkError where a channel does not
    answer; an ImageError for what is no conda package.
    """

    def facts(package: LockedPackage) -> PackageFacts:
        known = _decode(store.records.get(_KIND, package.digest.hex))
        if known is not None:
            return known
        task = f"info {package.digest.hex[:16]}"
        events(TaskStarted(task, "reading the list of files of", package.identity))
        found = _read(package, url_of(package), fetch, http, store)
        store.records.put(_KIND, package.digest.hex, _encode(found))
        events(TaskFinished(task))
        return found

    distinct = {package.digest: package for package in packages}
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return dict(zip(distinct, pool.map(facts, distinct.values()), strict=True))


def _read(
    package: LockedPackage, url: str, fetch: Callable[[LockedPackage], Path], http: HttpClient, store: Store
) -> PackageFacts:
    if package.digest in store.blobs:
        return _facts_of(store.blobs.path(package.digest), package)
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        try:
            return _facts_of(path, package)
        except OSError as error:
            raise map_os_error(error, attempted=f"reading {path} for {package.identity}") from error
    try:
        size_bytes = package.size_bytes or fetch_range(http, url, start_bytes=0, length_bytes=1).total_bytes
        if size_bytes is not None:  # locks of other tools may not say it
            remote = io.BufferedReader(_RemoteFile(http, url, size_bytes, package.identity), _BLOCK_BYTES)
            return _facts_of(cast("BinaryIO", remote), package)
    except NetworkError as error:
        if error.status != _OK:
            raise
    return _facts_of(fetch(package), package)


def _facts_of(body: Path | BinaryIO, package: LockedPackage) -> PackageFacts:
    # Imported here: a build with nothing to do imports this module, and reads no package.
    from ocibuild.ecosystem.conda.archive import CondaArchive  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.conda.distributions import distributions_among  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.conda.metadata import PackageInfo  # noqa: PLC0415 - see above

    with CondaArchive(body, name=package.fields.get("filename") or package.identity) as archive:
        paths = PackageInfo.read(archive).paths
    script = f"bin/.{package.name}-post-link.sh"
    return PackageFacts(MappingProxyType(distributions_among(paths)), script if script in paths else "")


class _RemoteFile(io.RawIOBase):
    """A file on a server of which only the parts that are read are fetched, in blocks, each once."""

    def __init__(self, http: HttpClient, url: str, size_bytes: int, name: str) -> None:
        super().__init__()
        self._http = http
        self._url = url
        self._size_bytes = size_bytes
        self._name = name
        self._position = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        if self._position >= self._size_bytes:
            return 0
        # Blocks are counted from the end, so that the table of contents and what lies before it are in one.
        from_end = self._size_bytes - self._position
        number = (from_end - 1) // _BLOCK_BYTES
        start = max(0, self._size_bytes - (number + 1) * _BLOCK_BYTES)
        piece = self._block(number, start)[self._position - start :][: len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _block(self, number: int, start: int) -> bytes:
        if number not in self._blocks:
            length = self._size_bytes - number * _BLOCK_BYTES - start
            attempted = f"reading the list of files of {self._name}"
            found = fetch_range(self._http, self._url, start_bytes=start, length_bytes=length, attempted=attempted)
            self._blocks[number] = found.body
        return self._blocks[number]


def _encode(facts: PackageFacts) -> dict[str, Any]:
    return {"distributions": dict(facts.distributions), "post_link": facts.post_link}


def _decode(value: Any) -> PackageFacts | None:
    try:
        found = {str(name): str(version) for name, version in value["distributions"].items()}
        return PackageFacts(MappingProxyType(found), str(value["post_link"]))
    except (TypeError, KeyError, AttributeError):
        return None  # absent, or not written by this program: it is read again
