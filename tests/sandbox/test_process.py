"""Programs that do not want to end, talk too much or not at all: all that they started ends with them."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ocibuild.core.errors import MachineError
from ocibuild.sandbox.entrance import Entrance, IdRange
from ocibuild.sandbox.execution import Outcome, Streams
from ocibuild.sandbox.process import EntryError, run_process

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
PLAIN = Entrance(("true",), ENVIRONMENT)
"""No root and no name space, as the rungs have it that cannot make one."""
CONFINED = replace(
    PLAIN,
    uid=0,
    gid=0,
    mapper="self",
    uid_map=(IdRange(0, os.geteuid(), 1),),
    gid_map=(IdRange(0, os.getegid(), 1),),
    has_processes=True,
)
NEVER = "86400"


@pytest.fixture(params=[PLAIN, CONFINED], ids=["plain", "process name space"])
def entrance(request: pytest.FixtureRequest) -> Entrance:
    chosen: Entrance = request.param
    return chosen


@pytest.fixture
def marker() -> Iterator[str]:
    """A word in the command line of what a test starts; nothing that has it may be left."""
    word = f"ocibuild-test-{os.urandom(6).hex()}"
    yield word
    left = processes_with(word)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert not left


def processes_with(word: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            has_word = word.encode() in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if has_word and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def run(entrance: Entrance, *arguments: str, timeout_seconds: float | None = None) -> tuple[Outcome, bytes]:
    written = bytearray()
    outcome = run_process(
        replace(entrance, arguments=arguments), Streams(written.extend), timeout_seconds=timeout_seconds
    )
    return outcome, bytes(written)


def wait_for_end(process: int, seconds: float = 20.0) -> None:
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], seconds)[0], f"{process} still runs"
    os.close(descriptor)


def test_daemons_end_with_the_program(entrance: Entrance, marker: str) -> None:
    daemon = f"trap '' TERM HUP INT; exec </dev/null >/dev/null 2>&1; while :; do sleep {NEVER}; done; : {marker}"
    script = f"""
        setsid sh -c "setsid sh -c \\"{daemon.replace('"', "")}\\" {marker} & exit" {marker}
        sh -c 'sleep {NEVER}; : {marker}' {marker} &
        sh -c 'kill -STOP $$; : {marker}' {marker} &
        echo started
    """
    outcome, output = run(entrance, "sh", "-c", script, marker)
    assert (outcome.exit_code, output) == (0, b"started\n")
    assert processes_with(marker) == []


def test_a_program_that_hangs_is_ended_in_time(entrance: Entrance, marker: str) -> None:
    outcome, _ = run(entrance, "sh", "-c", f"sleep {NEVER}", marker, timeout_seconds=0.2)
    assert (outcome.timed_out, outcome.exit_code) == (True, 128 + signal.SIGTERM)
    outcome, _ = run(entrance, "sh", "-c", f"trap '' TERM; sleep {NEVER}", marker, timeout_seconds=0.2)
    assert (outcome.timed_out, outcome.exit_code) == (True, 128 + signal.SIGKILL)


def test_a_program_may_end_in_order_after_a_timeout(entrance: Entrance) -> None:
    script = f"trap 'echo bye; exit 3' TERM; sleep {NEVER} & wait"
    outcome, output = run(entrance, "sh", "-c", script, timeout_seconds=0.2)
    assert (outcome, output) == (Outcome(3, timed_out=True), b"bye\n")


def test_a_program_without_streams_goes_on(entrance: Entrance, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    file = tmp_path / "file"
    outcome, output = run(entrance, "sh", "-c", f"exec <&- >&- 2>&-; sleep 0.3; : > {file}; exit 4")
    assert (outcome.exit_code, output, file.exists()) == (4, b"", True)


def test_its_input_is_empty(entrance: Entrance) -> None:
    assert run(entrance, "cat")[0].exit_code == 0


def test_hundreds_of_megabytes_pass_by_in_small_pieces(entrance: Entrance) -> None:
    total, largest = 0, 0

    def count(data: bytes) -> None:
        nonlocal total, largest
        total += len(data)
        largest = max(largest, len(data))

    arguments = ("head", "-c", "300M", "/dev/zero")
    assert run_process(replace(entrance, arguments=arguments), Streams(count)).exit_code == 0
    assert total == 300 << 20
    assert largest <= 65536


def test_endless_output_does_not_keep_a_timeout_away(entrance: Entrance, marker: str) -> None:
    outcome, output = run(entrance, "sh", "-c", "yes", marker, timeout_seconds=0.3)
    assert outcome.timed_out
    assert output.startswith(b"y\ny\n")


def test_an_exception_of_the_listener_ends_the_program(entrance: Entrance, marker: str) -> None:
    def refuse(data: bytes) -> None:
        raise BrokenPipeError(data)

    script = f"echo x; (trap '' TERM; sleep {NEVER}) & sleep {NEVER}"
    with pytest.raises(BrokenPipeError):
        run_process(replace(entrance, arguments=("sh", "-c", script, marker)), Streams(refuse))


def test_many_threads_run_programs_at_once(entrance: Entrance) -> None:
    answers: dict[int, bytes] = {}

    def work(number: int) -> None:
        answers[number] = run(entrance, "sh", "-c", f"sleep 0.1; echo {number}")[1]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"{number}\n".encode() for number in range(8)}


def test_a_large_environment_and_odd_bytes_arrive(entrance: Entrance) -> None:
    large = {f"NAME{number}": "x" * 100_000 for number in range(10)}
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    with_all = replace(entrance, environment={**ENVIRONMENT, **large, "ODD": odd})
    outcome, output = run(with_all, "sh", "-c", 'printf %s "$ODD $1"; env | wc -c', "sh", odd)
    assert outcome.exit_code == 0
    assert output.startswith(b"caf\xe9 caf\xe9")
    assert int(output.removeprefix(b"caf\xe9 caf\xe9")) > 1_000_000


def test_nothing_of_this_process_is_there(entrance: Entrance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "hunter2")
    inherited = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    # The helper's own environment can be read by those that it starts.
    parents = (
        "p=$(sed 's/.*) . //; s/ .*//' /proc/self/stat); while [ $p -gt 1 ] && grep -q sandbox /proc/$p/cmdline; do "
    )
    parents += "tr '\\0' '\\n' < /proc/$p/environ; p=$(sed 's/.*) . //; s/ .*//' /proc/$p/stat); done"
    outcome, output = run(entrance, "sh", "-c", f"umask; ls /proc/self/fd; {parents}; {parents}")
    os.close(inherited)
    assert b"hunter2" not in output
    assert output.split()[:5] == [b"0022", b"0", b"1", b"2", b"3"]  # 3 is the folder that ls reads
    assert outcome.exit_code == 0


def test_signals_are_as_a_shell_leaves_them(entrance: Entrance) -> None:
    """Python ignores SIGPIPE for itself, and the helper the terminal's signals. What nohup and & have ignored stays so."""
    _, output = run(entrance, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    kept = [each for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT) if signal.getsignal(each) is signal.SIG_IGN]
    ignored = sum(1 << each - 1 for each in kept)
    assert output == b"SigBlk:\t0000000000000000\nSigIgn:\t%016x\n" % ignored


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_goes_on_without_this_process(entrance: Entrance, marker: str, sent: signal.Signals) -> None:
    which = "PLAIN" if entrance is PLAIN else "CONFINED"
    code = f"""
import sys, signal
sys.path[:0] = {sys.path!r}
sys.path.insert(0, {str(Path(__file__).parent)!r})
import importlib.util
spec = importlib.util.spec_from_file_location("rig", {__file__!r})
rig = importlib.util.module_from_spec(spec); sys.modules["rig"] = rig; spec.loader.exec_module(rig)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.default_int_handler)
script = "trap '' TERM; echo $$; (trap '' TERM; sleep {NEVER}) & while :; do sleep {NEVER}; done"
rig.run_process(
    rig.replace(rig.{which}, arguments=("sh", "-c", script, {marker!r})),
    rig.Streams(lambda data: (sys.stdout.buffer.write(data), sys.stdout.buffer.flush())),
)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        assert started.stdout is not None
        assert started.stdout.readline().strip().isdigit()
        programs = processes_with(marker)
        assert programs
        started.send_signal(sent)
        started.wait()
    for program in programs:
        wait_for_end(program)


@pytest.mark.parametrize("which", ["helper", "guard"])
def test_a_helper_that_is_killed_takes_the_program_with_it(entrance: Entrance, marker: str, which: str) -> None:
    caught: list[BaseException | Outcome] = []

    def work() -> None:
        try:
            caught.append(run(entrance, "sh", "-c", f"echo started; sleep {NEVER}; : {marker}", marker)[0])
        except MachineError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 20
    while not (programs := processes_with(marker)) and time.monotonic() < deadline:
        thread.join(0.02)
    guard = parent_of(programs[0])
    os.kill(parent_of(guard) if which == "helper" else guard, signal.SIGKILL)
    thread.join(20)
    assert not thread.is_alive()
    for program in programs:
        wait_for_end(program)
    (answer,) = caught
    if which == "helper":
        assert isinstance(answer, MachineError)
        assert "without a report" in answer.message
    else:
        assert answer == Outcome(128 + signal.SIGKILL)


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_call_that_fails_is_named() -> None:
    with pytest.raises(EntryError) as caught:
        run(replace(PLAIN, root="/no/such/root"), "true")
    assert (caught.value.call, caught.value.number) == ("opening /no/such/root", 2)
    with pytest.raises(EntryError) as caught:
        run(replace(PLAIN, working_folder="/no/such/folder"), "true")
    assert caught.value.message == ("entering the root: chdir(/no/such/folder): No such file or directory [ENOENT]")
