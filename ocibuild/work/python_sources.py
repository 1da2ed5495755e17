"""Fetching what wheels are built from: source archives, folders of the repository, checkouts."""

import re
import shutil
import subprocess
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

__all__ = ["FetchedSource", "PythonSources", "SourceIdentity", "keep_no_address"]

_LARGEST_TEXT_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_OK = 200
# Ways of taking a version from tags: those need the history, and the program git in the image.
_FROM_HISTORY = re.compile(
    r"setuptools[_-]scm|hatch-vcs|versioneer|versioningit|setuptools-git|\bpbr\b|dunamai|pdm.*scm"
)
_ASKED_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """What a source holds: the digest of the archive, or of the tree of a folder.

    ``commit`` is a checkout's. For a folder whose project takes its version from git's history it is what ``git
    describe`` says, for equal trees then give other wheels; else empty.
    """

    digest: Digest
    commit: str = ""


@dataclass(frozen=True, slots=True)
class FetchedSource:
    """A source on this machine: the file of an archive in the store, or a folder.

    ``pyproject`` is the text of the project's ``pyproject.toml``, and ``package_info`` of the ``PKG-INFO`` that an
    archive may have; None where there is none. With ``has_history`` the build needs the folder's ``.git``.
    """

    identity: SourceIdentity
    pyproject: str | None
    package_info: str | None = None
    archive: Path | None = None
    folder: Path | None = None
    has_history: bool = False

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

    def identity(self, source: PythonSource) -> SourceIdentity | None:
        """What the source will be, where that is known before it is fetched."""
        if source.sha256:
            return SourceIdentity(Digest.sha256(source.sha256))
        if source.kind is SourceKind.FOLDER:
            folder = self.folder / source.local_path
            commit = self._described(folder) if _needs_history(folder) else ""
            return SourceIdentity(read_folder(folder, records=self.store.records).digest, commit)
        return None

    def fetch(self, source: PythonSource, scratch: Path) -> FetchedSource:
        """Bring the source here; ``scratch`` is an empty folder for what does not go into the store.

        A NetworkError or IntegrityError as of downloads and git, a BuildError where an archive cannot be read.
        """
        if source.kind is SourceKind.GIT:
            return self._checkout(source, scratch)
        if source.kind is SourceKind.FOLDER:
            folder = self.folder / source.local_path
            identity = self.identity(source)
            if identity is not None:
                has_history = bool(identity.commit)
                return FetchedSource(identity, _text_of(folder), folder=folder, has_history=has_history)
        digest = self._archive(source)
        path = self.store.blobs.path(digest)
        texts = _texts_of_archive(path, source)
        return FetchedSource(SourceIdentity(digest), texts.get("pyproject.toml"), texts.get("PKG-INFO"), archive=path)

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
        folder = scratch / "checkout"
        folder.mkdir()
        address = GitAddress(source.url, source.revision or None)
        found = fetch_git(address, folder, environment=self.environment, events=self.events)
        has_history = _needs_history(folder / source.subdirectory)
        if has_history:
            folder = scratch / "history"
            folder.mkdir()
            address = GitAddress(source.url, found.commit)
            fetch_git(address, folder, environment=self.environment, events=self.events, with_history=True)
        identity = SourceIdentity(read_folder(folder).digest, found.commit)
        return FetchedSource(identity, _text_of(folder / source.subdirectory), folder=folder, has_history=has_history)

    def _described(self, folder: Path) -> str:
        """What git says of the commit in the folder; nothing where it is no checkout, or there is no git."""
        # The checkout may belong to another user (a mounted volume): git only reads it.
        command = ["git", "-c", "safe.directory=*", "-C", str(folder)]
        command += ["describe", "--tags", "--long", "--always", "--dirty", "--abbrev=40"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env={**self.environment})
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 and (folder / ".git").is_dir() else ""


def keep_no_address(folder: Path) -> None:
    """Take out of a ``.git`` folder what may hold credentials: the build is nobody's to know them."""
    for name in ("FETCH_HEAD", "config.worktree", "logs", "hooks"):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (folder / "config").unlink(missing_ok=True)
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n", encoding="utf-8")


def _needs_history(project: Path) -> bool:
    return bool(_FROM_HISTORY.search("\n".join(_read_text(project / name) or "" for name in _ASKED_FILES)))


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
