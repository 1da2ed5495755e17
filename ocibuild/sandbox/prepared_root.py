"""A root file system in which steps run: taken from the store, moved to a chain of layers, looked at afterwards."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from ocibuild.sandbox.capture import CapturedChange
from ocibuild.sandbox.chain import Chain
from ocibuild.sandbox.execution import Execution, InodeKey, Outcome, Owner
from ocibuild.sandbox.keeper_process import Keeper, remove_root
from ocibuild.sandbox.ownership import StepJournal
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

    A root that a step changed, or that a killed process left, needs nothing else: the next move undoes all of it. A
    context manager that ends the process which changes the root, where that is another one (``keeper``).
    """

    def __init__(self, folder: RootFolder, *, with_owners: bool, keeper: Sequence[str] = ()) -> None:
        self._folder = folder
        self._with_owners = with_owners
        self._keeper = Keeper(keeper, folder, with_owners=with_owners)
        self._chain: str | None = None  # that the tree is, by what was done here

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.close()

    def move(self, chain: Chain) -> None:
        """Make the root's tree this chain of layers, by the difference to what it is.

        Files with the same piece and path stay. Raises what reading the pieces does, a MachineError for a full disk.
        When it fails, the root is dirty, and the next move starts from what lies there.
        """
        if chain.key not in (self._chain, self._folder.chain):
            self._chain = None
            if not chain.lower.keys or not self._keeper.ask("move_upper", chain.key, chain.keys, chain.pieces):
                self._keeper.ask("move", wanted_tree(chain))
            self._chain = chain.key

    def enter(self) -> Path:
        """The folder to run something in. From here on it counts as changed."""
        self._folder.mark_dirty()
        self._chain = None
        time.sleep(_LONGEST_TICK_SECONDS)
        return self._folder.tree

    def owners(self) -> dict[InodeKey, Owner]:
        """The recorded owners of what does not belong to root, for rungs that only show them; after :meth:`move`."""
        owners: dict[InodeKey, Owner] = {} if self._with_owners else self._keeper.ask("owners")
        return owners

    def capture(self, outcome: Outcome, execution: Execution, rules: CaptureRules) -> CapturedChange:
        """What the program changed that ran in the root since :meth:`move`, as a tar stream and a summary.

        A path is in it only if its type, mode, owner, content, link or attributes differ from what the chain of layers
        says. The next move leaves the captured files where they are, for a piece whose key is the change's digest. A
        BuildError where the program's user was not allowed a change, by the recorded owners and modes, or left a name
        that no layer can hold.
        """
        captured: CapturedChange = self._keeper.ask("capture", StepJournal.of(outcome), execution.identity, rules)
        return captured


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
    remove_root(keeper, path)


@contextmanager
def prepared_root(store: Store, rung: Rung, *, wanted: Collection[str] = ()) -> Iterator[PreparedRoot]:
    """Hold a root for this rung while the block runs; nobody else has the same one.

    ``wanted`` are keys of pieces: of the roots that are idle, the one that has most of them is taken.
    """
    keeper = rung.keeper()
    remove = partial(remove_root, keeper)
    with (
        PreparedRoots(store.folder).lease(root_kind(rung), remove=remove, wanted=wanted) as folder,
        PreparedRoot(folder, with_owners=rung.has_real_owners, keeper=keeper) as root,
    ):
        yield root
