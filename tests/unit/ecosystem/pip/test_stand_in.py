"""The interpreter that uv is given runs nothing but the answer to uv's question."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from ocibuild.ecosystem.pip.stand_in import REFUSAL, StandIn


def run(
    program: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | dict(variables or {})
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("folder", ["plain", "with blank", "x" * 150])
def test_it_answers_where_it_may_and_nothing_else(tmp_path: Path, folder: str) -> None:
    stand_in = StandIn(tmp_path / folder)
    code = "import os, sys; print(sys.executable); print(sys._base_executable); print(sorted(os.environ))"
    answered = run(stand_in.program, "-I", "-B", "-c", code, variables=stand_in.variables)
    program, base, names, _ = answered.stdout.split("\n")
    assert (program, base) == (str(stand_in.program), str(stand_in.program)), answered.stderr
    assert not any(name in names for name in stand_in.variables), "what it runs cannot run it again"
    marker = tmp_path / "it ran"
    script = tmp_path / "script.py"
    script.write_text(f"open({str(marker)!r}, 'w')")
    for arguments in (
        ("-c", script.read_text()),
        ("-I", "-B", "-c", script.read_text()),
        (str(script),),
        ("-m", "this"),
    ):
        refused = run(stand_in.program, *arguments)
        assert refused.returncode == 1
        assert REFUSAL in refused.stderr
        assert not refused.stdout
    assert not marker.exists()


def test_it_stays_the_same_file(tmp_path: Path) -> None:
    first = StandIn(tmp_path)
    status = first.program.stat()
    assert StandIn(tmp_path).program == first.program
    assert (first.program.stat().st_ino, first.program.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    first.program.write_text("something else")
    assert b"MAY_ANSWER" in StandIn(tmp_path).program.read_bytes()
