"""What of this machine a program sees in its root, on every rung that makes name spaces."""

import os
from pathlib import Path

from ocibuild.core.errors import MachineError
from ocibuild.sandbox.entrance import Bind
from ocibuild.sandbox.execution import Execution

__all__ = ["NAME_SERVICE_FILES", "binds_of", "executable_root", "limits"]

NAME_SERVICE_FILES = ("/etc/resolv.conf", "/etc/hosts")
"""This machine's, so that names resolve (resolv.conf(5), hosts(5))."""


def binds_of(execution: Execution) -> tuple[Bind, ...]:
    """The name service's files where this machine has them, then what the execution asks for, in its order."""
    own = [Bind(os.path.realpath(path), path, writable=False) for path in NAME_SERVICE_FILES if Path(path).is_file()]
    return (*own, *(Bind(str(each.source.resolve()), each.target, each.writable) for each in execution.mounts))


def executable_root(root: Path) -> Path:
    """The root without links in its path; a MachineError where nothing on its file system may be executed."""
    root = root.resolve()
    if root.exists() and os.statvfs(root).f_flag & os.ST_NOEXEC:
        raise MachineError(
            f"{root}: lies on a file system that is mounted noexec: no program in it can be run",
            hint="set OCIBUILD_STORE to a folder on another file system",
        )
    return root


def limits(*, has_processes: bool, can_be_offline: bool) -> tuple[str, ...]:
    """What a rung says in its notes where this machine lets it make neither of these name spaces, or only one."""
    return (
        *(() if has_processes else ("A program sees this machine's processes: no /proc of its own can be mounted.",)),
        *(() if can_be_offline else ("A program that is to have no network is not kept from it.",)),
    )
