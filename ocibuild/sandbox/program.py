"""The last moments before a program takes the place of the helper's child: who it is, where it is, and what it is.

The helper imports this: only light modules of the standard library may be used here.
"""
# ruff: noqa: PTH110 - pathlib is not light

import errno
import os
import signal
from collections.abc import Collection

from ocibuild.sandbox.entrance import Entrance
from ocibuild.sandbox.namespace import calling

__all__ = ["CANNOT_EXECUTE", "NOT_FOUND", "become", "execute", "restore_signals"]

NOT_FOUND, CANNOT_EXECUTE = 127, 126
"""What a shell's exit code is where a program is not there, or cannot be executed (POSIX, "Command Search")."""

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def become(entrance: Entrance, *, ignored: Collection[signal.Signals]) -> None:
    """Take the program's identity and folder; ``ignored`` are the signals that it may have again."""
    restore_signals()
    for number in (*ignored, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    if entrance.uid is not None and entrance.gid is not None and entrance.mapper != "self":
        with calling(f"setgroups({list(entrance.groups)})"):
            os.setgroups(entrance.groups)
        with calling(f"setresgid({entrance.gid})"):
            os.setresgid(entrance.gid, entrance.gid, entrance.gid)
        with calling(f"setresuid({entrance.uid})"):
            os.setresuid(entrance.uid, entrance.uid, entrance.uid)
    with calling(f"chdir({entrance.working_folder})"):
        os.chdir(entrance.working_folder)


def restore_signals() -> None:
    """Let what is executed next have the signals that an interpreter ignores for itself."""
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)


def execute(entrance: Entrance) -> int:
    """Be replaced by the program; where that fails, say why on standard error and return a shell's exit code."""
    name = entrance.arguments[0]
    found, why = NOT_FOUND, "not found"
    for path in _candidates(name, entrance.environment.get("PATH", _DEFAULT_PATH)):
        try:
            os.execve(path, entrance.arguments, dict(entrance.environment))  # noqa: S606 - there is no shell to go through
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                if os.path.exists(path):
                    found, why = NOT_FOUND, "its interpreter is not there"
                elif "/" in name:
                    why = "no such file"
            else:
                found, why = CANNOT_EXECUTE, _reason(error)
                if error.errno != errno.EACCES:
                    break
    os.write(2, f"ocibuild: {name}: {why}\n".encode("utf-8", "surrogateescape"))
    return found


def _candidates(name: str, path: str) -> list[str]:
    if "/" in name:
        return [name]
    return [f"{folder or '.'}/{name}" for folder in path.split(":")] if name else []


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOEXEC:
        return "cannot be executed: it has no #! line, or is for another processor"
    return f"cannot be executed: {os.strerror(error.errno or 0)}"
