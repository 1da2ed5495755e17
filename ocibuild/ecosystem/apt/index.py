"""Fetching the Packages indexes of a source: verified before they are read, decoded once for a store."""

import lzma
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, IntegrityError, NetworkError, UsageError
from ocibuild.core.events import EventSink, TaskFinished, TaskStarted
from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.deb822 import decode
from ocibuild.ecosystem.apt.release import IndexFile, Release
from ocibuild.ecosystem.apt.source import AptSource
from ocibuild.ecosystem.apt.universe import PackagesIndex
from ocibuild.net.client import HttpClient
from ocibuild.net.document import fetch_bytes
from ocibuild.store.store import Store

__all__ = ["FetchedSource", "IndexFetcher"]

_LARGEST_RELEASE_BYTES = 8 << 20
_LARGEST_INDEX_BYTES = 1 << 30  # unpacked; sid's main has 65 MB
_KIND = "apt-index-1"
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class FetchedSource:
    """A source with its Release file and its indexes."""

    source: AptSource
    release: Release
    indexes: tuple[PackagesIndex, ...]


@dataclass(frozen=True, slots=True)
class IndexFetcher:
    """Fetches indexes for some architectures (Debian's names, the native one first)."""

    http: HttpClient
    store: Store
    events: EventSink

    def fetch(self, source: AptSource, architectures: tuple[str, ...]) -> FetchedSource:
        """The source's verified Release file and its indexes.

        An IntegrityError for a wrong signature, hash or date; a UsageError where there is no such suite; a NetworkError
        where the server does not answer.
        """
        release = self._release(source)
        indexes = [
            PackagesIndex(self._archive(source, release, component, architecture), self._text(source, release, path))
            for component, architecture, path in _wanted(source, release, architectures)
        ]
        return FetchedSource(source, release, tuple(indexes))

    def _release(self, source: AptSource) -> Release:
        url = f"{source.release_url}InRelease"
        try:
            fetched = fetch_bytes(self.http, url, limit_bytes=_LARGEST_RELEASE_BYTES, attempted="reading package lists")
        except NetworkError as error:
            if error.status == _NOT_FOUND:
                raise UsageError(
                    f"{error.url} does not exist: the mirror has no suite {source.suite!r}",
                    hint="check the suite's name, or name a mirror that has it (mirror = in [apt] of ocibuild.toml)",
                ) from error
            raise
        release = Release.parse(source.keyring.verified(fetched.body, where=url), where=url)
        if not source.is_flat:
            release.check(source.suite, now=time.time(), is_dated=source.is_dated, where=url)
        return release

    def _archive(self, source: AptSource, release: Release, component: str, architecture: str) -> Archive:
        fields = release.fields
        base = source.suite.removeprefix("./") if source.is_flat else ""
        return Archive(
            source=source.name,
            base_path=base,
            origin=fields.get("Origin", ""),
            label=fields.get("Label", ""),
            suite=fields.get("Suite", ""),
            codename=fields.get("Codename", ""),
            version=fields.get("Version", ""),
            component=component,
            site=urlsplit(source.url).hostname or "",
            architecture=architecture,
            not_automatic=fields.get("NotAutomatic", "no") == "yes",
            but_automatic_upgrades=fields.get("ButAutomaticUpgrades", "no") == "yes",
            pin_priority=source.pin_priority,
        )

    def _text(self, source: AptSource, release: Release, path: str) -> str:
        file = _best(release, path)
        if file is None:
            return ""  # the Release file names none: there are no such packages
        record = self.store.records.get(_KIND, file.digest.hex)
        if isinstance(record, dict):
            kept = Digest("sha256", str(record.get("text")))
            if kept in self.store.blobs:
                return decode(_unpack_kept(self.store.blobs.read(kept)))
        data = self._download(source, release, file)
        text = _decompress(data, file.path)
        self.store.records.put(_KIND, file.digest.hex, {"text": self.store.blobs.add(_pack_kept(text)).hex})
        return decode(text)

    def _download(self, source: AptSource, release: Release, file: IndexFile) -> bytes:
        folder = file.path.rpartition("/")[0]
        name = f"{folder}/by-hash/SHA256/{file.digest.hex}".lstrip("/") if release.by_hash else file.path
        url = f"{source.release_url}{name}"
        self.events(TaskStarted(url, "fetching", f"{source.suite} {file.path}", file.size_bytes))
        body = fetch_bytes(self.http, url, limit_bytes=file.size_bytes + 1, attempted="reading package lists").body
        if len(body) != file.size_bytes or Digest.of(body) != file.digest:
            raise IntegrityError(
                f"{url}: not the file that the signed Release file names (expected {file.digest}, "
                f"{file.size_bytes} bytes; got {Digest.of(body)}, {len(body)} bytes)",
                hint="the mirror may be in the middle of an update: try again in some minutes",
                url=url,
            )
        self.events(TaskFinished(url))
        return body


def _wanted(source: AptSource, release: Release, architectures: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Component, architecture and path (without its compression) of each index, in apt's order."""
    if source.is_flat:
        yield "", architectures[0], "Packages"
        return
    listed = release.fields.get("Architectures", "").split()
    # "all" packages are in every architecture's index, unless the archive says that they stand apart.
    apart = "all" in listed and release.fields.get("No-Support-for-Architecture-all", "") != "Packages"
    for component in source.components:
        for architecture in (*architectures, *(["all"] if apart else [])):
            yield component, architecture, f"{component}/binary-{architecture}/Packages"


def _best(release: Release, path: str) -> IndexFile | None:
    candidates = (release.files.get(path + suffix) for suffix in (".xz", ".zst", ".gz", ""))
    return next((file for file in candidates if file is not None), None)


def _decompress(data: bytes, path: str) -> bytes:
    try:
        if path.endswith(".xz"):
            decoder = lzma.LZMADecompressor()
            text = decoder.decompress(data, _LARGEST_INDEX_BYTES)
            whole = decoder.eof
        elif path.endswith(".gz"):
            member = zlib.decompressobj(31)  # zlib.h: 15 bits of window, and 16 for a gzip header and trailer
            text = member.decompress(data, _LARGEST_INDEX_BYTES)
            whole = member.eof
        elif path.endswith(".zst"):
            text = _unpack_kept(data)
            whole = True
        else:
            return data
    except (lzma.LZMAError, zlib.error) as error:
        raise ImageError(f"{path}: corrupt: {error}") from error
    if not whole:
        raise ImageError(f"{path}: cut short, or larger than {_LARGEST_INDEX_BYTES} bytes")
    return text


def _pack_kept(text: bytes) -> bytes:
    """Packed for the store: xz takes a second to read, zstd a tenth."""
    import zstandard  # noqa: PLC0415 - only a new index needs it

    return zstandard.ZstdCompressor(level=1).compress(text)


def _unpack_kept(data: bytes) -> bytes:
    import zstandard  # noqa: PLC0415 - only a resolution needs it

    try:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST_INDEX_BYTES)
    except zstandard.ZstdError as error:
        raise ImageError(f"a corrupt package list: {error}") from error
