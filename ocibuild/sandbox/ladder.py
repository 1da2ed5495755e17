"""The ladder: every way of running a program in a root, tried on this machine, the best one first."""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from ocibuild.core.errors import MachineError, OcibuildError, UsageError
from ocibuild.sandbox.chroot import ChrootRung
from ocibuild.sandbox.execution import Execution, Identity, Streams
from ocibuild.sandbox.machine_facts import MachineFacts
from ocibuild.sandbox.one_id import OneIdRung
from ocibuild.sandbox.process import EntryError
from ocibuild.sandbox.reasons import DELEGATE_IDS, explain
from ocibuild.sandbox.rung import Rung
from ocibuild.sandbox.sub_ids import SubIdsRung
from ocibuild.sandbox.trap import TrapRung
from ocibuild.sandbox.trial import Attempt, Trial, enter_trial_root, trial_root

__all__ = ["AUTOMATIC", "RUNG_NAMES", "choose", "try_rungs"]

AUTOMATIC = "auto"
"""What ``--sandbox`` takes for the first rung that works."""
_PROCESS_CALLS = ("mounting /proc", "unshare(CLONE_NEWPID)")
_NETWORK_CALLS = ("unshare(CLONE_NEWNET)", "raising the loopback interface")
_LEAST_IDS = 1000
"""With fewer ids not even the accounts of a distribution's own packages are there."""


def try_rungs(*, scratch: Path | None = None) -> tuple[Trial, ...]:
    """Try every rung; in the order of the ladder. ``scratch`` is a folder on the file system that roots will be on."""
    return tuple(_attempt(name, scratch).trial for name in RUNG_NAMES)


def choose(name: str, *, scratch: Path | None = None) -> Rung:
    """The rung of this name, or with ``auto`` the first that works; each is tried at most once in a process.

    A MachineError says why it does not work, or why none does. A UsageError where there is no such rung.
    """
    if name != AUTOMATIC:
        if name not in RUNG_NAMES:
            raise UsageError(f"no such sandbox: {name!r}", hint=f"choose one of {', '.join((AUTOMATIC, *RUNG_NAMES))}")
        attempt = _attempt(name, scratch)
        if attempt.rung is None:
            raise MachineError(
                f"the sandbox {name} does not work here: {attempt.trial.reason}", hint=attempt.trial.hint
            )
        return attempt.rung
    attempts = []
    for each in RUNG_NAMES:
        attempt = _attempt(each, scratch)
        if attempt.rung is not None:
            return attempt.rung
        attempts.append(attempt.trial)
    reasons = "\n".join(f"  {trial.name}: {trial.reason}" for trial in attempts)
    hints = "; or ".join(dict.fromkeys(trial.hint for trial in attempts if trial.hint))
    raise MachineError(f"nothing can be run in a root on this machine:\n{reasons}", hint=hints or None)


@cache
def _attempt(name: str, scratch: Path | None) -> Attempt:
    number = RUNG_NAMES.index(name) + 1
    try:
        rung = _TRIALS[name](scratch)
    except EntryError as error:
        reason, hint = explain(error, MachineFacts.read())
        return Attempt(Trial(name, number, works=False, reason=reason, hint=hint))
    except OcibuildError as error:
        return Attempt(Trial(name, number, works=False, reason=error.message, hint=error.hint))
    return Attempt(Trial(name, number, works=True, notes=rung.notes), rung)


def _try_sub_ids(scratch: Path | None) -> Rung:
    rung = SubIdsRung.of_this_user()
    if rung.id_count < _LEAST_IDS:
        facts = MachineFacts.read()
        if rung.mapper == "root":
            raise MachineError(f"only {rung.id_count} ids are mapped in this container")
        delegated = f"only {rung.id_count - 1}" if rung.id_count > 1 else "no"
        raise MachineError(
            f"{delegated} ids are delegated to {facts.user} (/etc/subuid, /etc/subgid, getsubids)",
            hint=DELEGATE_IDS.format(user=facts.user),
        )
    return _try_name_spaces(rung, scratch, owned=Path("/owned"))


def _try_one_id(scratch: Path | None) -> Rung:
    return _try_name_spaces(OneIdRung(), scratch, owned=None)


def _try_name_spaces(rung: SubIdsRung | OneIdRung, scratch: Path | None, *, owned: Path | None) -> Rung:
    """The rung with all the name spaces that this machine lets it make."""
    with trial_root(scratch) as (root, mounts):
        while True:
            try:
                enter_trial_root(rung, root, mounts=mounts, known=Path("/known"), owned=owned)
            except EntryError as error:
                if error.call in _NETWORK_CALLS and rung.can_be_offline:
                    rung = replace(rung, can_be_offline=False)
                elif error.call in _PROCESS_CALLS and rung.has_processes:
                    rung = replace(rung, has_processes=False)
                else:
                    raise
            else:
                return rung


def _try_trap(scratch: Path | None) -> Rung:
    rung = TrapRung.of_this_machine()
    with trial_root(scratch) as (root, mounts):
        enter_trial_root(rung, root, mounts=mounts, known=Path("/known"), owned=Path("/owned"))
    return rung


def _try_chroot(scratch: Path | None) -> Rung:
    """With mounts where root may make them, else bare: then in this machine's own root, where its programs are."""
    with trial_root(scratch) as (root, mounts):
        if os.geteuid() == 0:
            for can_be_offline in (True, False):
                rung = ChrootRung(has_mounts=True, can_be_offline=can_be_offline)
                try:
                    enter_trial_root(rung, root, mounts=mounts, known=Path("/known"), owned=Path("/owned"))
                except EntryError:
                    continue
                return rung
        bare = ChrootRung(has_devices=_can_make_devices(root))
        enter_trial_root(bare, Path("/"), mounts=(), known=root / "known", owned=root / "owned")
        bare.run(Path("/"), Execution(("/bin/true",), identity=Identity(1, 1)), Streams(lambda _: None))
        return bare


def _can_make_devices(folder: Path) -> bool:
    """Whether a device node that is made there works."""
    try:
        os.mknod(folder / "null", stat.S_IFCHR | 0o600, Path("/dev/null").stat().st_rdev)
        (folder / "null").read_bytes()
    except OSError:
        return False
    return True


_TRIALS: Mapping[str, Callable[[Path | None], Rung]] = {
    "sub-ids": _try_sub_ids,
    "one-id": _try_one_id,
    "trap": _try_trap,
    "chroot": _try_chroot,
}
RUNG_NAMES = tuple(_TRIALS)
"""In the order in which they are tried; their place, counted from 1, is their number."""
