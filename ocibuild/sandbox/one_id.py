"""Rung 2: a user name space with one id, which every kernel that has user name spaces gives to everybody."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from ocibuild.sandbox.entrance import Entrance, IdRange
from ocibuild.sandbox.execution import Execution, InodeKey, Outcome, Owner, Streams
from ocibuild.sandbox.view import limits, run_in_root

__all__ = ["OneIdRung"]

_NOTES = (
    "Owners that a program sets are recorded for the image; while it runs, all files show as its own user's.",
    "Device nodes cannot be made: the kernel answers EPERM.",
    "A program that becomes another user (su, setpriv) is answered with success and stays who it is.",
)

_APT_SETTINGS = Path(__file__).with_name("apt_one_id.conf")
_APT_FOLDER = "etc/apt/apt.conf.d"


@dataclass(frozen=True, slots=True)
class OneIdRung:
    """A :class:`~ocibuild.sandbox.rung.Rung`. What needs several ids succeeds and is kept in a journal.

    ``has_processes`` and ``can_be_offline`` are what the trial found: a process name space with a /proc of its own, and
    a network name space.
    """

    has_processes: bool = True
    can_be_offline: bool = True
    name: str = field(default="one-id", init=False)
    number: int = field(default=2, init=False)
    has_real_owners: bool = field(default=False, init=False)

    @property
    def is_boundary(self) -> bool:
        """See :class:`~ocibuild.sandbox.rung.Rung`; who sees this machine's processes may send them signals."""
        return self.has_processes

    @property
    def notes(self) -> tuple[str, ...]:
        """See :class:`~ocibuild.sandbox.rung.Rung`."""
        return (*_NOTES, *limits(has_processes=self.has_processes, can_be_offline=self.can_be_offline))

    def run(
        self,
        root: Path,
        execution: Execution,
        streams: Streams,
        *,
        owners: dict[InodeKey, Owner] | None = None,
    ) -> Outcome:
        """See :class:`~ocibuild.sandbox.rung.Rung`."""
        identity = execution.identity
        way = Entrance(
            execution.arguments,
            mapper="self",
            uid_map=(IdRange(identity.uid, os.geteuid(), 1),),
            gid_map=(IdRange(identity.gid, os.getegid(), 1),),
            has_mounts=True,
            has_processes=self.has_processes,
            is_offline=self.can_be_offline and not execution.network,
            keeps_journal=True,
            owners=tuple((*key, *owner) for key, owner in (owners or {}).items()),
        )
        outcome = run_in_root(root, execution, streams, way=way, files=_apt_files(root))
        return replace(outcome, saw_one_owner=True)

    def keeper(self) -> tuple[str, ...]:
        """Nothing: all files of a root are this user's."""
        return ()


def _apt_files(root: Path) -> dict[str, Path]:
    """A setting for apt, in a root that has it, while a program runs (apt.conf(5), "APT::Sandbox::User")."""
    if not (root / _APT_FOLDER).is_dir():
        return {}
    return {f"/{_APT_FOLDER}/99{_APT_SETTINGS.stem}": _APT_SETTINGS}
