"""Files and folders that appear whole or not at all, on every file system that renames atomically (NFS included)."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ocibuild.core.errors import BuildError, MachineError, OcibuildError, UsageError

__all__ = [
    "PARTIAL_PREFIX",
    "check_new_folder",
    "check_replaceable",
    "map_os_error",
    "partial_file",
    "remove_partials",
    "replaced_folder",
    "replacing",
]

PARTIAL_PREFIX = ".partial-"
"""Names of what is being written. Whatever a killed process leaves under such a name is never read."""

_partials: set[Path] = set()
"""What this process is writing now, in whatever thread."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_SOMETHING_ELSE = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY)


@contextlib.contextmanager
def partial_file(folder: Path, *, attempted: str) -> Iterator[BinaryIO]:
    """A new file in ``folder`` under a name that nobody reads; what the block has not renamed away is removed.

    The folder is made where it is missing. ``attempted`` says in the error what could not be done.
    """
    partial = folder / _partial_name()
    _partials.add(partial)
    try:
        try:
            file = partial.open("x+b")
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            file = partial.open("x+b")
        try:
            with file:
                yield file
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
    except OSError as error:
        raise map_os_error(error, attempted=attempted) from error
    finally:
        _partials.discard(partial)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends well, and vanishes otherwise.

    Readers see the old file or the whole new one. Raises what :func:`map_os_error` makes of a full disk or an
    unwritable folder.
    """
    with partial_file(path.parent, attempted=f"writing {path}") as file:
        yield file
        file.flush()
        Path(file.name).replace(path)


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A new folder (mode 0700) that becomes ``path`` when the block ends well, and leaves nothing behind otherwise.

    ``path`` must not exist or be an empty folder: a UsageError says so before anything is made.
    """
    partial = path.with_name(_partial_name())
    _partials.add(partial)
    try:
        _refuse_existing(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        try:
            yield partial
            partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise map_os_error(error, attempted=f"writing {path}") from error
    finally:
        _partials.discard(partial)


def remove_partials() -> None:
    """Remove what this process has half-written, for one that must end at once: its threads may still write elsewhere.

    What cannot be removed stays, under a name that nobody reads. Never raises an OSError.
    """
    for partial in list(_partials):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                partial.unlink()


def check_new_folder(path: Path) -> None:
    """Raise what :func:`replaced_folder` would raise of this path, as far as that shows before anything is made."""
    try:
        _refuse_existing(path)
    except OSError as error:
        raise map_os_error(error, attempted=f"writing {path}") from error
    _check_parent(path)


def check_replaceable(path: Path) -> None:
    """Raise what :func:`replacing` would raise of this path, as far as that can be told before anything is made."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise map_os_error(error, attempted=f"writing {path}") from error
    _check_parent(path)


def _refuse_existing(path: Path) -> None:
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise UsageError(f"{path} exists already", hint="remove it, or name a folder that does not exist")


def _check_parent(path: Path) -> None:
    """The folder that is there already must be one, and this user may make something in it."""
    folder = path.absolute().parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        code = errno.ENOTDIR
    elif not os.access(folder, os.W_OK | os.X_OK):
        code = errno.EACCES
    else:
        return
    raise map_os_error(OSError(code, f"{folder}: {os.strerror(code)}"), attempted=f"writing {path}")


def map_os_error(error: OSError, *, attempted: str) -> OcibuildError:
    """This program's error for one of the operating system: the machine's fault for space and permissions.

    A UsageError where a file is in the way of a folder, or a folder in the way of a file.
    """
    reason = f"{attempted}: {error.strerror or error}"
    if error.errno in _NO_SPACE:
        return MachineError(
            reason, hint="free some space ('ocibuild cache prune' may help), or write to a larger disk (OCIBUILD_STORE)"
        )
    if error.errno in _NOT_ALLOWED:
        return MachineError(reason, hint="choose a place that this user may write")
    if error.errno in _SOMETHING_ELSE:
        return UsageError(reason, hint="there is something else at that place: name another one")
    return BuildError(reason)


def _partial_name() -> str:
    return f"{PARTIAL_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
