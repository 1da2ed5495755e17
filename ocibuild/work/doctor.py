"""What this machine can do: every rung of the ladder tried for real, and what can be built here because of it."""

import os
import platform as host
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

from ocibuild.core.errors import MachineError
from ocibuild.core.platform import Platform
from ocibuild.sandbox.ladder import try_rungs
from ocibuild.sandbox.machine_facts import MachineFacts
from ocibuild.sandbox.root_program import find_root_program
from ocibuild.sandbox.trial import Trial
from ocibuild.store.store import Store

__all__ = ["Diagnosis", "Folder", "NativeProgram", "diagnose"]

_FOREIGN = (
    "other architectures: rung 0 only; an image for them that needs a step is built on such a machine (qemu-user does "
    "not help: it does not deliver the signals that ocibuild-root lives by)"
)
_REACHABLE = (
    "nothing has to change in the pod's specification for steps to run; to keep from them what this pod can reach: "
    "automountServiceAccountToken: false, and no registry credentials in files that its user may read"
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that the program writes to. ``free_bytes`` is None where it cannot be had."""

    path: Path
    is_writable: bool
    is_noexec: bool
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class NativeProgram:
    """Rung 3's program: where it is, or why it is not there."""

    path: Path | None
    reason: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found. ``can_build`` and ``advice`` are sentences; ``advice`` is empty where nothing need change."""

    platform: Platform
    kernel: str
    trials: tuple[Trial, ...]
    native_program: NativeProgram
    store: Folder
    temporary: Folder
    store_notice: str | None
    is_pod: bool

    @property
    def chosen(self) -> Trial | None:
        """The rung that steps run on, None where nothing works."""
        return next((trial for trial in self.trials if trial.works), None)

    @property
    def can_build(self) -> tuple[str, ...]:
        """What this machine can build."""
        steps = "steps (postBuild, packages that exist as source only, scripts of packages that are not known)"
        rung = self.chosen
        return (
            "rung 0, for every platform: all that is placed as data, known scripts of packages included; nothing runs",
            f"{self.platform}: {steps} run on rung {rung.number}, {rung.name}" if rung else f"{steps} cannot run here",
            _FOREIGN,
        )

    @property
    def advice(self) -> tuple[str, ...]:
        """What to change, the most useful first."""
        return (*self._advice_on_folders(), *(_advice_in_pod(self.trials) if self.is_pod else self._advice_on_rungs()))

    def _advice_on_folders(self) -> tuple[str, ...]:
        advice = []
        if not self.store.is_writable:
            advice.append(f"{self.store.path} cannot be written: set OCIBUILD_STORE to a folder that can")
        if self.store.is_noexec:
            advice.append(
                f"{self.store.path} lies on a file system that is mounted noexec: no step can run in a root there; set "
                "OCIBUILD_STORE to a folder on another one"
            )
        return tuple(advice)

    def _advice_on_rungs(self) -> tuple[str, ...]:
        if self.chosen is not None:
            return ()
        return tuple(dict.fromkeys(f"{trial.name}: {trial.hint}" for trial in self.trials if trial.hint))


def diagnose(*, store: Store, environment: Mapping[str, str]) -> Diagnosis:
    """Try everything. Nothing but small folders in the store is made, and they are removed again."""
    return Diagnosis(
        Platform.parse(host.machine()),
        f"{host.system()} {host.release()}",
        try_rungs(scratch=store.folder),
        _native_program(),
        _folder(store.folder),
        _folder(Path(environment.get("TMPDIR") or gettempdir())),
        store.notice,
        MachineFacts.read().is_pod,
    )


def _advice_in_pod(trials: tuple[Trial, ...]) -> tuple[str, ...]:
    working = [trial for trial in trials if trial.works]
    if not working:
        hints = [f"{trial.name}: {trial.hint}" for trial in trials if trial.hint]
        return ("nothing runs in this pod: its seccomp profile must allow filters of system calls (seccomp)", *hints)
    if any(trial.name in ("sub-ids", "one-id") for trial in working):
        return ()
    return (_REACHABLE,)


def _native_program() -> NativeProgram:
    try:
        return NativeProgram(find_root_program())
    except MachineError as error:
        return NativeProgram(None, error.message, error.hint)


def _folder(path: Path) -> Folder:
    """Of the folder, or of the nearest one above it that is there."""
    there = next(each for each in (path, *path.absolute().parents) if each.is_dir())
    try:
        is_noexec, free_bytes = bool(os.statvfs(there).f_flag & os.ST_NOEXEC), shutil.disk_usage(there).free
    except OSError:
        is_noexec, free_bytes = False, None
    return Folder(path, os.access(there, os.W_OK | os.X_OK), is_noexec, free_bytes)
