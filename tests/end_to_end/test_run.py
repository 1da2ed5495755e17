"""``ocibuild run``: images run as a container runtime would run them, on every rung that works here."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild.core.platform import Platform
from ocibuild.image.config import ImageConfig
from ocibuild.image.layout import LayoutTarget, write_layout
from ocibuild.layer.entry import Entry
from tests.end_to_end.conftest import Program
from tests.support.made_images import MadeImage
from tests.support.sandbox_roots import entries_of, small_root

HERE = Platform.parse(os.uname().machine)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A layout with a shell, made of this machine's files: a user, an entrypoint, a working folder, a secret file."""
    folder = tmp_path_factory.mktemp("image")
    root = small_root(folder / "root")
    (root / "etc/secret").write_text("for root only\n")
    (root / "etc/secret").chmod(0o600)
    config = ImageConfig(
        HERE,
        environment={"GREETING": "hello", "PATH": "/usr/bin"},
        user="jovyan",
        entrypoint=("sh", "-c", 'echo "$GREETING $0 $*"'),
        command=("image", "words"),
        working_folder="/home/jovyan",
    )
    lower = list(entries_of(root))
    upper = [Entry.whiteout("usr/bin/yes"), Entry.file("home/jovyan/notes", b"mine\n", uid=1000, gid=1000)]
    write_layout(MadeImage([lower, upper], config=config).source(), LayoutTarget.parse(str(folder / "layout")))
    return f"oci:{folder / 'layout'}"


def test_the_image_says_what_runs(program: Program, image: str, sandbox: str) -> None:
    run = ("run", "--sandbox", sandbox)
    assert program.result(*run, image) == "hello image words"
    assert program.result(*run, "-e", "GREETING=good day", image, "to", "-e", "you") == "good day to -e you"
    assert program.result(*run, "--entrypoint", "", image, "readlink", "-f", ".") == "/home/jovyan"
    assert program.result(*run, "--entrypoint", "sh -c", image, "echo words") == "words"


def test_who_and_where(program: Program, image: str, sandbox: str) -> None:
    run = ("run", "--sandbox", sandbox, "--entrypoint", "")
    script = "echo $(id -u):$(id -g) $HOME $PWD"
    assert program.result(*run, image, "sh", "-c", script) == "1000:1000 /home/jovyan /home/jovyan"
    assert program.result(*run, "-u", "bob", "-w", "/tmp", image, "sh", "-c", script) == "33:34 / /tmp"
    assert program.result(*run, "-u", "0", image, "cat", "/etc/secret") == "for root only"
    assert program.result(*run, "-u", "7:staff", image, "sh", "-c", "id -u; id -g") == "7\n50"
    error = program.run("run", "-u", "nobody-knows", image).stderr
    assert "error: the user 'nobody-knows' of 'nobody-knows' is not in the image" in error


def test_layers_lie_on_each_other(program: Program, image: str, sandbox: str) -> None:
    run = ("run", "--sandbox", sandbox, "--entrypoint", "")
    assert program.run(*run, image, "yes").returncode == 127
    assert program.result(*run, image, "cat", "notes") == "mine"


def test_what_is_written_is_gone_the_next_time(program: Program, image: str, sandbox: str) -> None:
    run = ("run", "--sandbox", sandbox, "--entrypoint", "", image)
    assert program.result(*run, "sh", "-c", "echo x > notes; mkdir -p a/b; rm -f .x; cat notes") == "x"
    assert program.result(*run, "sh", "-c", "cat notes; ls -A") == "mine\nnotes"


def test_folders_and_files_of_this_machine(program: Program, image: str, sandbox: str, tmp_path: Path) -> None:
    shared, file = tmp_path / "shared", tmp_path / "file"
    shared.mkdir()
    shared.chmod(0o777)
    file.write_text("a file\n")
    file.chmod(0o644)
    run = ("run", "--sandbox", sandbox, "--entrypoint", "")
    script = "cat /opt/file; echo new > /mnt/shared/new; echo x > /mnt/fixed/x"
    mounts = ("-v", f"{shared}:/mnt/shared", "-v", f"{shared}:/mnt/fixed:ro", "-v", f"{file}:/opt/file:ro")
    done = program.run(*run, *mounts, image, "sh", "-c", script)
    if sandbox == "chroot" and "cannot be mounted" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.stdout == "a file\n"
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr
    assert [path.name for path in shared.iterdir()] == ["new"]
    assert (shared / "new").read_text() == "new\n"
    assert program.result(*run, image, "sh", "-c", "ls /mnt /opt 2>/dev/null; true") == ""


def test_exit_codes_and_signals_pass_through(program: Program, image: str, sandbox: str) -> None:
    run = ("run", "--sandbox", sandbox, "--entrypoint", "", image)
    assert program.run(*run, "sh", "-c", "exit 42").returncode == 42
    assert program.run(*run, "sh", "-c", "kill -KILL $$").returncode == 137
    command = [
        sys.executable,
        "-m",
        "ocibuild.cli",
        *run,
        "sh",
        "-c",
        "trap 'echo got it; exit 3' TERM; echo up; while :; do sleep 0.1; done",
    ]
    environment = {**os.environ, "OCIBUILD_STORE": str(program.store)}
    for is_of_timeout in (False, True):
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=is_of_timeout
        ) as started:
            assert started.stdout is not None
            assert started.stdout.readline() == "up\n"
            started.send_signal(signal.SIGTERM)
            if is_of_timeout:  # timeout(1) sends it to the whole process group as well
                os.killpg(started.pid, signal.SIGTERM)
            assert started.stdout.read() == "got it\n"
            assert started.wait() == 3


def test_variables_of_a_file(program: Program, image: str, tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text("# a comment\n\nGREETING=from a file\nFROM_HERE\nNOT_HERE\n")
    script = 'echo "$GREETING,$FROM_HERE,${NOT_HERE-unset}"'
    run = ("run", "--env-file", file, "--entrypoint", "")
    assert program.result(*run, image, "sh", "-c", script, FROM_HERE="1 2") == "from a file,1 2,unset"
    assert program.result(*run, "-e", "GREETING=said", image, "sh", "-c", script) == "said,,unset"
    file.write_text("GREETING=x\nnot a variable\n")
    assert f"error: {file}:2: no variable: 'not a variable'" in program.error(*run, image, code=2)
    assert "cannot be read: No such file or directory" in program.error(
        "run", "--env-file", tmp_path / "no", image, code=2
    )


def test_its_streams_are_the_programs(program: Program, image: str) -> None:
    command = [sys.executable, "-m", "ocibuild.cli", "run", "--entrypoint", "", image, "sh", "-c", "cat; echo err >&2"]
    done = subprocess.run(
        command,
        env={**os.environ, "OCIBUILD_STORE": str(program.store)},
        input="through\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("through\n", "err\n")


def test_nothing_of_this_environment_is_there(program: Program, image: str) -> None:
    run = ("run", "--entrypoint", "", image)
    assert "hunter2" not in program.result(*run, "env", PASSWORD="hunter2")


def test_what_cannot_run_is_said(program: Program, image: str, tmp_path: Path) -> None:
    foreign = MadeImage([[Entry.file("x", b"")]], platform=Platform.parse("linux/s390x")).source()
    write_layout(foreign, LayoutTarget.parse(str(tmp_path / "foreign")))
    error = program.error("run", f"oci:{tmp_path / 'foreign'}", code=4)
    assert "is for linux/s390x, and this machine cannot run its programs" in error
    empty = MadeImage([[Entry.file("x", b"")]], config=ImageConfig(HERE)).source()
    write_layout(empty, LayoutTarget.parse(str(tmp_path / "empty")))
    assert "has neither entrypoint nor command" in program.error("run", f"oci:{tmp_path / 'empty'}", code=2)
    for mount, said in (
        ("/etc", "'/etc' is no mount"),
        ("/etc:etc", "is no mount"),
        ("/etc:/etc:rx", "is no mount"),
        ("/no/such:/x", "/no/such: there is no such file or folder to mount"),
    ):
        assert said in program.error("run", "-v", mount, image, code=2)
    assert "--entrypoint: No closing quotation" in program.error("run", "--entrypoint", "sh '", image, code=2)
    assert "'=x' is no variable" in program.error("run", "-e", "=x", image, code=2)


def test_what_is_no_place_here_is_looked_for_in_a_registry(program: Program) -> None:
    assert "127.0.0.1:1" in program.error("run", "127.0.0.1:1/nothing:here", code=5)
