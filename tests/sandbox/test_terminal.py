"""A program at a terminal, as a shell's child: job control, Ctrl-C, Ctrl-Z, and a sane terminal afterwards."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_DRIVER = """
import os, sys
from dataclasses import replace
from ocibuild.sandbox.entrance import Entrance, IdRange
from ocibuild.sandbox.execution import Streams
from ocibuild.sandbox.process import run_process
entrance = Entrance(tuple(sys.argv[2:]), {"PATH": "/usr/bin:/bin", "PS1": "prompt> ", "TERM": "dumb"})
if sys.argv[1] == "confined":
    ids = dict(uid=0, gid=0, mapper="self", uid_map=(IdRange(0, os.geteuid(), 1),), gid_map=(IdRange(0, os.getegid(), 1),))
    entrance = replace(entrance, has_processes=True, **ids)
print("code", run_process(entrance, Streams()).exit_code, os.tcgetpgrp(0) == os.getpgrp(), flush=True)
"""


class Terminal:
    """The other side of a terminal at which a shell-like parent started the driver as its foreground job."""

    def __init__(self, kind: str, *arguments: str) -> None:
        self.process, self.master = pty.fork()
        if self.process == 0:
            os.execv(sys.executable, [sys.executable, "-c", _DRIVER, kind, *arguments])  # noqa: S606 - there is no shell to go through
        self.seen = b""

    def expect(self, pattern: str, seconds: float = 20.0) -> str:
        """Read until the pattern was seen; what was read up to its end is then forgotten."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern.encode(), self.seen)):
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} did not come: {self.seen!r}"
            try:
                data = os.read(self.master, 4096)
            except OSError:  # the last of the terminal's users is gone
                data = b""
            assert data, f"{pattern!r} did not come: {self.seen!r}"
            self.seen += data
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before.decode()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


@pytest.fixture(params=["plain", "confined"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    started: list[Terminal] = []
    yield started
    for terminal in started:
        os.close(terminal.master)
        try:
            os.kill(terminal.process, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            os.waitpid(terminal.process, 0)


def test_a_shell_has_job_control_and_the_terminal_comes_back(kind: str, terminals: list[Terminal]) -> None:
    terminal = Terminal(kind, "bash", "--norc", "--noprofile", "-i")
    terminals.append(terminal)
    terminal.expect("prompt> ")
    terminal.type("sh -c 'echo in; exec sleep 86400'\n")
    terminal.expect("\r\nin\r\n")
    terminal.type("\x1a")
    assert "Stopped" in terminal.expect("prompt> ")
    terminal.type("jobs; kill %1; fg; echo done $?\n")
    terminal.expect("done [0-9]+\r\n")
    terminal.expect("prompt> ")
    terminal.type("sh -c 'echo in; exec cat'\n")
    terminal.expect("\r\nin\r\n")
    terminal.type("\x03")
    terminal.expect(r"prompt> ")
    terminal.type("exit 7\n")
    terminal.expect("code 7 True")


def test_an_interrupt_is_the_programs_alone(kind: str, terminals: list[Terminal]) -> None:
    terminal = Terminal(kind, "sh", "-c", "trap 'echo caught; exit 9' INT; echo up; while :; do sleep 0.1; done")
    terminals.append(terminal)
    terminal.expect("up\r\n")
    terminal.type("\x03")
    terminal.expect("caught\r\n")
    terminal.expect("code 9 True")


def test_a_stopped_job_goes_on(kind: str, terminals: list[Terminal], tmp_path: Path) -> None:
    """As a job of a shell: Ctrl-Z stops all of it, and fg lets all of it go on."""
    (tmp_path / "driver.py").write_text(_DRIVER)
    terminal = Terminal("plain", "bash", "--norc", "--noprofile", "-i")
    terminals.append(terminal)
    terminal.expect("prompt> ")
    terminal.type(f"{sys.executable} {tmp_path}/driver.py {kind} sh -c 'echo up; sleep 1; read line; echo got $line'\n")
    terminal.expect("\r\nup\r\n")
    terminal.type("\x1a")
    assert "Stopped" in terminal.expect("prompt> ")
    terminal.type("fg\n")
    terminal.expect("\r\n.*driver.py.*\r\n")
    terminal.type("words\n")
    terminal.expect("got words\r\n")
    terminal.expect("code 0 True")


def test_settings_of_the_terminal_are_given_back(kind: str, terminals: list[Terminal]) -> None:
    terminal = Terminal(kind, "sh", "-c", "stty raw -echo; kill -KILL $$")
    terminals.append(terminal)
    terminal.expect("code 137 True\r?\n")
    local = termios.tcgetattr(terminal.master)[3]
    assert local & termios.ECHO
    assert local & termios.ICANON


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_signals_without_a_terminal_are_passed_on(kind: str, sent: signal.Signals, tmp_path: Path) -> None:
    if signal.getsignal(sent) is signal.SIG_IGN:
        pytest.skip("a shell cannot trap what was ignored when it began (nohup)")
    name = sent.name.removeprefix("SIG")
    script = f"trap 'echo {name}; exit 5' {name}; echo up; while :; do sleep 0.1; done"
    with subprocess.Popen(
        [sys.executable, "-c", _DRIVER.replace("os.tcgetpgrp(0) == os.getpgrp()", "0"), kind, "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "up\n"
        started.send_signal(sent)
        assert started.stdout.read().split() == [name, "code", "5", "0"]
