"""Running one program through the helper process: its streams, its signals, its end and the end of all it started."""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, MappingProxyType

from ocibuild.core.errors import MachineError
from ocibuild.sandbox.entrance import Entrance
from ocibuild.sandbox.execution import Outcome, Streams
from ocibuild.sandbox.guard import END_ALL

__all__ = ["EntryError", "helper_command", "run_process"]

_PACKAGES = Path(__file__).parents[2]
# -I and -S: no user site, no environment, no .pth files. The folder goes last, so that nothing in it hides the library.
_START = "import sys; sys.path.append(sys.argv[1]); from ocibuild.sandbox.{module} import main; main(sys.argv[2:])"

_CHUNK_BYTES = 65536
_END_SECONDS = 5.0
"""How long after the order to end the helper may take: it is patient for 2 s itself."""
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT)
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


def helper_command(module: str, *arguments: str) -> tuple[str, ...]:
    """The arguments that start a module of this room as a light interpreter of its own."""
    flags = ("-I", "-S", *(("-B",) if sys.dont_write_bytecode else ()))
    return (sys.executable, *flags, "-c", _START.format(module=module), str(_PACKAGES), *arguments)


class EntryError(MachineError):
    """A root could not be entered: ``call`` was answered with the error ``number``, and ``detail`` is what it said."""

    def __init__(self, call: str, number: int, detail: str = "") -> None:
        name = errno.errorcode.get(number, str(number))
        said = f" ({detail})" if detail else ""
        super().__init__(f"entering the root: {call}: {os.strerror(number)} [{name}]{said}")
        self.call = call
        self.number = number
        self.detail = detail


def run_process(entrance: Entrance, streams: Streams, *, timeout_seconds: float | None = None) -> Outcome:
    """Run the entrance's program to its end, which is the end of everything that it started.

    With ``streams.output`` the program is in a session of its own, and what it writes is passed on from this thread
    as it comes. Else it is in this process' group and at its terminal, and signals that reach this process only are
    passed on (when called from the main thread). On a timeout and on an exception, KeyboardInterrupt among them, all of
    it is ended: SIGTERM, and after 2 s SIGKILL. Safe in a process of many threads, from any of them.

    An EntryError where the program could not be started; 127 and 126 as :class:`~ocibuild.sandbox.rung.Rung` says.
    """
    ours, theirs = socket.socketpair()
    with ours, contextlib.ExitStack() as stack:
        reading, writing = os.pipe() if streams.output is not None else (None, None)
        if reading is not None:
            stack.callback(os.close, reading)
        else:
            stack.enter_context(_terminal())
        try:
            helper = _start_helper(theirs.fileno(), writing)
        finally:
            theirs.close()
            if writing is not None:
                os.close(writing)
        run = _Run(helper, ours, reading, streams)
        if streams.output is None:
            stack.enter_context(_forwarding(run))
        run.describe(entrance)
        run.wait(timeout_seconds)
    return run.outcome()


def _start_helper(control: int, output: int | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        helper_command("enter", str(control)),
        pass_fds=(control,),
        stdin=None if output is None else subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=output is not None,
        cwd="/",
        # What is in this environment (credentials) can be read in /proc by whom the helper starts.
        env={name: os.environ[name] for name in ("PATH",) if name in os.environ},
    )


class _Run:
    """One run, seen from this process."""

    def __init__(
        self, helper: "subprocess.Popen[bytes]", control: socket.socket, output: int | None, streams: Streams
    ) -> None:
        self._helper = helper
        self._control = control
        self._output = output
        self._streams = streams
        self._report = b""
        self._timed_out = False
        self._poll = select.poll()
        self._open: set[int] = {control.fileno()} | ({output} if output is not None else set())
        for descriptor in self._open:
            self._poll.register(descriptor, select.POLLIN)

    def describe(self, entrance: Entrance) -> None:
        """Tell the helper what to do."""
        text = entrance.to_json().encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its end is noticed by waiting for it
            self._control.sendall(len(text).to_bytes(8, "little") + text)

    def send(self, number: int) -> None:
        """Pass a signal on to the program, or have everything ended (END_ALL)."""
        with contextlib.suppress(OSError):  # it ended meanwhile
            self._control.send(bytes([number]), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def wait(self, timeout_seconds: float | None) -> None:
        """Pass output on until the helper is gone."""
        end_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        try:
            while self._control.fileno() in self._open:
                if end_at is not None and time.monotonic() >= end_at:
                    end_at, self._timed_out = None, True
                    self.send(END_ALL)
                self._pass_on(end_at)
            # The helper is gone, and all who write with it: what is there still is passed on, and nothing waited for.
            while self._pass_on(time.monotonic()):
                pass
        except BaseException:
            self._abandon()
            raise
        self._helper.wait()

    def _pass_on(self, until: float | None) -> bool:
        """Wait for what comes next, at most until then; whether anything came."""
        left = None if until is None else max(0.0, until - time.monotonic()) * 1000
        ready = self._poll.poll(left)
        for descriptor, _ in ready:
            if descriptor == self._output:
                data = os.read(descriptor, _CHUNK_BYTES)
                if data and self._streams.output is not None:
                    self._streams.output(data)
            else:
                try:
                    data = self._control.recv(_CHUNK_BYTES)
                except ConnectionResetError:  # it ended without taking a last signal; its report can be read next
                    continue
                self._report += data
            if not data:
                self._poll.unregister(descriptor)
                self._open.discard(descriptor)
        return bool(ready)

    def _abandon(self) -> None:
        """End it all without listening any longer; the helper goes on ending by itself should this take too long."""
        self.send(END_ALL)
        give_up_at = time.monotonic() + _END_SECONDS
        self._streams = Streams(lambda _: None)
        while self._control.fileno() in self._open and time.monotonic() < give_up_at:
            self._pass_on(give_up_at)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._helper.wait(timeout=max(0.0, give_up_at - time.monotonic()))

    def outcome(self) -> Outcome:
        """What the helper reported."""
        try:
            report = json.loads(self._report)
        except ValueError as error:
            raise MachineError(
                f"the sandbox's helper ended without a report (exit code {self._helper.returncode})",
                hint="it may have been killed for want of memory",
            ) from error
        if "refused" in report:
            raise EntryError(**report["refused"])
        return Outcome(
            int(report["exit_code"]),
            timed_out=self._timed_out,
            owners=MappingProxyType(
                {(inode, birth): (uid, gid) for inode, birth, uid, gid in report.get("owners", ())}
            ),
            attributes=MappingProxyType(
                {
                    (inode, birth): MappingProxyType({"security.capability": bytes.fromhex(value)})
                    for inode, birth, value in report.get("capabilities", ())
                }
            ),
        )


@contextlib.contextmanager
def _forwarding(run: _Run) -> Iterator[None]:
    """Pass signals on while the block runs; only the main thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, _frame: FrameType | None) -> None:
        if number not in _OF_THE_TERMINAL or not _is_foreground():
            run.send(number)

    before = {number: signal.getsignal(number) for number in _FORWARDED}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _is_foreground() -> bool:
    """Whether a terminal sends its signals to this process' group: the program has then had them from there."""
    with contextlib.suppress(OSError):
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.tcgetpgrp(descriptor) == os.getpgrp()
        finally:
            os.close(descriptor)
    return False


@contextlib.contextmanager
def _terminal() -> Iterator[None]:
    """Give the terminal back as it was: to this process' group, with its settings."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    import termios  # noqa: PLC0415 - only where there is a terminal

    try:
        group, settings = os.tcgetpgrp(descriptor), termios.tcgetattr(descriptor)
        try:
            yield
        finally:
            if group == os.getpgrp():
                # A background process that touches its terminal is stopped, unless it does not listen.
                blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
                with contextlib.suppress(OSError, termios.error):
                    os.tcsetpgrp(descriptor, group)
                    termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    finally:
        os.close(descriptor)
