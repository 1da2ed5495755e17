"""The interpreter that uv is given runs nothing once it is closed."""

import subprocess
from pathlib import Path

import pytest

from ocibuild.ecosystem.pip.stand_in import REFUSAL, StandIn


def run(program: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("folder", ["plain", "with blank", "x" * 150])
def test_it_answers_until_it_is_closed(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    stand_in = StandIn(tmp_path / folder)
    code = "import sys; print(sys.executable); print(sys._base_executable); print(sys.version_info[0])"
    answered = run(stand_in.program, "-I", "-B", "-c", code)
    assert answered.stdout.split("\n") == [str(stand_in.program), str(stand_in.program), "3", ""], answered.stderr
    stand_in.close()
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
    stand_in.close()


def test_without_its_folder_it_is_closed(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    moved = tmp_path / "moved"
    moved.write_bytes(stand_in.program.read_bytes())
    moved.chmod(0o755)
    stand_in.close()
    assert run(moved, "-c", "print(1)").returncode == 1
