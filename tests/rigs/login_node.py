"""Runs a command as on a cluster's login node: ``python login_node.py WORK UID COMMAND...``, started by root.

The command is an ordinary user's, sees WORK at ``/mnt``, and every new user namespace is refused, as where
``user.max_user_namespaces`` is 0. That limit is set in a user namespace of its own which maps every id to itself, so
that the machine keeps its own limit.
"""

import ctypes
import os
import sys

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000  # unshare(2)
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000  # mount(2)
_EVERY_ID = "0 0 4294967295"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(answer: int, what: str) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _mount(source: str | None, target: str, flags: int) -> None:
    name = source.encode() if source else None
    _check(_libc.mount(name, target.encode(), None, flags, None), f"mount {target}")


def _refuse_user_namespaces() -> None:
    """Go on in a child, in a user namespace that allows none below it; this process ends with the child's code."""
    (entered, has_entered), (mapped, has_mapped) = os.pipe(), os.pipe()
    child = os.fork()
    if child:
        os.read(entered, 1)
        for file in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{file}", "w", encoding="ascii") as stream:  # noqa: PTH123 - no library here
                stream.write(_EVERY_ID)
        os.write(has_mapped, b"x")
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
    _check(_libc.unshare(_NEW_USERS), "unshare the users")
    os.write(has_entered, b"x")
    os.read(mapped, 1)
    with open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as stream:  # noqa: PTH123 - as above
        stream.write("0")


def main() -> None:
    """Make the place, become the user, and be replaced by the command."""
    work, user, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    _check(_libc.unshare(_NEW_MOUNTS), "unshare the mounts")
    _mount(None, "/", _RECURSIVE | _PRIVATE)
    _mount(work, "/mnt", _BIND)
    _refuse_user_namespaces()
    os.chdir("/mnt")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execvp(command[0], command)  # noqa: S606 - a shell would only be in the way


if __name__ == "__main__":
    main()
