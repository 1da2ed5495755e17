"""What of this machine a program sees in its root, on every rung that makes name spaces."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.atomic import map_os_error
from ocibuild.core.errors import MachineError
from ocibuild.sandbox.entrance import Bind, Entrance
from ocibuild.sandbox.execution import Execution, Outcome, Streams
from ocibuild.sandbox.process import run_process

__all__ = ["binds_of", "executable_root", "limits", "name_service", "run_folder", "run_in_root"]

_NAME_SERVICE_FILES = ("/etc/resolv.conf", "/etc/hosts")
_LOOPBACK_NAMES = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

_NO_FILES: Mapping[str, Path] = MappingProxyType({})


def name_service(*, network: bool) -> dict[str, bytes]:
    """The files by which names resolve (resolv.conf(5), hosts(5)): those that this machine has.

    Without a network they are the same on every machine, so that nothing of this one gets into what a program makes.
    """
    if not network:
        return dict(zip(_NAME_SERVICE_FILES, (b"", _LOOPBACK_NAMES), strict=True))
    return {path: Path(path).read_bytes() for path in _NAME_SERVICE_FILES if Path(path).is_file()}


def binds_of(execution: Execution, folder: Path, *, files: Mapping[str, Path] = _NO_FILES) -> tuple[Bind, ...]:
    """The name service's files, then what the execution asks for, in its order.

    A program gets copies of the former and of ``files`` (by their place in the root), made in ``folder``, as from other
    container runtimes: it may change them, which ``chown -R /etc`` relies on, and nothing comes of it.
    """
    own = []
    contents = {path: file.read_bytes() for path, file in files.items() if file.is_file()}
    for path, content in {**name_service(network=execution.network), **contents}.items():
        copy = folder / Path(path).name
        copy.write_bytes(content)
        copy.chmod(0o644)
        own.append(Bind(str(copy.resolve()), path, writable=True))
    return (*own, *(Bind(str(each.source.resolve()), each.target, each.writable) for each in execution.mounts))


def run_in_root(
    root: Path, execution: Execution, streams: Streams, *, way: Entrance, files: Mapping[str, Path] = _NO_FILES
) -> Outcome:
    """Run the program in the root, on the ``way`` that a rung has of entering it; ``files`` are as in :func:`binds_of`.

    A MachineError where nothing on the root's file system may be executed, and what starting a program raises.
    """
    identity = execution.identity
    root = executable_root(root)
    with run_folder(root) as folder:
        entrance = replace(
            way,
            environment=execution.environment,
            working_folder=execution.working_folder,
            host_name=execution.host_name,
            root=str(root),
            uid=identity.uid,
            gid=identity.gid,
            groups=identity.groups,
            binds=binds_of(execution, folder, files=files) if way.has_mounts else (),
        )
        return run_process(entrance, streams, timeout_seconds=execution.timeout_seconds)


@contextmanager
def run_folder(root: Path) -> Iterator[Path]:
    """A folder for what a run needs outside of its root, while the block runs."""
    folder = _new_folder(Path(tempfile.gettempdir()), root.parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder(*candidates: Path) -> Path:
    failure: OSError | None = None
    for candidate in candidates:
        try:
            return Path(tempfile.mkdtemp(prefix="ob-", dir=candidate)).resolve()
        except OSError as error:
            failure = error
    assert failure is not None  # noqa: S101 - there are candidates
    raise map_os_error(failure, attempted="making a folder for the sandbox") from failure


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
