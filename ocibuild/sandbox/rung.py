"""What every rung of the ladder offers."""

from pathlib import Path
from typing import Protocol

from ocibuild.sandbox.execution import Execution, InodeKey, Outcome, Owner, Streams

__all__ = ["Rung"]


class Rung(Protocol):
    """A way of running programs in a root, that was tried on this machine and works.

    ``name`` is what ``--sandbox`` takes, ``number`` its place in the ladder. With ``has_real_owners`` files of a root
    belong to whom the image says (in this machine's ids or a name space's), else all to this process. ``is_boundary``
    tells whether a program is kept from what this process can reach. ``notes`` are what it cannot do, in sentences.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - the class says

    @property
    def number(self) -> int: ...  # noqa: D102 - as above

    @property
    def has_real_owners(self) -> bool: ...  # noqa: D102 - as above

    @property
    def is_boundary(self) -> bool: ...  # noqa: D102 - as above

    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102 - as above

    def run(
        self, root: Path, execution: Execution, streams: Streams, *, owners: dict[InodeKey, Owner] | None = None
    ) -> Outcome:
        """Run the program to its end; everything that it started is ended with it.

        ``owners`` are the recorded owners of files of the root that belong to others than root (for rungs that fake
        ownership; they may show them). Ctrl-C and the timeout end all its processes: first SIGTERM, then SIGKILL. A
        MachineError where the program cannot be started at all; a program that is not there is exit code 127, one that
        cannot be executed 126, as a shell has it.
        """
        ...

    def keeper(self) -> tuple[str, ...]:
        """The arguments to put before a command of this machine so that it may change files of a root.

        Empty where this process itself may. A rung of sub-ids enters its name space there, without entering the root.
        """
        ...
