"""Rung 1: a user name space that has all of an image's ids, so that owners are real."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ocibuild.sandbox.entrance import Entrance, IdRange, Mapper
from ocibuild.sandbox.execution import Execution, InodeKey, Outcome, Owner, Streams
from ocibuild.sandbox.id_ranges import IMAGE_IDS, delegated_ranges, image_map, own_map
from ocibuild.sandbox.process import helper_command
from ocibuild.sandbox.view import limits, run_in_root

__all__ = ["SubIdsRung"]


@dataclass(frozen=True, slots=True)
class SubIdsRung:
    """A :class:`~ocibuild.sandbox.rung.Rung`.

    An ordinary user's maps are written by newuidmap and newgidmap; root writes his own, and keeps an image's ids as
    they are. ``has_processes`` and ``can_be_offline`` are what the trial found.
    """

    mapper: Mapper
    uid_map: tuple[IdRange, ...]
    gid_map: tuple[IdRange, ...]
    has_processes: bool = True
    can_be_offline: bool = True
    name: str = field(default="sub-ids", init=False)
    number: int = field(default=1, init=False)
    has_real_owners: bool = field(default=True, init=False)

    @classmethod
    def of_this_user(cls) -> "SubIdsRung":
        """The rung with the ids that this process may have: all of them for root, else those delegated to its user."""
        if os.geteuid() == 0:
            uids, gids = (own_map(Path(f"/proc/self/{kind}_map").read_text()) for kind in ("uid", "gid"))
            return cls("root", uids, gids)
        uids = image_map(os.geteuid(), delegated_ranges(Path("/etc/subuid")))
        gids = image_map(os.getegid(), delegated_ranges(Path("/etc/subgid"), option="-g"))
        return cls("newuidmap", uids, gids)

    @property
    def id_count(self) -> int:
        """How many of an image's ids are there, counted from 0."""
        return min(sum(each.count for each in ids) for ids in (self.uid_map, self.gid_map))

    @property
    def is_boundary(self) -> bool:
        """See :class:`~ocibuild.sandbox.rung.Rung`; who sees this machine's processes may send them signals."""
        return self.has_processes

    @property
    def notes(self) -> tuple[str, ...]:
        """See :class:`~ocibuild.sandbox.rung.Rung`."""
        few = f"Ids above {self.id_count - 1} are not delegated here: files cannot belong to them."
        return (
            "Device nodes cannot be made: the kernel answers EPERM.",
            *((few,) if self.id_count < IMAGE_IDS - 1 else ()),
            *limits(has_processes=self.has_processes, can_be_offline=self.can_be_offline),
        )

    def run(
        self,
        root: Path,
        execution: Execution,
        streams: Streams,
        *,
        owners: dict[InodeKey, Owner] | None = None,  # noqa: ARG002 - they are real here
    ) -> Outcome:
        """See :class:`~ocibuild.sandbox.rung.Rung`."""
        way = Entrance(
            execution.arguments,
            mapper=self.mapper,
            uid_map=self.uid_map,
            gid_map=self.gid_map,
            has_mounts=True,
            has_processes=self.has_processes,
            is_offline=self.can_be_offline and not execution.network,
        )
        return run_in_root(root, execution, streams, way=way)

    def keeper(self) -> tuple[str, ...]:
        """What lets a command be root of the same ids; nothing for root, whose ids they are already."""
        if self.mapper == "root":
            return ()
        ids = Entrance((), mapper=self.mapper, uid_map=self.uid_map, gid_map=self.gid_map)
        return helper_command("in_ids", ids.to_json())
