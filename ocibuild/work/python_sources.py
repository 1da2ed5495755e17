"""Fetching what wheels are built from: source archives, folders of the repository, checkouts."""

import re
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ocibuild.core.atomic import map_os_error
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.events import EventSink
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind
from ocibuild.net.client import HttpClient
from ocibuild.net.download import Downloader, DownloadRequest
from ocibuild.source.folder import read_folder
from ocibuild.source.git import GitAddress, fetch_git
from ocibuild.store.store import Store

__all__ = ["FetchedSource", "PythonSources"]

_LARGEST_TEXT_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_OK = 200
# Ways of taking a version from tags: those need the history, and the program git in the image.
_FROM_HISTORY = re.compile(
    r"setuptools[_-]scm|hatch-vcs|versioneer|versioningit|setuptools-git|\bpbr\b|dunamai|pdm.*scm"
)
_ASKED_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True, slots=True)
class FetchedSource:
    """A source on this machine: the file of an archive in the store, or a folder, whose ``digest`` is its tree's.

    ``pyproject`` is the text of the project's ``pyproject.toml``, and ``package_info`` of the ``PKG-INFO`` that an
    archive may have; None where there is none.
    """

    digest: Digest
    pyproject: str | None
    package_info: str | None = None
    archive: Path | None = None
    folder: Path | None = None
    commit: str = ""

    @property
    def archive_name(self) -> str:
        """The name under which an archive is put beside its build; its form is told by its content."""
        return "source-archive" if self.archive is not None else ""


@dataclass(frozen=True, slots=True)
class PythonSources:
    """Fetches for one build of an image; ``folder`` is the repository's."""

    store: Store
    http: HttpClient
    environment: Mapping[str, str]
    events: EventSink
    folder: Path

    def known_digest(self, source: PythonSource) -> Digest | None:
        """The digest that the source will have, where that is known before it is fetched."""
        if source.sha256:
            return Digest.sha256(source.sha256)
        if source.kind is SourceKind.FOLDER:
            return read_folder(self.folder / source.local_path, records=self.store.records).digest
        return None

    def fetch(self, source: PythonSource, scratch: Path) -> FetchedSource:
        """Bring the source here; ``scratch`` is an empty folder for what does not go into the store.

        A NetworkError or IntegrityError as of downloads and git, a BuildError where an archive cannot be read.
        """
        if source.kind is SourceKind.GIT:
            return self._checkout(source, scratch)
        if source.kind is SourceKind.FOLDER:
            folder = self.folder / source.local_path
            digest = read_folder(folder, records=self.store.records).digest
            return FetchedSource(digest, _text_of(folder / source.subdirectory), folder=folder)
        digest = self._archive(source)
        path = self.store.blobs.path(digest)
        texts = _texts_of_archive(path, source)
        return FetchedSource(digest, texts.get("pyproject.toml"), texts.get("PKG-INFO"), archive=path)

    def _archive(self, source: PythonSource) -> Digest:
        where = str(source)
        if source.local_path or source.url.startswith("file:"):
            path = self.folder / source.local_path if source.local_path else Path(unquote(urlsplit(source.url).path))
            return self._copied(path, source)
        if source.sha256:
            digest = Digest.sha256(source.sha256)
            request = DownloadRequest((source.url,), digest, source.size_bytes, where)
            Downloader(http=self.http, blobs=self.store.blobs, events=self.events).fetch(request)
            return digest
        return self._downloaded(source)

    def _copied(self, path: Path, source: PythonSource) -> Digest:
        expected = Digest.sha256(source.sha256) if source.sha256 else None
        try:
            with path.open("rb") as file, self.store.blobs.writer(expected=expected, where=str(path)) as writer:
                shutil.copyfileobj(file, writer, _CHUNK_BYTES)
        except OSError as error:
            raise map_os_error(error, attempted=f"reading {path}") from error
        return writer.digest

    def _downloaded(self, source: PythonSource) -> Digest:
        """An archive whose digest nobody told: what comes is what it is."""
        with self.http.request("GET", source.url) as response:
            if response.status != _OK:
                raise response.failure(f"downloading {source}")
            with self.store.blobs.writer(where=str(source)) as writer:
                for block in response.chunks():
                    writer.write(block)
        return writer.digest

    def _checkout(self, source: PythonSource, scratch: Path) -> FetchedSource:
        address = GitAddress(source.url, source.revision or None)
        folder = scratch / "checkout"
        folder.mkdir()
        found = fetch_git(address, folder, environment=self.environment, events=self.events)
        project = folder / source.subdirectory
        texts = [_read_text(project / name) or "" for name in _ASKED_FILES]
        if _FROM_HISTORY.search("\n".join(texts)):
            folder = scratch / "history"
            folder.mkdir()
            address = GitAddress(source.url, found.commit)
            fetch_git(address, folder, environment=self.environment, events=self.events, with_history=True)
            # The address in it may hold credentials, and the build is nobody's to know them.
            (folder / ".git/config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n")
        else:
            shutil.rmtree(folder / ".git")
        digest = read_folder(folder).digest
        return FetchedSource(digest, _text_of(folder / source.subdirectory), folder=folder, commit=found.commit)


def _text_of(project: Path) -> str | None:
    return _read_text(project / "pyproject.toml")


def _read_text(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():  # a link may lead anywhere
        return None
    with path.open("rb") as file:
        return _decoded(file.read(_LARGEST_TEXT_BYTES))


def _texts_of_archive(path: Path, source: PythonSource) -> dict[str, str]:
    """What of pyproject.toml and PKG-INFO the project has: at the top of the archive or below its one folder."""
    wanted = {f"{source.subdirectory}/{name}".lstrip("/"): name for name in ("pyproject.toml", "PKG-INFO")}
    found: dict[str, str] = {}

    def name_of(member: str) -> str:
        member = member.removeprefix("./")
        return wanted.get(member, "") or wanted.get(member.partition("/")[2], "")

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in filter(name_of, archive.namelist()):
                    with archive.open(member) as file:
                        found.setdefault(name_of(member), _decoded(file.read(_LARGEST_TEXT_BYTES)))
        else:
            with tarfile.open(path, "r|*") as tar:
                for entry in tar:
                    stream = tar.extractfile(entry) if entry.isfile() and name_of(entry.name) else None
                    if stream is not None:
                        found.setdefault(name_of(entry.name), _decoded(stream.read(_LARGEST_TEXT_BYTES)))
                    if len(found) == len(wanted):
                        break  # the rest need not be decompressed
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise BuildError(f"{source}: its archive cannot be read: {error}", hint="ask for another version") from error
    return found


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
