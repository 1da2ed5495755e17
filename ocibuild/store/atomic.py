"""Files that appear whole or not at all, on every file system that renames atomically (NFS included)."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ocibuild.core.errors import BuildError, MachineError, OcibuildError

__all__ = ["PARTIAL_PREFIX", "map_os_error", "partial_file", "replacing"]

PARTIAL_PREFIX = ".partial-"
"""Names of files being written. Whatever a killed process leaves under such a name is never read, and pruned later."""


@contextlib.contextmanager
def partial_file(folder: Path, *, attempted: str) -> Iterator[BinaryIO]:
    """A new file in ``folder`` under a name that nobody reads; what the block has not renamed away is removed.

    The folder is made where it is missing. ``attempted`` says in the error what could not be done.
    """
    partial = folder / f"{PARTIAL_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
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


def map_os_error(error: OSError, *, attempted: str) -> OcibuildError:
    """This program's error for one of the operating system: the machine's fault for space and permissions."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(
            f"{attempted}: {reason}",
            hint="free some space, run 'ocibuild cache prune', or set OCIBUILD_STORE to a larger disk",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MachineError(f"{attempted}: {reason}", hint="choose a folder that this user may write")
    return BuildError(f"{attempted}: {reason}")
