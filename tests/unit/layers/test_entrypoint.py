"""The program that starts a Binder image's command, run as it is by this Python."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(__file__).parents[3] / "layers/entrypoint/files/usr/local/bin"
ENTRYPOINT = BIN / "repo2docker-entrypoint"
LOG = ".jupyter-server-log.txt"
CHILD = """
import os, signal, sys, time
def tell(number, frame):
    os.write(1, f"got {signal.Signals(number).name}\\n".encode())
    if number == signal.SIGTERM:
        sys.exit(7)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
    signal.signal(number, tell)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


def start(folder: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "REPO_DIR": str(folder), **variables}
    return subprocess.Popen(
        [sys.executable, "-u", str(ENTRYPOINT), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )


def run(folder: Path, *command: str, **variables: str) -> tuple[int, str, str]:
    process = start(folder, *command, **variables)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_output_goes_out_and_to_the_log(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("before\n")
    status, output, errors = run(tmp_path, "sh", "-c", "echo one; echo two >&2; exit 3")
    assert (status, output, errors) == (3, "one\ntwo\n", "")
    assert (tmp_path / LOG).read_text() == "before\none\ntwo\n"


def test_much_output_is_whole(tmp_path: Path) -> None:
    status, output, _ = run(tmp_path, sys.executable, "-c", "print('x' * 5_000_000)")
    assert (status, len(output)) == (0, 5_000_001)
    assert (tmp_path / LOG).stat().st_size == 5_000_001


def test_the_start_script_gets_the_command(tmp_path: Path) -> None:
    script = tmp_path / "start"
    script.write_text('#!/bin/sh\nexport A=from-start\nexec "$@"\n')
    script.chmod(0o755)
    _, output, _ = run(tmp_path, "sh", "-c", 'echo "$A $0 $1"', "x", "y z", R2D_ENTRYPOINT=str(script))
    assert output == "from-start x y z\n"


def test_signals_reach_the_command_and_its_status_is_ours(tmp_path: Path) -> None:
    process = start(tmp_path, sys.executable, "-c", CHILD)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
        process.send_signal(number)
        assert process.stdout.readline() == f"got {number.name}\n"
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (7, "got SIGTERM\n", "")


def test_the_status_of_a_command_that_a_signal_ended(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "kill -KILL $$")[0] == 137
    assert run(tmp_path, "sh", "-c", "kill -TERM $$")[0] == 143


def test_what_a_grandchild_keeps_open_is_not_waited_for(tmp_path: Path) -> None:
    process = start(tmp_path, "sh", "-c", "sleep 600 & echo $! >pid; echo done")
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    try:
        assert process.wait(timeout=60) == 0
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(("command", "status"), [("/nowhere/program", 127), ("/", 126)])
def test_a_command_that_cannot_be_started(tmp_path: Path, command: str, status: int) -> None:
    found, _, errors = run(tmp_path, command)
    assert found == status
    assert command in errors


def test_no_command(tmp_path: Path) -> None:
    status, _, errors = run(tmp_path)
    assert status == 1
    assert "no command" in errors


def test_the_log_goes_where_it_can(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    status, output, _ = run(elsewhere, "echo", "hello", REPO_DIR=str(tmp_path / "absent"))
    assert (status, output, (elsewhere / LOG).read_text()) == (0, "hello\n", "hello\n")


def test_a_full_disk_stops_the_log_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / LOG).symlink_to("/dev/full")
    status, output, _ = run(tmp_path, "sh", "-c", "echo one; echo two")
    assert (status, output) == (0, "one\ntwo\n")


def test_a_full_standard_output_stops_nothing(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, str(ENTRYPOINT), "sh", "-c", "echo one; echo two; exit 4"],
            stdout=full,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            check=False,
            timeout=60,
        )
    assert process.returncode == 4
    assert (tmp_path / LOG).read_text() == "one\ntwo\n"


def test_a_log_for_nobody(tmp_path: Path) -> None:
    for folder in ("repo", "here", "tmp"):
        (tmp_path / folder / LOG).mkdir(parents=True)
    process = subprocess.run(
        [sys.executable, str(ENTRYPOINT), "echo", "hello"],
        cwd=tmp_path / "here",
        env={"PATH": os.environ["PATH"], "REPO_DIR": str(tmp_path / "repo"), "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (process.returncode, process.stdout) == (0, "hello\n")
    assert "no log is kept" in process.stderr


def test_the_login_shell_starts_python(tmp_path: Path) -> None:
    (tmp_path / ".bash_profile").write_text("export FROM_PROFILE=yes\n")
    script = tmp_path / "script.py"
    script.write_text("import os, sys; print(os.environ['FROM_PROFILE'], sys.stdout.write_through, sys.argv[1:])")
    result = subprocess.run(
        [BIN / "python3-login", script, "a b"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "yes True ['a b']\n"


def test_the_path_of_a_login_shell(tmp_path: Path) -> None:
    profile = Path(__file__).parents[3] / "layers/binder/files/etc/profile.d/binder-path.sh"
    variables = {
        "HOME": "/home/jovyan", "REPO_DIR": "/srv/repo", "NB_PYTHON_PREFIX": "/srv/conda/envs/notebook",
        "CONDA_DIR": "/srv/conda", "NPM_DIR": "/srv/npm", "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    script = f'. {profile}; echo "$PATH"; . {profile}; echo "$PATH"; echo "${{folder-unset}}"'
    result = subprocess.run(["/bin/sh", "-ec", script], env=variables, capture_output=True, text=True, check=True)
    path = "/home/jovyan/.local/bin:/srv/repo/.local/bin:/srv/conda/envs/notebook/bin:/srv/conda/bin:/srv/npm/bin"
    assert result.stdout == f"{path}:/usr/bin:/bin\n" * 2 + "unset\n"
    plain = subprocess.run(
        ["/bin/sh", "-ec", f'. {profile}; echo "$PATH"'],
        env={"PATH": "/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout == "/bin\n"
