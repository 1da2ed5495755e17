"""A root file system in which steps run: taken from the store, moved to a chain of layers, looked at afterwards."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ocibuild.sandbox.capture import CapturedChange
from ocibuild.sandbox.chain import Chain
from ocibuild.sandbox.execution import Execution, InodeKey, Outcome, Owner
from ocibuild.sandbox.keeper import call
from ocibuild.sandbox.ownership import StepJournal
from ocibuild.sandbox.root_state import load_state
from ocibuild.sandbox.rung import Rung
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.sandbox.wanted import wanted_tree
from ocibuild.store.roots import PreparedRoots, RootFolder
from ocibuild.store.store import Store

__all__ = ["PreparedRoot", "prepared_root", "remove_prepared", "root_kind"]

_LONGEST_TICK_SECONDS = 0.01
"""Kernels before 6.13 stamp files with the time of their last tick: a file that is changed in the tick that it was
written in shows no other time. At 100 ticks a second, the fewest there are, this is one."""


class PreparedRoot:
    """A root that this process holds. Whatever was in it, :meth:`move` makes it a chain of layers.

    A root that a step changed, or that a killed process left, needs nothing else: the next move undoes all of it.
    """

    def __init__(self, folder: RootFolder, *, with_owners: bool, keeper: Sequence[str] = ()) -> None:
        self._folder = folder
        self._with_owners = with_owners
        self._keeper = tuple(keeper)

    def move(self, chain: Chain) -> None:
        """Make the root's tree this chain of layers, by the difference to what it is.

        Files with the same piece and path stay. Raises what reading the pieces does, a MachineError for a full disk.
        When it fails, the root is dirty, and the next move starts from what lies there.
        """
        if self._folder.chain != chain.key:
            self._call("move", wanted_tree(chain))

    def enter(self) -> Path:
        """The folder to run something in. From here on it counts as changed."""
        self._folder.mark_dirty()
        time.sleep(_LONGEST_TICK_SECONDS)
        return self._folder.tree

    def owners(self) -> dict[InodeKey, Owner]:
        """The recorded owners of what does not belong to root, for rungs that only show them; after :meth:`move`."""
        state = None if self._with_owners else load_state(self._folder.state)
        if state is None:
            return {}
        return {
            (known.key.inode, known.born_ns): (known.entry.uid, known.entry.gid)
            for known in state.paths.values()
            if known.entry.uid or known.entry.gid
        }

    def capture(self, outcome: Outcome, execution: Execution, rules: CaptureRules) -> CapturedChange:
        """What the program changed that ran in the root since :meth:`move`, as a tar stream and a summary.

        A path is in it only if its type, mode, owner, content, link or attributes differ from what the chain of layers
        says. The next move leaves the captured files where they are, for a piece whose key is the change's digest. A
        BuildError where the program's user was not allowed a change, by the recorded owners and modes, or left a name
        that no layer can hold.
        """
        captured: CapturedChange = self._call("capture", StepJournal.of(outcome), execution.identity, rules)
        return captured

    def _call(self, operation: str, *arguments: Any) -> Any:
        return call(self._keeper, operation, self._folder, *arguments, with_owners=self._with_owners)


def root_kind(rung: Rung) -> str:
    """The kind of root that a rung runs in: those with real owners have one each, since the ids on disk differ."""
    return f"real-{rung.name}" if rung.has_real_owners else "flat"


def remove_prepared(path: Path) -> None:
    """Remove a root's folder, as the rung whose kind of root it is may do it.

    A MachineError where that rung does not work here any more.
    """
    _, real, name = path.parent.name.partition("real-")
    keeper: tuple[str, ...] = ()
    if real:
        from ocibuild.sandbox.ladder import choose  # noqa: PLC0415 - the rungs are seldom needed here

        keeper = choose(name, scratch=path.parent).keeper()
    call(keeper, "remove", path)


@contextmanager
def prepared_root(store: Store, rung: Rung, *, wanted: Collection[str] = ()) -> Iterator[PreparedRoot]:
    """Hold a root for this rung while the block runs; nobody else has the same one.

    ``wanted`` are keys of pieces: of the roots that are idle, the one that has most of them is taken.
    """
    keeper = rung.keeper()
    remove = partial(call, keeper, "remove")
    with PreparedRoots(store.folder).lease(root_kind(rung), remove=remove, wanted=wanted) as folder:
        yield PreparedRoot(folder, with_owners=rung.has_real_owners, keeper=keeper)
