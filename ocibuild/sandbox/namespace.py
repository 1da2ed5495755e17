"""Entering user, process, network and mount name spaces.

The helper imports this: only light modules of the standard library may be used here.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ocibuild.sandbox.entrance import Entrance, IdRange
from ocibuild.sandbox.kernel import NEW_IPC, NEW_NAMES, NEW_NETWORK, NEW_PROCESSES, NEW_USERS, name_machine, unshare

__all__ = ["EntryRefusedError", "calling", "enter_users", "separate"]

_GET_FLAGS, _SET_FLAGS, _IS_UP = 0x8913, 0x8914, 1  # netdevice(7)


class EntryRefusedError(Exception):
    """The way into a root ended at ``call``, which answered with the error ``number``; ``detail`` is what it said."""

    def __init__(self, call: str, number: int, detail: str = "") -> None:
        super().__init__(call, number, detail)
        self.call = call
        self.number = number
        self.detail = detail


@contextmanager
def calling(call: str) -> Iterator[None]:
    """Let an OSError of the block name the call as a user can look it up."""
    try:
        yield
    except OSError as error:
        raise EntryRefusedError(call, error.errno or 0) from error


def enter_users(entrance: Entrance) -> None:
    """Enter a new user name space with the entrance's id maps; this process has every capability in it."""
    uid_map, gid_map = _lines(entrance.uid_map), _lines(entrance.gid_map)
    if entrance.mapper == "self":
        with calling("unshare(CLONE_NEWUSER)"):
            unshare(NEW_USERS)
        # Without a privilege outside, groups may only be mapped where they cannot be dropped (user_namespaces(7)).
        _write_map("/proc/self/setgroups", "deny")
        _write_map("/proc/self/uid_map", uid_map)
        _write_map("/proc/self/gid_map", gid_map)
        return
    with _mapper(entrance, uid_map, gid_map), calling("unshare(CLONE_NEWUSER)"):
        unshare(NEW_USERS)


def separate(entrance: Entrance) -> None:
    """Enter new name spaces, and let the next child begin a new process name space, where asked for."""
    if entrance.has_mounts:
        with calling("unshare(CLONE_NEWIPC)"):
            unshare(NEW_IPC)
    if entrance.host_name is not None:
        with suppress(OSError):  # what the machine is called decides nothing of whether a program can run
            unshare(NEW_NAMES)
            name_machine(entrance.host_name)
    if entrance.is_offline:
        with calling("unshare(CLONE_NEWNET)"):
            unshare(NEW_NETWORK)
        _raise_loopback()
    if entrance.has_processes:
        with calling("unshare(CLONE_NEWPID)"):
            unshare(NEW_PROCESSES)


def _lines(ranges: Sequence[IdRange]) -> str:
    return "".join(f"{each.inside} {each.outside} {each.count}\n" for each in ranges)


def _write_map(file: str, text: str) -> None:
    with calling(f"writing {file}"):
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())  # at once: a map can be written only once
        finally:
            os.close(descriptor)


@contextmanager
def _mapper(entrance: Entrance, uid_map: str, gid_map: str) -> Iterator[None]:
    """A child that stays outside and writes the maps when the block has entered the name space.

    The set-user-id programs of shadow have no power inside, and privilege over ids outside is needed to map them.
    """
    entering, has_entered = os.pipe()
    answers, answer = os.pipe()
    helped = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(has_entered)
        os.close(answers)
        text = ""
        if os.read(entering, 1):
            text = _map_from_outside(entrance, helped, uid_map, gid_map)
        os.write(answer, text.encode("utf-8", "surrogateescape"))
        os._exit(0)
    os.close(entering)
    os.close(answer)
    try:
        yield
        os.write(has_entered, b"x")
    finally:
        os.close(has_entered)
        said = os.read(answers, 65536).decode("utf-8", "surrogateescape")
        os.close(answers)
        os.waitpid(child, 0)
    if said:
        call, number, detail = said.split("\n", 2)
        raise EntryRefusedError(call, int(number), detail)


def _map_from_outside(entrance: Entrance, helped: int, uid_map: str, gid_map: str) -> str:
    """Write the maps of the process ``helped``; "" or the call that failed, its error's number, and what it said."""
    if entrance.mapper == "root":
        try:
            _write_map(f"/proc/{helped}/uid_map", uid_map)
            _write_map(f"/proc/{helped}/gid_map", gid_map)
        except EntryRefusedError as error:
            return f"{error.call}\n{error.number}\n"
        return ""
    for program, ranges in (("newuidmap", uid_map), ("newgidmap", gid_map)):
        arguments = (program, str(helped), *ranges.split())
        code, said = _run(arguments)
        if code:
            return f"{' '.join(arguments)}\n{errno.ENOENT if code == 127 else errno.EPERM}\n{said.strip()}"  # noqa: PLR2004 - as a shell has it
    return ""


def _run(arguments: tuple[str, ...]) -> tuple[int, str]:
    """Run a program of this machine; its exit code, 127 where it is not there, and what it wrote to standard error."""
    errors, error = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(error, 2)
        try:
            os.execvp(arguments[0], arguments)  # noqa: S606 - there is no shell to go through
        except OSError:
            os._exit(127)
    os.close(error)
    said = b""
    while data := os.read(errors, 4096):
        said += data
    os.close(errors)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.decode("utf-8", "surrogateescape")


def _raise_loopback() -> None:
    """A new network name space has a loopback that is down: programs expect 127.0.0.1."""
    with calling("raising the loopback interface"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        request = struct.pack("16sh14x", b"lo", 0)
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(channel, _GET_FLAGS, request))
        fcntl.ioctl(channel, _SET_FLAGS, struct.pack("16sh14x", name, flags | _IS_UP))
