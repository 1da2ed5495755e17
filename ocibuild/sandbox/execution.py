"""One program to run in a root file system, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

__all__ = ["Execution", "Identity", "InodeKey", "Mount", "Outcome", "Owner", "Streams"]

InodeKey = tuple[int, int]
"""An inode's number and its time of birth in nanoseconds (statx(2), ``stx_btime``; 0 where the file system has none):
the number alone may be used again for another file."""

Owner = tuple[int, int]
"""The uid and gid of a file, as the image records them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom a program runs: ids as the image knows them, never this machine's."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine that appears at ``target`` (absolute) in the root while the program runs."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """A program, as whom and where it runs. ``environment`` is all of its environment.

    ``arguments[0]`` without a slash is looked for in that environment's ``PATH``, inside the root. Without ``network``
    the program is kept from the network where the rung can do that; others say so in their notes. ``/proc``, ``/dev``,
    ``/sys``, ``/etc/resolv.conf`` and ``/etc/hosts`` are there while it runs, as far as the rung can: this machine's,
    or without network some that know no name but ``localhost``. ``host_name`` is what it sees as the machine's name,
    where the rung can give it one; None leaves this machine's.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    identity: Identity = Identity()
    working_folder: str = "/"
    network: bool = True
    mounts: tuple[Mount, ...] = ()
    timeout_seconds: float | None = None
    host_name: str | None = None


@dataclass(frozen=True, slots=True)
class Streams:
    """What a program reads and writes.

    With ``output`` None it has this process' own three streams and is in its process group's foreground, as a shell's
    child; else its standard input is empty, and ``output`` is called with what it writes to both others, as it comes.
    """

    output: Callable[[bytes], None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. ``exit_code`` is 128 plus the signal's number where a signal ended it.

    ``owners`` are of the inodes whose owner the run decided otherwise than ``Execution.identity`` creating a file does:
    chown, or creation under another id; an id of -1 is left as it is without. It is empty on rungs with real owners,
    where the file system itself tells. ``attributes`` are extended attributes that the rung could only record (file
    capabilities), likewise. With ``saw_one_owner`` the program saw every file as ``Execution.identity``'s: a chown to
    just that may only be a copy of what it saw.
    """

    exit_code: int
    timed_out: bool = False
    owners: Mapping[InodeKey, Owner] = field(default_factory=lambda: MappingProxyType({}))
    attributes: Mapping[InodeKey, Mapping[str, bytes]] = field(default_factory=lambda: MappingProxyType({}))
    saw_one_owner: bool = False
