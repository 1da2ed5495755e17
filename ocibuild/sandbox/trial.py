"""Trying a rung for real: a small root of this machine's own programs is entered, and a known file read there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.atomic import map_os_error
from ocibuild.core.errors import MachineError
from ocibuild.sandbox.execution import Execution, Identity, Mount, Streams
from ocibuild.sandbox.rung import Rung

__all__ = ["Attempt", "Trial", "enter_trial_root", "trial_root"]

_KNOWN = "what a trial must read"
_PROGRAM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix", "gnu")
"""Where this machine's shell and its libraries are, on distributions of every kind."""
_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a rung works here, as it was tried. ``reason`` says why not, ``hint`` what would enable it.

    ``notes`` are, where it works, what it cannot do here.
    """

    name: str
    number: int
    works: bool
    reason: str = ""
    hint: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A trial, and the rung where it works."""

    trial: Trial
    rung: Rung | None = None


@contextmanager
def trial_root(scratch: Path | None) -> Iterator[tuple[Path, tuple[Mount, ...]]]:
    """A root with a known file, and the mounts that bring this machine's programs into it; removed afterwards.

    It is made in ``scratch``, so that the file system is the one that roots will be on, else in the temporary folder.
    """
    try:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="trial-", dir=scratch, ignore_cleanup_errors=True) as folder:
            root = Path(folder)
            root.chmod(0o755)
            (root / "known").write_text(_KNOWN + "\n")
            (root / "owned").touch()
            mounts = []
            for name in _PROGRAM_FOLDERS:
                here = Path("/", name)
                if here.is_symlink():
                    (root / name).symlink_to(here.readlink())
                elif here.is_dir():
                    (root / name).mkdir()
                    mounts.append(Mount(here, f"/{name}"))
            yield root, tuple(mounts)
    except OSError as error:
        raise map_os_error(error, attempted="making a root for a trial") from error


def enter_trial_root(rung: Rung, root: Path, *, mounts: tuple[Mount, ...], known: Path, owned: Path | None) -> None:
    """Have a shell on the rung read the known file, and give the file ``owned``, if any, to another user.

    Both are paths inside ``root``. A MachineError where that does not come about; an EntryError among them says which
    call failed.
    """
    script = f'read -r line < "{known}" && echo "$line"' + (f' && chown 1:1 "{owned}"' if owned else "")
    written = bytearray()
    execution = Execution(
        ("/bin/sh", "-c", script),
        {"PATH": "/usr/local/bin:/usr/bin:/bin"},
        Identity(),
        network=False,
        mounts=mounts,
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    outcome = rung.run(root, execution, Streams(written.extend))
    said = written.decode(errors="replace").strip()
    if outcome.timed_out:
        raise MachineError(f"a trial did not end within {_TIMEOUT_SECONDS:.0f} s")
    if outcome.exit_code or said != _KNOWN:
        raise MachineError(f"a trial ended with exit code {outcome.exit_code}: {said or 'nothing was read'}")
