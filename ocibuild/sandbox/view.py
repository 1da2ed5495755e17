"""What of this machine a program sees in its root, on every rung that can mount."""

import os
from pathlib import Path

from ocibuild.sandbox.entrance import Bind
from ocibuild.sandbox.execution import Execution

__all__ = ["NAME_SERVICE_FILES", "binds_of"]

NAME_SERVICE_FILES = ("/etc/resolv.conf", "/etc/hosts")
"""This machine's, so that names resolve (resolv.conf(5), hosts(5))."""


def binds_of(execution: Execution) -> tuple[Bind, ...]:
    """The name service's files where this machine has them, then what the execution asks for, in its order."""
    own = [Bind(os.path.realpath(path), path, writable=False) for path in NAME_SERVICE_FILES if Path(path).is_file()]
    return (*own, *(Bind(str(each.source.resolve()), each.target, each.writable) for each in execution.mounts))
