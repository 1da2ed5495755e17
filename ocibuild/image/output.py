"""Files and folders that this room writes for the user: they appear whole or not at all."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ocibuild.core.errors import BuildError, MachineError, OcibuildError

__all__ = ["PARTIAL_MARK", "output_error", "replaced_file", "replaced_folder"]

PARTIAL_MARK = ".partial-"
"""In the names of what is being written; what a killed process leaves under such a name is never read."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def output_error(error: OSError, *, attempted: str) -> OcibuildError:
    """This program's error for one of the operating system; ``attempted`` names what was written."""
    reason = f"{attempted}: {error.strerror or error}"
    if error.errno in _NO_SPACE:
        return MachineError(reason, hint="free some space, or write to a larger disk")
    if error.errno in _NOT_ALLOWED:
        return MachineError(reason, hint="choose a place that this user may write")
    return BuildError(reason)


@contextlib.contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends well, and leaves nothing behind otherwise.

    Its folder is made where it is missing. Readers see the old file or the whole new one.
    """
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("x+b") as file:
                yield file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(error, attempted=f"writing {path}") from error


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A new folder (mode 0700) that becomes ``path`` when the block ends well, and leaves nothing behind otherwise.

    ``path`` must not exist or be an empty folder: a MachineError says so before anything is made.
    """
    partial = _partial(path)
    try:
        if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
            raise MachineError(f"{path} exists already", hint="remove it, or name a folder that does not exist")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        try:
            yield partial
            partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise output_error(error, attempted=f"writing {path}") from error


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}{PARTIAL_MARK}{os.getpid()}-{os.urandom(4).hex()}")
