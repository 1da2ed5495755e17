"""Rung 3: ``ocibuild-root``, a program of our own that makes a root out of path rewriting inside each process.

It needs nothing that a restricted pod refuses: no name space, no chroot, no ptrace, no second process. Its source, and
how it works, are in ``root/``.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.errors import MachineError
from ocibuild.sandbox.entrance import Bind, Entrance
from ocibuild.sandbox.execution import Execution, InodeKey, Outcome, Owner, Streams
from ocibuild.sandbox.mounts import DEVICE_LINKS, DEVICES
from ocibuild.sandbox.process import run_process
from ocibuild.sandbox.root_program import find_root_program
from ocibuild.sandbox.run_state import Phase, RunFacts, RunState
from ocibuild.sandbox.view import binds_of, executable_root, run_folder

__all__ = ["TrapRung"]

_SHORT_ROOT_BYTES = 40
"""A link to the root with a path longer than this leaves too little of a socket's address (unix(7): 107 bytes)."""

_NOTES = (
    "This is a view of files, not a security boundary: a step can reach whatever this process can.",
    "Device nodes cannot be made, nothing can be mounted: the answer is EPERM.",
    "A program's own filter of system calls (seccomp) is not installed; programs for i386 and x32 are refused.",
    "A program sees this machine's processes; debuggers (gdb, strace) do not work.",
    "Without a network a program still has this machine's loopback addresses.",
)


@dataclass(frozen=True, slots=True)
class TrapRung:
    """A :class:`~ocibuild.sandbox.rung.Rung`. ``program`` is ``ocibuild-root`` where it may be executed."""

    program: Path
    name: str = field(default="trap", init=False)
    number: int = field(default=3, init=False)
    has_real_owners: bool = field(default=False, init=False)
    is_boundary: bool = field(default=False, init=False)
    notes: tuple[str, ...] = field(default=_NOTES, init=False)

    @classmethod
    def of_this_machine(cls) -> "TrapRung":
        """The rung, not yet tried; a MachineError where the program is not part of this installation."""
        return cls(find_root_program())

    def run(
        self,
        root: Path,
        execution: Execution,
        streams: Streams,
        *,
        owners: dict[InodeKey, Owner] | None = None,
    ) -> Outcome:
        """See :class:`~ocibuild.sandbox.rung.Rung`; a MachineError where the root lies on a noexec mount."""
        root = executable_root(root)
        with run_folder(root) as folder, self._executable(folder) as program:
            facts = RunFacts(
                root=root,
                loader=program,
                short_root=_short_root(folder, root),
                devices=_devices_of(root),
                binds=(*_machine_binds(folder, execution.host_name), *binds_of(execution, folder)),
            )
            with RunState.make(folder / "state", facts, execution, owners or {}) as state:
                try:
                    outcome = run_process(
                        _entrance(program, state, execution), streams, timeout_seconds=execution.timeout_seconds
                    )
                finally:
                    state.give_modes_back()
                    state.take_folders_away()
                return _completed(outcome, state)

    def keeper(self) -> tuple[str, ...]:
        """Nothing: all files of a root are this user's."""
        return ()

    @contextlib.contextmanager
    def _executable(self, folder: Path) -> Iterator[Path]:
        """The program where it may be executed: a copy in ``folder`` where its own file system is mounted noexec."""
        program = self.program
        if os.statvfs(program).f_flag & os.ST_NOEXEC:
            program = Path(shutil.copy(program, folder / "ocibuild-root"))
            if os.statvfs(folder).f_flag & os.ST_NOEXEC:
                raise MachineError(
                    f"{self.program} and {folder}: both lie on file systems that are mounted noexec",
                    hint="set TMPDIR to a folder on another file system",
                )
        yield program


def _entrance(program: Path, state: RunState, execution: Execution) -> Entrance:
    """``ocibuild-root run STATE GROUPS FOLDER PROGRAM...`` (root/start.c), in this machine's own root."""
    groups = ",".join(map(str, execution.identity.groups)) or "-"
    return Entrance(
        arguments=(str(program), "run", str(state.file), groups, execution.working_folder, *execution.arguments),
        environment=execution.environment,
    )


def _completed(outcome: Outcome, state: RunState) -> Outcome:
    if state.phase == Phase.NONE and state.refusal:
        raise MachineError(
            f"seccomp(SECCOMP_SET_MODE_FILTER): {os.strerror(state.refusal)}",
            hint="the container's own seccomp profile, or the kernel, must allow filters of system calls",
        )
    attributes = {key: MappingProxyType(values) for key, values in state.attributes().items()}
    return Outcome(
        outcome.exit_code,
        timed_out=outcome.timed_out,
        owners=MappingProxyType(state.decided_owners()),
        attributes=MappingProxyType(attributes),
    )


def _short_root(folder: Path, root: Path) -> str:
    link = folder / "r"
    link.symlink_to(root)
    return str(link) if len(os.fsencode(link)) <= _SHORT_ROOT_BYTES else ""


def _devices_of(root: Path) -> tuple[int, int]:
    """``st_dev`` of folders and of files in the root, which overlayfs may let differ."""
    device = root.stat().st_dev
    for folder, _, names in os.walk(root):
        if names:
            return device, Path(folder, names[0]).lstat().st_dev
    return device, device


def _machine_binds(folder: Path, host_name: str | None) -> tuple[Bind, ...]:
    """/proc and /sys as they are here, and a /dev with what every program may expect and nothing else."""
    devices = folder / "dev"
    devices.mkdir()
    binds = [Bind("/proc", "/proc", writable=True), Bind("/sys", "/sys", writable=True)]
    binds.append(Bind(str(devices), "/dev", writable=True))
    if host_name is not None:
        named = folder / "hostname"
        named.write_text(host_name + "\n")
        binds.append(Bind(str(named), "/proc/sys/kernel/hostname", writable=False))
    for name in (*DEVICES, "ptmx"):
        if Path("/dev", name).exists():
            (devices / name).touch()
            binds.append(Bind(f"/dev/{name}", f"/dev/{name}", writable=True))
    for name, target in DEVICE_LINKS.items():
        if not (devices / name).exists():
            (devices / name).symlink_to(target)
    if Path("/dev/pts").is_dir():
        (devices / "pts").mkdir()
        binds.append(Bind("/dev/pts", "/dev/pts", writable=True))
    (devices / "shm").mkdir(mode=0o777)
    return tuple(binds)
