"""Taking turns: what several processes, or threads, want to make at one time is made by one, and found by the others.

A turn is a lock on a file (flock(2), which ends with its process). It saves work and guards nothing: where a file
system has no locks, or somebody holds one for too long, everybody makes what they need, and what is written is right
all the same.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["locked_file", "turn"]

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.25
_PATIENCE_SECONDS = 900
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)  # as flock(2) says it, and fcntl(2), which stands in for it on NFS


@contextlib.contextmanager
def turn(
    path: Path,
    *,
    stopped: Callable[[], bool] = lambda: False,
    on_wait: Callable[[], None] = lambda: None,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> Iterator[bool]:
    """Have the turn at ``path`` while the block runs; True where somebody else had it, so that to look again pays.

    ``on_wait`` is called once where it has to be waited for. Waiting ends when ``stopped`` says so, or after
    ``patience_seconds``: the block runs then without a turn.
    """
    file, waited = _first_try(path)
    deadline, pause = time.monotonic() + patience_seconds, _FIRST_PAUSE_SECONDS
    if waited:
        on_wait()
    while waited and file is None and not stopped() and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        with contextlib.suppress(OSError):
            file = locked_file(path)
    try:
        yield waited
    finally:
        if file is not None:
            with file, contextlib.suppress(OSError):  # while it is locked: whoever waits for it sees that it went
                path.unlink()


def _first_try(path: Path) -> tuple[BinaryIO | None, bool]:
    """The locked file, if it can be had, and whether it is worth waiting for where it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return locked_file(path), False
    except BlockingIOError:
        return None, True
    except OSError:  # no locks here, or no file may be made: that says whoever writes what the turn is for
        return None, False


def locked_file(path: Path) -> BinaryIO:
    """The file, opened to append and read, made where it is missing, and locked.

    A BlockingIOError where another one has it, another OSError where it cannot be made or locked at all.
    """
    while True:
        file = path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last owner may have moved or removed the file between our opening and our locking it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    file.seek(0)
                    return file
        except OSError as error:
            file.close()
            if error.errno in _BUSY:
                raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)) from error
            raise
        file.close()
