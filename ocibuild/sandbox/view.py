"""What of this machine a program sees in its root, on every rung that makes name spaces."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from ocibuild.core.errors import MachineError
from ocibuild.sandbox.entrance import Bind
from ocibuild.sandbox.execution import Execution

__all__ = ["NAME_SERVICE_FILES", "binds_of", "executable_root", "limits", "private_binds"]

NAME_SERVICE_FILES = ("/etc/resolv.conf", "/etc/hosts")
"""This machine's, so that names resolve (resolv.conf(5), hosts(5))."""

_NO_FILES: Mapping[str, Path] = MappingProxyType({})


def binds_of(execution: Execution, folder: Path, *, files: Mapping[str, Path] = _NO_FILES) -> tuple[Bind, ...]:
    """The name service's files where this machine has them, then what the execution asks for, in its order.

    A program gets copies of the former and of ``files`` (by their place in the root), made in ``folder``, as from other
    container runtimes: it may change them, which ``chown -R /etc`` relies on, and nothing comes of it.
    """
    own = []
    for path, file in {**{path: Path(path) for path in NAME_SERVICE_FILES}, **files}.items():
        if file.is_file():
            copy = folder / Path(path).name
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o644)
            own.append(Bind(str(copy.resolve()), path, writable=True))
    return (*own, *(Bind(str(each.source.resolve()), each.target, each.writable) for each in execution.mounts))


@contextmanager
def private_binds(execution: Execution, *, files: Mapping[str, Path] = _NO_FILES) -> Iterator[tuple[Bind, ...]]:
    """As :func:`binds_of`, with a folder of its own while the block runs."""
    with TemporaryDirectory(prefix="ocibuild-") as folder:
        yield binds_of(execution, Path(folder), files=files)


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
