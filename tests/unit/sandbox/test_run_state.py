"""The file that a run's processes share: what is written for them, and what is read of theirs."""

import struct
from pathlib import Path

import pytest

from ocibuild.core.errors import UsageError
from ocibuild.sandbox.entrance import Bind
from ocibuild.sandbox.execution import Execution, Identity
from ocibuild.sandbox.run_state import Phase, RunFacts, RunState

ROOT_HEADER = Path(__file__).parents[3] / "ocibuild/sandbox/root/state.h"


def facts(root: Path, *binds: Bind) -> RunFacts:
    return RunFacts(root, Path("/opt/loader"), "", (1, 2), binds)


def test_the_arrays_are_as_long_as_the_native_program_has_them() -> None:
    text = ROOT_HEADER.read_text()
    for line in ("BINDING_LIMIT = 128,", "BORROWED_LIMIT = 64,", "ATTRIBUTE_LIMIT = 4096,", '"ocibuild-root 1"'):
        assert line in text


def test_a_new_state_says_nothing_yet_and_takes_no_room(tmp_path: Path) -> None:
    owners = {(number, number * 7): (number % 5 + 1, 9) for number in range(1, 2000)}
    with RunState.make(tmp_path / "state", facts(tmp_path), Execution(("true",)), owners) as state:
        assert (state.phase, state.refusal) == (Phase.NONE, 0)
        assert state.decided_owners() == {}
        assert state.attributes() == {}
        state.give_modes_back()
        state.take_folders_away()
    assert (tmp_path / "state").stat().st_blocks * 512 < 12 << 20 < (tmp_path / "state").stat().st_size


def test_owners_that_were_decided_are_read(tmp_path: Path) -> None:
    owners = {(number, 5): (1, 2) for number in (7, 7 + (1 << 40), 9)}
    with RunState.make(tmp_path / "state", facts(tmp_path), Execution(("true",)), owners):
        pass
    data = bytearray((tmp_path / "state").read_bytes())
    entry = data.index(struct.pack("=QQQ", 9, 5, 1 | 2 << 32))
    struct.pack_into("=QQQQ", data, entry, 9, 5, 1000 | 50 << 32, 1)  # as record_owner does
    gone = data.index(struct.pack("=QQQ", 7, 5, 1 | 2 << 32))
    struct.pack_into("=QQQQ", data, gone, (1 << 64) - 1, 5, 4, 1)  # as forget_file does
    (tmp_path / "state").write_bytes(data)
    with RunState(tmp_path / "state") as state:
        assert state.decided_owners() == {(9, 5): (1000, 50)}


def test_a_mode_that_was_left_changed_is_given_back(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o755)
    with RunState.make(tmp_path / "state", facts(tmp_path), Execution(("true",)), {}):
        pass
    data = bytearray((tmp_path / "state").read_bytes())
    header = 8456 + 4096 + 16
    struct.pack_into("=II", data, header + 128 * 16, 1, 0o555)
    path = str(locked).encode()
    data[header + 128 * 16 + 8 : header + 128 * 16 + 8 + len(path)] = path
    (tmp_path / "state").write_bytes(data)
    with RunState(tmp_path / "state") as state:
        state.give_modes_back()
    assert locked.stat().st_mode & 0o7777 == 0o555
    locked.chmod(0o755)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    many = [Bind("/etc", f"/mnt/{number}", writable=False) for number in range(129)]
    with pytest.raises(UsageError, match="129 files and folders"):
        RunState.make(tmp_path / "one", facts(tmp_path, *many), Execution(("true",)), {})
    with pytest.raises(UsageError, match="too long"):
        RunState.make(tmp_path / "two", facts(Path("/" + "x" * 5000)), Execution(("true",), identity=Identity(1)), {})
    assert list(tmp_path.iterdir()) == []
