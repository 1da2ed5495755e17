"""Turns among threads and processes."""

import errno
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ocibuild.core.turns import turn

_HOLDER = """
import sys, time
from pathlib import Path
from ocibuild.core.turns import turn
with turn(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    inside, most, waits = 0, 0, []
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with turn(tmp_path / "turns/x") as waited:
            with guard:
                inside += 1
                most = max(most, inside)
                waits.append(waited)
            time.sleep(0.01)
            with guard:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(waits)) == (1, 6)
    assert not all(waits)
    assert any(waits)
    assert list((tmp_path / "turns").iterdir()) == []


def test_another_turn_is_not_waited_for(tmp_path: Path) -> None:
    with turn(tmp_path / "x") as first, turn(tmp_path / "y") as second:
        assert (first, second) == (False, False)


def test_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    told: list[bool] = []
    with turn(tmp_path / "x", on_wait=lambda: told.append(True), patience_seconds=0.05) as waited:
        assert waited  # and had no patience
    with turn(tmp_path / "x", stopped=lambda: True) as waited:
        assert waited
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with turn(tmp_path / "x") as waited:
        assert not waited
    assert told == [True]


def test_without_a_place_for_turns_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with turn(tmp_path / "file/x") as waited:
        assert not waited


def test_where_no_file_may_be_made_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with turn(tmp_path / "folder/turn") as waited:
        assert not waited
