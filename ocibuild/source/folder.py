"""A repository that is a folder on this machine."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.source.git_state import read_git_state
from ocibuild.source.tree import SourceFile, SourceTree
from ocibuild.store.records import RecordStore

__all__ = ["read_folder"]

_KIND = "source-digests"
_LEFT_OUT = frozenset({".git", ".hg"})
_RACY_NANOSECONDS = 2 * 10**9
"""A file whose time is this close to the moment it was hashed may change again without its time showing it (git calls
it racy), so it is hashed again next time."""
_BLOCK_BYTES = 1 << 20


def read_folder(folder: Path, *, records: RecordStore | None = None, committed: int | None = None) -> SourceTree:
    """The tree of a folder: every file, link and folder but version control's own (``.git``, ``.hg``).

    With ``records`` the digests of files are remembered by size, times and inode, as git does, so that an unchanged
    file is not read again. ``committed`` is the time of its commit (seconds since the epoch); without it the folder
    itself is asked, as a checkout. What git says of it is the tree's ``git``. A UsageError where the folder is none; a
    RepositoryError for a socket, fifo or device, for a file that cannot be read, and for a name with a line feed.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="name the folder of a repository, or start ocibuild in it")
    digests = _Digests(folder, records)
    try:
        files = tuple(sorted(_walk(folder, "", digests), key=lambda file: file.path))
    except OSError as error:
        raise RepositoryError(f"cannot be read: {error.strerror}", file=str(error.filename)) from error
    digests.save()
    reader = _Reader(folder)
    git = read_git_state(folder)
    if committed is None and git is not None:
        committed = git.commit_time
    return SourceTree(files, reader.read, reader.stream, committed, git)


class _Reader:
    """Reads files of the repository."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, path: str) -> bytes | None:
        """A file's bytes; nothing where there is none, or where a link leads out of the repository."""
        where = (self._folder / path).resolve()
        if not where.is_relative_to(self._folder) or not where.is_file():
            return None
        try:
            return where.read_bytes()
        except OSError as error:
            raise RepositoryError(f"cannot be read: {error.strerror}", file=path) from error

    def stream(self, file: SourceFile) -> Iterator[bytes]:
        """The bytes of a file of the tree, which must be those that the tree lists."""
        state = hashlib.sha256()
        try:
            with (self._folder / file.path).open("rb", buffering=0) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    state.update(block)
                    yield block
        except OSError as error:
            raise RepositoryError(f"cannot be read: {error.strerror}", file=file.path) from error
        if file.digest is None or state.hexdigest() != file.digest.hex:
            raise RepositoryError("changed while it was packed", file=file.path, hint="build again")


def _walk(folder: Path, prefix: str, digests: "_Digests") -> Iterator[SourceFile]:
    with os.scandir(folder / prefix if prefix else folder) as entries:
        for entry in entries:
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.name in _LEFT_OUT:
                continue
            if "\n" in entry.name:
                raise RepositoryError("a name with a line feed cannot be put into an image", file=repr(path))
            if entry.is_symlink():
                link = os.readlink(entry.path)  # noqa: PTH115 - Path would rewrite the text of the link
                yield SourceFile(path, link=link)
            elif entry.is_dir():
                yield SourceFile(path)
                yield from _walk(folder, path, digests)
            elif entry.is_file():
                status = entry.stat()
                executable = bool(status.st_mode & 0o111)
                yield SourceFile(path, status.st_size, digests.of(path, entry.path, status), executable)
            else:
                kind = stat.filemode(entry.stat(follow_symlinks=False).st_mode)[0]
                raise RepositoryError(f"neither a file, a folder nor a link (type {kind!r})", file=path)


class _Digests:
    """The digests of a folder's files, remembered between builds."""

    def __init__(self, folder: Path, records: RecordStore | None) -> None:
        self._records = records
        self._key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
        known = records.get(_KIND, self._key) if records else None
        self._known: dict[str, Any] = known if isinstance(known, dict) else {}
        self._current: dict[str, Any] = {}
        self._started = time.time_ns()

    def of(self, path: str, where: str, status: os.stat_result) -> Digest:
        facts = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        name = path.encode("utf-8", "surrogateescape").decode("latin-1")
        known = self._known.get(name)
        if isinstance(known, list) and known[:-1] == facts:
            self._current[name] = known
            return Digest("sha256", known[-1])
        digest = _digest(where)
        if self._started - max(status.st_mtime_ns, status.st_ctime_ns) > _RACY_NANOSECONDS:
            self._current[name] = [*facts, digest.hex]
        return digest

    def save(self) -> None:
        if self._records is not None and self._current != self._known:
            self._records.put(_KIND, self._key, self._current)


def _digest(path: str) -> Digest:
    state = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            state.update(block)
    return Digest("sha256", state.hexdigest())
