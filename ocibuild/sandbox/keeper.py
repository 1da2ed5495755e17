"""What is done to a prepared root's tree, in this process or in one that a rung lets change files of others.

Run as a program (:mod:`ocibuild.sandbox.keeper_process`) it reads the root and then pickled requests from its standard
input, and writes a pickled answer to each to its standard output; both ends are this program, of one version.
"""

import os
import pickle
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ocibuild.core.atomic import map_os_error
from ocibuild.core.errors import BuildError, ImageError, OcibuildError
from ocibuild.core.garbage import collect_seldom
from ocibuild.sandbox.capture import CapturedChange, capture_change
from ocibuild.sandbox.chain import Piece
from ocibuild.sandbox.execution import Identity, InodeKey, Owner
from ocibuild.sandbox.kernel import die_with_parent
from ocibuild.sandbox.ownership import StepJournal
from ocibuild.sandbox.root_state import RootState, load_state, save_state
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.sandbox.survey import survey
from ocibuild.sandbox.tree import Tree
from ocibuild.sandbox.tree_writer import move_tree
from ocibuild.sandbox.upper import upper_tree
from ocibuild.sandbox.wanted import WantedTree
from ocibuild.store.roots import RootFolder

__all__ = ["RootKeeper", "main"]

_FEW_PATHS = 500
"""So many are written again quicker than the state of a whole root is."""


class RootKeeper:
    """Moves one root and looks at it. What is known of its tree stays in memory from one operation to the next."""

    def __init__(self, root: RootFolder, *, with_owners: bool) -> None:
        self._root = root
        self._with_owners = with_owners
        self._state: RootState | None = None  # true of the tree but for what ran in it since
        self._found: RootState | None = None  # by a look at the tree that nothing came of

    def move(self, wanted: WantedTree) -> None:
        """Make the root's tree what ``wanted`` says, whatever it was.

        Where that changes little, nothing is recorded: whoever finds the root dirty then looks at all of it.
        """
        with Tree(self._root.tree, self._root.trash) as tree:
            self._move(tree, self._true_state(tree), wanted)

    def move_upper(self, chain: str, keys: tuple[str, ...], pieces: Sequence[Piece]) -> bool:
        """As :meth:`move`, to the chain of this key and of pieces of these keys, of which ``pieces`` are the last.

        False, and nothing is changed, where that needs the tables of the others.
        """
        with Tree(self._root.tree, self._root.trash) as tree:
            state = self._true_state(tree)
            found = upper_tree(state, chain, keys, pieces)
            if found is None:
                self._found = state
                return False
            wanted, scope = found
            self._move(tree, state, wanted, scope)
        return True

    def _move(self, tree: Tree, state: RootState, wanted: WantedTree, scope: Collection[str] | None = None) -> None:
        self._root.mark_dirty()
        self._state = None
        changed = move_tree(tree, state, wanted, with_owners=self._with_owners, scope=scope)
        if changed > _FEW_PATHS or not self._root.state.exists():
            self._record(state)
        self._state = state

    def capture(self, journal: StepJournal, identity: Identity, rules: CaptureRules) -> CapturedChange:
        """Write down what a step changed since the root was moved; ``journal`` is of its outcome."""
        with Tree(self._root.tree, self._root.trash) as tree:
            state = self._known()
            if state is None:
                raise BuildError(
                    "nothing is known of a prepared root: a step ran in it before it was moved to any layers"
                )
            self._state = None
            inodes = frozenset(inode for inode, _ in (*journal.owners, *journal.attributes))
            found = survey(tree, state, with_owners=self._with_owners, inodes=inodes)
            change = self._root.change
            captured, state = capture_change(tree, found, change, journal=journal, identity=identity, rules=rules)
            self._record(state)
        self._state = state
        return captured

    def owners(self) -> dict[InodeKey, Owner]:
        """The recorded owners of what does not belong to root."""
        state = self._known() or RootState()
        return {
            (known.key.inode, known.born_ns): (known.entry.uid, known.entry.gid)
            for known in state.paths.values()
            if known.entry.uid or known.entry.gid
        }

    def remove(self) -> None:
        """Remove the root's folder with all that is in it, folders of any depth and mode."""
        with Tree(self._root.tree, self._root.trash) as tree:
            tree.remove_all()
        for entry in list(self._root.path.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                entry.rmdir()
            else:
                entry.unlink()
        self._root.path.rmdir()

    def do(self, operation: str, *arguments: Any) -> Any:
        """Do one of the operations by name; what the operating system refuses is mapped to this program's errors."""
        attempted = f"changing a prepared root ({operation})"
        try:
            return self._operations[operation](*arguments)
        except OSError as error:
            raise map_os_error(error, attempted=attempted) from error
        except OverflowError as error:
            raise ImageError(f"{attempted}: an owner or time that no file system holds") from error

    @property
    def _operations(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "move": self.move,
            "move_upper": self.move_upper,
            "capture": self.capture,
            "owners": self.owners,
            "remove": self.remove,
        }

    def _known(self) -> RootState | None:
        return self._state or load_state(self._root.state)

    def _true_state(self, tree: Tree) -> RootState:
        """What is known of the tree: as recorded, or after a look at everything where it may have changed since."""
        found, self._found = self._found, None
        if found is not None:
            return found
        state = self._known()
        if state is not None and not self._root.is_dirty:
            return state
        return survey(tree, state or RootState(), with_owners=self._with_owners).state()

    def _record(self, state: RootState) -> None:
        """Record the state, which is true of the tree now."""
        save_state(state, self._root.state)
        size_bytes = sum(known.entry.size_bytes for known in state.paths.values())
        self._root.mark_clean(state.chain, state.pieces, size_bytes)


def main() -> None:
    """Answer requests. This process ends with the one that asks: a root is nobody's business afterwards."""
    die_with_parent(signal.SIGKILL)
    os.umask(0o022)
    collect_seldom()
    root, with_owners = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by this very program
    keeper = RootKeeper(root, with_owners=with_owners)
    while True:
        try:
            operation, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - as above
        except EOFError:
            return
        try:
            result = keeper.do(operation, *arguments)
        except OcibuildError as error:
            result = error
        pickle.dump(result, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
