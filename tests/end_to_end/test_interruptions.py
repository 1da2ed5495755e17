"""A build that is interrupted or killed leaves nothing that a later build would trust, and ends at once."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, assert_sound, repository
from tests.support.apt_repository import make_deb
from tests.support.program import program_command
from tests.support.tiny_system import TinySystem

_PROMPT_SECONDS = 10
"""Far above what ending takes, far below the time-outs of connections."""


@pytest.fixture(params=["InRelease", "Packages", "hello_1.0_all.deb"])
def stalled(system: TinySystem, request: pytest.FixtureRequest) -> Iterator[threading.Event]:
    """Set when the server is asked for such a file, about which it says nothing until the test's end."""
    system.add(make_deb("hello", "1.0", files={"usr/share/hello": random.Random(7).randbytes(3_000_000)}))
    system.publish()
    asked, over = threading.Event(), threading.Event()

    def before_answer(asked_path: str) -> None:
        if request.param in asked_path or (request.param == "Packages" and "by-hash" in asked_path):
            asked.set()
            over.wait(60)

    system.server.before_answer = before_answer
    yield asked
    over.set()


def start(program: Program, *arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        program_command(*arguments),
        env={**os.environ, "OCIBUILD_STORE": str(program.store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore SIGINT, and so would what the tests start there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,  # noqa: PLW1509 - no threads use it
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_a_server_says_nothing(
    program: Program, system: TinySystem, stalled: threading.Event, tmp_path: Path, number: signal.Signals
) -> None:
    base, source = system.base(program), repository(tmp_path / "repository", apt_txt="hello\n")
    process = start(program, "build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}")
    assert stalled.wait(30)
    process.send_signal(number)
    began = time.monotonic()
    stdout, stderr = process.communicate(timeout=40)
    assert time.monotonic() - began < _PROMPT_SECONDS
    assert (process.returncode, stdout) == (130, "")
    assert stderr.endswith("error: interrupted\n")
    assert "Traceback" not in stderr
    assert_sound(program.store)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(("image", ".partial-"))]
    system.server.before_answer = None
    program.result("build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}")


def test_killed_while_it_works(program: Program, system: TinySystem, tmp_path: Path) -> None:
    system.add(make_deb("big", "1.0", files={"usr/share/big": random.Random(7).randbytes(60_000_000)}, codec="none"))
    system.publish()
    base, source = system.base(program), repository(tmp_path / "repository", apt_txt="big\n")
    process = start(program, "build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}", "-v")
    assert process.stderr is not None
    for line in process.stderr:
        if "downloading big" in line:  # done: it is being packed
            break
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    digest = program.result("build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}")
    assert program.result("check", f"oci:{tmp_path / 'image'}").endswith("is sound")
    other = Program(tmp_path / "other-store", {})
    assert other.result("build", source, "--base", base) == digest


def test_a_reader_that_goes_away(program: Program, system: TinySystem) -> None:
    layout = system.base(program)
    process = start(program, "inspect", layout, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    process.wait()
