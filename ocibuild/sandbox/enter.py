"""The helper process: enters a root and runs one program there. Started by :mod:`ocibuild.sandbox.process`.

Name spaces are entered by processes of one thread only, and a program of many threads must not fork: so this is an
interpreter of its own. It is started for every run, and imports light modules of the standard library only (a start
takes about 40 ms of processor time). Three processes come of it:

* this one, outside of the new process and mount name spaces: makes what the root lacks and takes it away, keeps the
  journal, and reports;
* the guard (:mod:`ocibuild.sandbox.guard`): makes the mounts, passes signals on, ends what is left;
* the program.

Should any of them be killed, the ones below it end as well.
"""
# ruff: noqa: PTH112, PTH116 - pathlib is not light

import contextlib
import errno
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence

from ocibuild.sandbox import mounts
from ocibuild.sandbox.entrance import Entrance
from ocibuild.sandbox.filter import AUDIT_ARCHITECTURES, assemble, one_id_rules
from ocibuild.sandbox.guard import Guard, end_descendants, exit_code_of, leave, wake_on_children
from ocibuild.sandbox.journal import Journal
from ocibuild.sandbox.kernel import (
    ARCHITECTURE,
    NEW_MOUNTS,
    SYSTEM_CALLS,
    become_subreaper,
    identify,
    install_filter,
    unshare,
)
from ocibuild.sandbox.made_paths import MadePaths, inside
from ocibuild.sandbox.namespace import EntryRefusedError, calling, enter_users, separate
from ocibuild.sandbox.notify import Supervisor
from ocibuild.sandbox.program import become, execute

__all__ = ["main"]

_PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)
"""A terminal sends these to everybody in the foreground: they are for the program alone."""
_STAMPING_CLOCK = 5
"""CLOCK_REALTIME_COARSE, which the kernel stamps files by (clock_gettime(2))."""


def main(arguments: Sequence[str]) -> None:
    """``enter CONTROL``: run what the control channel (an open descriptor) describes, and report there."""
    control = int(arguments[0])
    os.set_inheritable(control, False)
    ignored = [number for number in _PASSED_ON if signal.getsignal(number) != signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    size_bytes = int.from_bytes(_read(control, 8), "little")
    entrance = Entrance.from_json(_read(control, size_bytes).decode())
    try:
        report = _Helper(entrance, control, ignored).run()
    except EntryRefusedError as error:
        report = {"refused": {"call": error.call, "number": error.number, "detail": error.detail}}
    _write(control, json.dumps(report).encode())


class _Helper:
    """Runs one program and makes the report of it."""

    def __init__(self, entrance: Entrance, control: int, ignored: Sequence[signal.Signals]) -> None:
        self._entrance = entrance
        self._control = control
        self._ignored = ignored
        # All of it is opened before the name spaces are entered: afterwards /proc may be another.
        with calling("opening /proc"):
            self._processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._targets: list[str] = []
        self._started = time.clock_gettime_ns(_STAMPING_CLOCK)

    def run(self) -> dict[str, object]:
        entrance = self._entrance
        if entrance.mapper is not None:
            enter_users(entrance)
        separate(entrance)
        if entrance.root is None:
            return self._run_guarded()
        with calling(f"opening {entrance.root}"):
            root = os.open(entrance.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if not entrance.has_mounts:
            with calling("chroot"), inside(root):
                pass  # so that a failure is told by this name
        made = MadePaths(root)
        try:
            self._make_what_lacks(made)
            return self._run_guarded()
        finally:
            made.take_away()

    def _make_what_lacks(self, made: MadePaths) -> None:
        """Places to mount on, or what stands for mounts where there are none, and the working folder."""
        with calling("making what the root lacks"):
            if self._entrance.has_mounts:
                for folder in mounts.FOLDERS:
                    if made.ensure(folder, is_folder=True) != folder:
                        raise EntryRefusedError(f"mounting {folder}, which is a link in this root", errno.ELOOP)
                self._targets = [
                    made.ensure(each.target, is_folder=os.path.isdir(each.source)) for each in self._entrance.binds
                ]
            elif self._entrance.root != "/":  # this machine's own root has what it needs
                self._make_devices(made)
            made.ensure(self._entrance.working_folder, is_folder=True)

    def _make_devices(self, made: MadePaths) -> None:
        made.ensure("/dev", is_folder=True)
        for name in mounts.DEVICES:
            with contextlib.suppress(FileNotFoundError, PermissionError):  # the rung's notes tell
                made.ensure_device(f"/dev/{name}", os.stat(f"/dev/{name}").st_rdev)
        for name, target in mounts.DEVICE_LINKS.items():
            made.ensure_link(f"/dev/{name}", target)
        made.ensure_scratch("/dev/shm")  # noqa: S108 - shm_open(3)
        for path, content in self._entrance.files:
            made.ensure(path, is_folder=False, content=content.encode("utf-8", "surrogateescape"))

    def _run_guarded(self) -> dict[str, object]:
        """Start the guard, keep the journal while it runs, and report how the program ended."""
        failures, failure = os.pipe()
        if not self._entrance.has_processes:
            become_subreaper()
        listeners, listener = _channel() if self._entrance.keeps_journal else (-1, -1)
        guard = os.fork()
        if guard == 0:
            os.close(failures)
            leave(lambda: _telling(failure, lambda: self._guard(failure, listener)))
        os.close(failure)
        noted: dict[str, object] = {}
        try:
            if self._entrance.keeps_journal:
                os.close(listener)
                noted = self._keep_journal(listeners, failures)
            _raise_what_failed(failures)
        finally:
            _, status = os.waitpid(guard, 0)
            if not self._entrance.has_processes:
                end_descendants(self._processes)  # should the guard have been killed
        return {"exit_code": exit_code_of(status), **noted}

    def _guard(self, failure: int, listener: int) -> int:
        """What the guard does, in its own process; the program's exit code."""
        entrance = self._entrance
        if entrance.has_mounts and entrance.root is not None:
            self._mount(entrance.root)

        def started() -> None:
            os.close(failure)
            if listener >= 0:
                os.close(listener)

        guard = Guard(self._control, processes=self._processes, is_first_process=entrance.has_processes)
        return guard.run(lambda: _telling(failure, lambda: self._program(listener)), started=started)

    def _mount(self, root: str) -> None:
        entrance = self._entrance
        with calling("unshare(CLONE_NEWNS)"):
            unshare(NEW_MOUNTS)
        with calling("bind-mounting the root"):
            mounts.isolate(root)
        with calling("mounting /proc"):
            is_machine_root = any((each.inside, each.outside) == (0, 0) for each in entrance.uid_map)
            mounts.mount_processes(root, is_fresh=entrance.has_processes, is_machine_root=is_machine_root)
        with calling("mounting /dev"):
            mounts.mount_devices(root)
        with calling("mounting /sys"):
            mounts.mount_system(root)
        for each, target in zip(entrance.binds, self._targets, strict=True):
            with calling(f"bind-mounting {each.source} at {each.target}"):
                mounts.bind(each.source, f"{root}{target}", writable=each.writable)
        with calling("pivot_root"):
            mounts.enter_mounted(root)

    def _program(self, listener: int) -> int:
        """What the program's process does until the program takes its place."""
        entrance = self._entrance
        if entrance.root is not None and not entrance.has_mounts:
            with calling(f"chroot({entrance.root})"):
                os.chroot(entrance.root)
        become(entrance, ignored=self._ignored)
        if listener >= 0:
            self._install_filter(listener)
        return execute(entrance)

    def _install_filter(self, listener: int) -> None:
        with calling("seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)"):
            if ARCHITECTURE not in AUDIT_ARCHITECTURES:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            rules = one_id_rules(SYSTEM_CALLS, is_root=self._entrance.uid == 0)
            notifications = install_filter(assemble(rules, audit_architecture=AUDIT_ARCHITECTURES[ARCHITECTURE]))
        with socket.socket(fileno=listener) as channel:
            socket.send_fds(channel, [str(_mount_of_root()).encode()], [notifications])
        os.close(notifications)

    def _keep_journal(self, listeners: int, failures: int) -> dict[str, object]:
        """Answer the program's calls until the guard ends; what was noted."""
        entrance = self._entrance
        with socket.socket(fileno=listeners) as channel:
            mount, received, _, _ = socket.recv_fds(channel, 64, 1)
        _raise_what_failed(failures)
        if not received:
            raise EntryRefusedError("receiving the seccomp listener", errno.EPIPE)
        journal = Journal(
            uid=entrance.uid or 0,
            gid=entrance.gid or 0,
            groups=entrance.groups or (),
            owners=entrance.owners,
            started=self._started,
        )
        supervisor = Supervisor(received[0], processes=self._processes, journal=journal, mount=int(mount))
        _serve(supervisor, received[0])
        return {
            "owners": [(*key, *owner) for key, owner in journal.owners.items()],
            "capabilities": [(*key, value.hex()) for key, value in journal.capabilities.items()],
        }


def _serve(supervisor: Supervisor, listener: int) -> None:
    """Answer while the filter has users, and this process' child lives."""
    woken = wake_on_children()
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if ready.get(listener, 0) & select.POLLIN:
            supervisor.answer()
        elif ready:
            return  # the guard ended, or all that it guards did


def _mount_of_root() -> int:
    """The mount that this process' root is in, as the supervisor compares it."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        return identify(root)[1]
    finally:
        os.close(root)


def _telling(failure: int, act: Callable[[], int]) -> int:
    """Do it; a refused call is told through the descriptor ``failure`` and gives the exit code 1."""
    try:
        return act()
    except EntryRefusedError as error:
        os.write(failure, json.dumps((error.call, error.number)).encode())
        return 1


def _raise_what_failed(failures: int) -> None:
    """Wait until the program has started; an EntryRefusedError where a process on the way told one."""
    said = b"".join(iter(lambda: os.read(failures, 4096), b""))
    if said:
        call, number = json.loads(said)
        raise EntryRefusedError(call, number)


def _channel() -> tuple[int, int]:
    """Two ends that descriptors can be sent through."""
    first, second = socket.socketpair()
    return first.detach(), second.detach()


def _read(descriptor: int, size_bytes: int) -> bytes:
    found = b""
    while len(found) < size_bytes and (data := os.read(descriptor, size_bytes - len(found))):
        found += data
    return found


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
