"""Packages indexes: fetched by hash, verified before they are decoded, and kept in the store by what they hold."""

import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass, field

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, IntegrityError, NetworkError
from ocibuild.core.events import EventSink, Notice, TaskAdvanced, TaskFinished, TaskStarted
from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.decompression import open_by_suffix
from ocibuild.ecosystem.apt.release import IndexFile, Release
from ocibuild.ecosystem.apt.source import Source
from ocibuild.ecosystem.apt.universe import PackagesIndex
from ocibuild.net.address import redacted
from ocibuild.net.client import HttpClient
from ocibuild.net.document import fetch_bytes
from ocibuild.store.store import Store

__all__ = ["PackagesReader"]

_SUFFIXES = (".xz", ".zst", ".gz", ".bz2", "")  # smallest first
_LARGEST_INDEX_BYTES = 1 << 30  # plain; Debian main's has 50 MB
_OUTPUT_BYTES = 1 << 22
_NOT_FOUND = frozenset({404, 410})
_KIND = "apt-index"


@dataclass(frozen=True, slots=True)
class PackagesReader:
    """Gives a source's indexes for some architectures; of equal indexes the text is kept once."""

    http: HttpClient
    store: Store
    events: EventSink
    _texts: dict[Digest, str] = field(default_factory=dict, init=False, repr=False)

    def read(self, source: Source, release: Release, architectures: tuple[str, ...]) -> tuple[PackagesIndex, ...]:
        """The indexes in apt's order: by component, then by architecture.

        An architecture or component that the source does not have is told and left out. An IntegrityError where an
        index is not what the Release says.
        """
        if source.is_flat:
            found = self._index(source, release, "Packages", component="", architecture="")
            return (found,) if found else ()
        wanted = [name for name in architectures if source.architectures is None or name in source.architectures]
        if not wanted:
            return ()
        if "all" in release.architectures and not release.has_all_in_each:
            wanted.append("all")
        indexes = []
        for component in source.components:
            for architecture in wanted:
                path = f"{component}/binary-{architecture}/Packages"
                index = self._index(source, release, path, component=component, architecture=architecture)
                if index is not None:
                    indexes.append(index)
        return tuple(indexes)

    def _index(
        self, source: Source, release: Release, path: str, *, component: str, architecture: str
    ) -> PackagesIndex | None:
        files = [release.files[path + suffix] for suffix in _SUFFIXES if path + suffix in release.files]
        if not files:
            if architecture != "all":
                what = f"{component} for {architecture}" if component else "Packages index"
                self.events(Notice(f"{source.suite} of {source.name} has no {what}", warning=True))
            return None
        archive = Archive(
            source=source.name,
            origin=release.origin,
            label=release.label,
            suite=release.suite,
            codename=release.codename,
            version=release.version,
            component=component,
            site=source.site,
            architecture=architecture,
            not_automatic=release.not_automatic,
            but_automatic_upgrades=release.but_automatic_upgrades,
            trusted=source.signed_by is not None,
            pin_priority=source.pin_priority,
        )
        return PackagesIndex(archive, self._text(source, release, path, files))

    def _text(self, source: Source, release: Release, path: str, files: list[IndexFile]) -> str:
        """The index: from the store where it is there, else fetched, decoded and put there.

        Every field that resolving reads is ASCII. As Latin-1 the text takes one byte a character and decodes at the
        speed of a copy; as UTF-8 a single name in Greek would double it, an emoji quadruple it (to 200 MB for main).
        """
        plain = release.files.get(path)
        known = [plain.digest] if plain is not None else [d for file in files if (d := self._decoded(file))]
        for digest in known:
            if digest not in self._texts:
                with suppress(FileNotFoundError):
                    self._texts[digest] = self.store.blobs.read(digest).decode("latin-1")
            if digest in self._texts:
                return self._texts[digest]
        data = self._plain(source, release, path, files)
        text = self._texts[Digest.of(data)] = data.decode("latin-1")
        return text

    def _plain(self, source: Source, release: Release, path: str, files: list[IndexFile]) -> bytes:
        """The plain index, fetched and decoded, and put into the store."""
        plain = release.files.get(path)
        for file in files:
            data = self._fetched(source, release, file)
            if data is None:
                continue
            where = redacted(f"{source.folder_url}/{file.path}")
            limit_bytes = plain.size_bytes if plain is not None else _LARGEST_INDEX_BYTES
            text = _decode(data, file.path.removeprefix(path), limit_bytes=limit_bytes, where=where)
            if plain is not None:
                _verify(text, plain, where=f"{where}, decompressed")
            digest = self.store.blobs.add(text)
            self.store.records.put(_KIND, file.digest.hex, {"plain": digest.hex})
            return text
        raise NetworkError(
            f"{redacted(source.folder_url)}/{path}: named by the Release, but not there in any form",
            url=redacted(f"{source.folder_url}/{path}"),
            status=404,
            temporary=True,
            hint="the mirror may be in the middle of an update: try again in some minutes",
        )

    def _decoded(self, file: IndexFile) -> Digest | None:
        """The digest of what the compressed file holds, where it was decoded before."""
        value = self.store.records.get(_KIND, file.digest.hex)
        plain = value.get("plain") if isinstance(value, dict) else None
        return Digest("sha256", plain) if isinstance(plain, str) else None

    def _fetched(self, source: Source, release: Release, file: IndexFile) -> bytes | None:
        """The verified bytes of an index file; None where the archive does not store this form of it.

        By hash where the archive offers that: a mirror that is being updated serves the old Release's files too.
        """
        by_hash = release.acquire_by_hash if source.use_by_hash is None else source.use_by_hash
        folder, slash, _ = file.path.rpartition("/")
        paths = [f"{folder}{slash}by-hash/SHA256/{file.digest.hex}"] if by_hash else []
        for path in (*paths, file.path):
            url = f"{source.folder_url}/{path}"
            task = f"apt index {file.digest.hex[:16]}"
            self.events(TaskStarted(task, "fetching", f"{source.suite} {file.path}", file.size_bytes))
            try:
                data = fetch_bytes(
                    self.http, url, limit_bytes=file.size_bytes, attempted=f"reading the apt source {source.name}"
                )
            except NetworkError as error:
                self.events(TaskFinished(task, "failed"))
                if error.status in _NOT_FOUND:
                    continue
                raise
            self.events(TaskAdvanced(task, len(data)))
            self.events(TaskFinished(task))
            _verify(data, file, where=redacted(url))
            return data
        return None


def _verify(data: bytes, file: IndexFile, *, where: str) -> None:
    if len(data) != file.size_bytes or hashlib.sha256(data).hexdigest() != file.digest.hex:
        raise IntegrityError(
            f"{where}: expected {file.size_bytes} bytes with {file.digest}, got {len(data)} bytes with"
            f" {Digest.of(data)}",
            url=where,
            hint="the mirror is in the middle of an update, or something on the way altered the file: try again,"
            " or another mirror",
        )


def _decode(data: bytes, suffix: str, *, limit_bytes: int, where: str) -> bytes:
    """The plain bytes, at most ``limit_bytes``: more is a bomb, and an ImageError, like anything malformed."""
    plain = bytearray()
    with open_by_suffix(io.BytesIO(data), suffix, where=where) as reader:
        while chunk := reader.read(_OUTPUT_BYTES):
            plain += chunk
            if len(plain) > limit_bytes:
                raise ImageError(f"{where}: decompresses to more than {limit_bytes} bytes")
    return bytes(plain)
