"""What fetching a deposit needs of the network and of the disk."""

import contextlib
import hashlib
import json
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from ocibuild.core.atomic import map_os_error
from ocibuild.core.defaults import deposit_defaults
from ocibuild.core.errors import ImageError, IntegrityError, NetworkError
from ocibuild.core.events import EventSink, TaskAdvanced, TaskFinished, TaskStarted, discard
from ocibuild.layer.compression import Compression, open_decompressed
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries
from ocibuild.net.address import redacted
from ocibuild.net.client import HttpClient
from ocibuild.net.response import Response

__all__ = ["DepositClient", "RemoteFile", "lift_single_folder", "unpack_single_zip", "unpack_tar_gzip", "unpack_zip"]

_LARGEST_DOCUMENT_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_NOT_FOUND = 404
_OK = 200


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a deposit: its place in the folder, its address, and the MD5 that the archive tells (or nothing)."""

    path: str
    url: str
    size_bytes: int | None = None
    md5: str = ""


@dataclass(frozen=True, slots=True)
class DepositClient:
    """Asks the archives. ``places`` are their addresses (``defaults.toml``); ``sleep`` waits for files to be made."""

    http: HttpClient
    places: Mapping[str, Any] = field(default_factory=deposit_defaults)
    events: EventSink = discard
    sleep: Callable[[float], None] = time.sleep
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def document(self, url: str, *, attempted: str) -> Any:
        """The JSON document at this address; a NetworkError for every other answer."""
        headers = {"Accept": "application/json", **self.headers}

        def asked() -> bytes:
            with self.http.request("GET", url, headers=headers) as response:
                if response.status != _OK:
                    raise response.failure(attempted)
                return response.document(limit_bytes=_LARGEST_DOCUMENT_BYTES)

        return parsed_document(self.http.persistently(asked), url=url, attempted=attempted)

    def found_document(self, url: str, *, attempted: str) -> Any | None:
        """As :meth:`document`; None where the server has no such thing (404)."""
        try:
            return self.document(url, attempted=attempted)
        except NetworkError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    @contextlib.contextmanager
    def opened(self, url: str, *, attempted: str) -> Iterator[Response]:
        """The answer to a GET; a NetworkError for every status but 200."""
        with self.http.request("GET", url, headers=self.headers) as response:
            if response.status != _OK:
                raise response.failure(attempted)
            yield response

    def download(self, file: RemoteFile, folder: Path) -> Path:
        """Bring a file into the folder. An IntegrityError where it has not the size or MD5 that the archive tells."""
        target = folder / safe_path(file.path, what=f"a file of {redacted(file.url)}")
        self.events(TaskStarted(file.url, "downloading", file.path, file.size_bytes))
        digest, size_bytes = hashlib.md5(usedforsecurity=False), 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.opened(file.url, attempted=f"downloading {file.path}") as response, target.open("xb") as output:
                for chunk in response.chunks():
                    digest.update(chunk)
                    size_bytes += len(chunk)
                    output.write(chunk)
                    self.events(TaskAdvanced(file.url, len(chunk)))
        except OSError as error:
            raise map_os_error(error, attempted=f"downloading {file.path}") from error
        if file.size_bytes not in (None, size_bytes) or (file.md5 and digest.hexdigest() != file.md5.lower()):
            raise IntegrityError(
                f"{file.path} from {redacted(file.url)} is not the file that the archive describes",
                url=redacted(file.url),
                temporary=True,
                hint="build again; if it stays so, tell the archive",
            )
        self.events(TaskFinished(file.url))
        return target


def match_below(pattern: re.Pattern[str], url: str, places: Iterable[str]) -> tuple[str, re.Match[str]] | None:
    """Of an address at one of these places, by http too: the place, and what ``pattern`` finds in its path."""
    for place in places:
        for form in (place, place.replace("https://", "http://", 1)):
            found = pattern.fullmatch(url.partition("?")[0].removeprefix(form)) if url.startswith(form) else None
            if found:
                return place, found
    return None


@contextlib.contextmanager
def reading_list(attempted: str) -> Iterator[None]:
    """A NetworkError where the block finds an archive's answer to have another form than a list of files has."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NetworkError(f"{attempted}: the answer lists no files ({error!r})") from error


def parsed_document(body: bytes, *, url: str, attempted: str) -> Any:
    """The JSON value; a NetworkError that names the address where it is none."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise NetworkError(f"{attempted}: {redacted(url)} answered with no JSON", url=redacted(url)) from error


def safe_path(path: str, *, what: str) -> PurePosixPath:
    """A path below a folder; an IntegrityError for one that leads out of it, or to a file of version control."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or not pure.parts or ".." in pure.parts or "\0" in path or ".git" in pure.parts:
        raise IntegrityError(f"{what} has a name that leads out of its folder: {path!r}")
    return pure


def unpack_zip(archive: Path, folder: Path, *, below: str = "") -> None:
    """Unpack what lies below ``below`` in a zip archive; an IntegrityError for one that is damaged or hostile."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if not member.filename.startswith(below) or member.is_dir():
                    continue
                mode = member.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):  # what is made without one has no type
                    raise IntegrityError(f"{archive.name}: {member.filename} is no regular file")
                target = folder / safe_path(member.filename.removeprefix(below), what=archive.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("xb") as output:
                    shutil.copyfileobj(source, output, _BLOCK_BYTES)
                target.chmod(0o755 if mode & 0o100 else 0o644)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise IntegrityError(f"{archive.name} is no sound zip archive: {error}") from error
    except OSError as error:
        raise map_os_error(error, attempted=f"unpacking {archive.name}") from error


def unpack_tar_gzip(archive: Path, folder: Path, *, below: str) -> None:
    """Unpack files, folders and links that lie below ``below`` in a gzip-compressed tar archive.

    Links keep their text: whoever reads the folder does not follow those that lead out of it. An IntegrityError for an
    archive that is damaged or hostile.
    """
    try:
        with archive.open("rb") as stream:
            raw = open_decompressed(stream, Compression.GZIP, where=archive.name)
            for entry in read_entries(raw, where=archive.name):
                if entry.path.startswith(below):
                    target = folder / safe_path(entry.path.removeprefix(below), what=archive.name)
                    _unpack(entry, target, archive.name)
    except ImageError as error:
        raise IntegrityError(error.message) from error
    except OSError as error:
        raise map_os_error(error, attempted=f"unpacking {archive.name}") from error


def _unpack(entry: Entry, target: Path, archive: str) -> None:
    parent = target.parent
    parent.mkdir(parents=True, exist_ok=True)
    if parent.resolve() != parent.absolute():
        raise IntegrityError(f"{archive}: {entry.path} lies behind a link")
    if entry.kind is EntryKind.DIRECTORY:
        target.mkdir(exist_ok=True)
    elif entry.kind is EntryKind.SYMLINK:
        target.symlink_to(entry.link)
    elif entry.kind is EntryKind.FILE:
        with target.open("xb") as output:
            output.writelines(entry.chunks())
        target.chmod(0o755 if entry.mode & 0o100 else 0o644)
    else:
        raise IntegrityError(f"{archive}: {entry.path} is neither a file, a folder nor a symbolic link")


def unpack_single_zip(folder: Path) -> None:
    """Where a folder holds one file and that is a zip archive, unpack it in its place."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    if len(files) != 1 or files[0].suffix.lower() != ".zip":
        return
    aside = files[0].rename(folder.with_name(f"{folder.name}.zip"))
    shutil.rmtree(folder)
    folder.mkdir()
    unpack_zip(aside, folder)
    aside.unlink()
    lift_single_folder(folder)


def lift_single_folder(folder: Path) -> None:
    """Where a folder holds another folder alone, move what is in that one up: archives are packed so."""
    entries = list(folder.iterdir())
    if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
        return
    single = entries[0].rename(folder.with_name(f"{folder.name}.single"))
    for entry in single.iterdir():
        entry.rename(folder / entry.name)
    single.rmdir()
