"""Who holds something in the store: a name for this process that others can judge, on this machine or another.

A lease is a folder's *name*. Taking and giving back are renames, which are atomic on every file system that the store
supports (NFS included), and exactly one of several takers finds the old name still there. Nothing is read or written to
tell who holds what, so nothing can be half-written.
"""

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

__all__ = ["STALE_SECONDS", "Holder", "boot_identifier"]

STALE_SECONDS = 72 * 3600
"""A lease of another machine, or of another container of this one, is stale when its folder was untouched for so long.

Whether its process lives cannot be seen from here. A holder touches the folder with everything it does to the root, so
only a single step that runs for three days could lose it; batch systems end their jobs sooner.
"""

_FORM = re.compile(r"([0-9a-f]{16})-([0-9]+)-([0-9]+)-([0-9a-f]{8})")
_START_TIME_FIELD = 22  # of /proc/pid/stat (proc(5)), counted from 1
_ENDED_STATES = ("Z", "X", "x")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process: the place that it runs in (a machine since its start, and a pid name space), its id and its start.

    ``started`` is in clock ticks since the machine's start, so that a process id that is used again is not taken for
    its former process. ``nonce`` tells the leases of one process apart.
    """

    place: str
    process_id: int
    started: int
    nonce: str

    @classmethod
    def here(cls) -> Self:
        """A new holder for this process."""
        process_id = os.getpid()
        return cls(_place(), process_id, _started(process_id) or 0, os.urandom(4).hex())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read :meth:`__str__`'s text; None where it is none."""
        found = _FORM.fullmatch(text)
        return cls(found[1], int(found[2]), int(found[3]), found[4]) if found else None

    def __str__(self) -> str:
        return f"{self.place}-{self.process_id}-{self.started}-{self.nonce}"

    def is_stale(self, *, idle_seconds: float) -> bool:
        """Whether the holder is certainly gone, or was not heard of for :data:`STALE_SECONDS`."""
        if self.place == _place() and _started(os.getpid()) is not None:  # there is a /proc to look at
            return _started(self.process_id) != self.started
        return idle_seconds > STALE_SECONDS


def boot_identifier() -> str:
    """What is the same until this machine is started again (random(4), ``boot_id``); "" where it cannot be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _place() -> str:
    """This machine since its last start, and this process' pid name space: where process ids mean something."""
    facts = [socket.gethostname(), boot_identifier()]
    with suppress(OSError):
        facts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - its target is no path
    return sha256("\n".join(facts).encode()).hexdigest()[:16]


def _started(process_id: int) -> int | None:
    """When the process started, in clock ticks since the machine's start; None where there is none any more."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text("latin-1")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command's name may hold anything, and ends at the last parenthesis
    return None if fields[0] in _ENDED_STATES else int(fields[_START_TIME_FIELD - 3])
