"""The process between the helper and the program: it passes signals on, and ends all that the program has started.

In a process name space it is the first process, and whatever is left ends with it. Elsewhere it adopts the program's
orphans and ends them one by one.

The helper imports this: only light modules of the standard library may be used here.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

from ocibuild.sandbox.kernel import become_subreaper, die_with_parent

TYPE_CHECKING = False  # as type checkers read it: importing typing itself is what is saved
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["END_ALL", "Guard", "end_descendants", "exit_code_of", "leave", "wake_on_children"]

END_ALL = 0
"""On the control channel a byte is a signal's number for the program; this one, or the channel's end, ends it all."""

_PATIENCE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL."""
_LOOK_AGAIN_SECONDS = 0.05
"""A grandchild's end is told to its own parent only: how often the table of processes is read while they end."""


def exit_code_of(status: int) -> int:
    """The exit code of a wait status: as shells have it, 128 plus its number where a signal ended the process."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def leave(act: Callable[[], int]) -> "NoReturn":
    """Do it, and end this process with the exit code that it returns: a forked child never goes on as its parent."""
    exit_code = 1
    try:
        exit_code = act()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(exit_code)


class Guard:
    """Runs one program; ``control`` is the channel of whoever asked for it, ``processes`` an open ``/proc``."""

    def __init__(self, control: int, *, processes: int, is_first_process: bool) -> None:
        self._control = control
        self._processes = processes
        self._is_first_process = is_first_process
        self._program = 0
        self._exit_code: int | None = None
        self._give_up_at: float | None = None
        self._poll = select.poll()

    def run(self, start: Callable[[], int], *, started: Callable[[], None]) -> int:
        """Fork, call ``start`` in the child, ``started`` in this process, and return the program's exit code.

        ``start`` returns an exit code where it could not be replaced by the program.
        """
        woken = wake_on_children()
        if self._is_first_process:
            die_with_parent(signal.SIGKILL)  # and all the others with this process
        else:
            become_subreaper()
            signal.signal(signal.SIGTERM, lambda *_: None)
            die_with_parent(signal.SIGTERM)
        self._program = os.fork()
        if self._program == 0:
            signal.set_wakeup_fd(-1)
            die_with_parent(signal.SIGKILL)
            leave(start)
        started()
        self._poll.register(woken, select.POLLIN)
        self._poll.register(self._control, select.POLLIN)
        while self._exit_code is None:
            self._wait(woken)
        if not self._is_first_process:
            end_descendants(self._processes)
        return self._exit_code

    def _wait(self, woken: int) -> None:
        """Until a child ends, the control channel says something, or patience ends."""
        left = None if self._give_up_at is None else max(0.0, self._give_up_at - time.monotonic())
        ready = {descriptor for descriptor, _ in self._poll.poll(None if left is None else left * 1000)}
        is_orphan = woken in ready and signal.SIGTERM in os.read(woken, 4096)
        self._reap()
        if is_orphan:
            self._end_all()
        if self._control in ready:
            self._obey()
        if self._exit_code is None and self._give_up_at is not None and time.monotonic() >= self._give_up_at:
            self._signal_all(signal.SIGKILL)
            self._give_up_at = None

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                process, status = os.waitpid(-1, os.WNOHANG)
                if process == 0:
                    return
                if process == self._program:
                    self._exit_code = exit_code_of(status)

    def _obey(self) -> None:
        asked = os.read(self._control, 64)
        if not asked:
            self._poll.unregister(self._control)  # its end would be told again and again
        for number in asked or bytes([END_ALL]):
            if number != END_ALL:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._program, number)
            else:
                self._end_all()

    def _end_all(self) -> None:
        if self._give_up_at is None:
            self._give_up_at = time.monotonic() + _PATIENCE_SECONDS
            self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: int) -> None:
        """To everything that the program started, a stopped process included."""
        targets = [-1] if self._is_first_process else list(_descendants(os.getpid(), self._processes))
        for target in targets:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(target, number)
                os.kill(target, signal.SIGCONT)


def end_descendants(processes: int) -> None:
    """End whatever this process' children have started and left, first politely, then not; none is left afterwards.

    ``processes`` is an open ``/proc``.
    """
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    told: set[int] = set()
    while left := set(_descendants(os.getpid(), processes)):
        is_polite = time.monotonic() < give_up_at
        for process in left - told if is_polite else left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGTERM if is_polite else signal.SIGKILL)
                os.kill(process, signal.SIGCONT)
        told |= left
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        time.sleep(_LOOK_AGAIN_SECONDS)


def wake_on_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return woken


def _descendants(process: int, processes: int) -> Iterator[int]:
    """The processes that this one and its children have started, zombies left out, as /proc has them now."""
    children: dict[int, list[int]] = {}
    for name in os.listdir(processes):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):  # it ended meanwhile
                # proc(5): the name of the program is in parentheses, and may hold any character.
                state, parent = _read(f"{name}/stat", processes).rpartition(b")")[2].split()[:2]
                if state != b"Z":
                    children.setdefault(int(parent), []).append(int(name))
    waiting = [process]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


def _read(name: str, folder: int) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
