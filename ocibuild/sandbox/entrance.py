"""How a program is started in a root: what the helper process (:mod:`ocibuild.sandbox.enter`) is told, and answers.

The helper imports this: only light modules of the standard library may be used here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

TYPE_CHECKING = False  # as type checkers read it: importing typing itself is what is saved
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Bind", "Entrance", "IdRange", "Mapper"]

Mapper = str
"""Who writes the id maps of a new user name space: ``self`` (one id, no privilege needed), ``newuidmap`` (the set-uid
programs of shadow), or ``root`` (this process' own privilege in the name space that it is in)."""


@dataclass(frozen=True, slots=True)
class IdRange:
    """``count`` ids from ``inside`` on stand for as many from ``outside`` on (user_namespaces(7))."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of this machine at an absolute path of the root."""

    source: str
    target: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Entrance:
    """The program, and the way to it.

    Without ``root`` it runs in this machine's own root, as rungs do that make the view in another way; without ``uid``
    and ``gid`` as who this process is. ``mapper`` None makes no user name space.

    ``has_mounts`` makes a mount name space with /proc, /dev, /sys and ``binds`` in the root. Without it the root is
    entered by chroot(2), ``binds`` must be empty, and the root is given device nodes and ``files`` (path and content)
    where it lacks them. ``has_processes`` makes a process name space: whatever the program started ends with it.
    ``is_offline`` makes a network name space that has a loopback only. With a ``host_name`` the machine has this name,
    in a name space of names, where one may be made.

    ``keeps_journal`` answers what needs several ids with success and notes the owners (:mod:`ocibuild.sandbox.notify`);
    ``owners`` are then the recorded ones, as (inode, time of birth, uid, gid).
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    working_folder: str = "/"
    root: str | None = None
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    mapper: Mapper | None = None
    uid_map: tuple[IdRange, ...] = ()
    gid_map: tuple[IdRange, ...] = ()
    has_mounts: bool = False
    has_processes: bool = False
    is_offline: bool = False
    host_name: str | None = None
    keeps_journal: bool = False
    binds: tuple[Bind, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    owners: tuple[tuple[int, int, int, int], ...] = ()

    def to_json(self) -> str:
        """The text that :meth:`from_json` reads."""
        value: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        value["environment"] = dict(self.environment)
        for name in ("uid_map", "gid_map"):
            value[name] = [(each.inside, each.outside, each.count) for each in getattr(self, name)]
        value["binds"] = [(each.source, each.target, each.writable) for each in self.binds]
        return json.dumps(value)

    @classmethod
    def from_json(cls, text: str) -> "Entrance":
        """The value that :meth:`to_json` wrote, by the same version of this program."""
        value: dict[str, Any] = json.loads(text)
        for name in ("uid_map", "gid_map"):
            value[name] = tuple(IdRange(*each) for each in value[name])
        value["binds"] = tuple(Bind(*each) for each in value["binds"])
        return cls(**value)
