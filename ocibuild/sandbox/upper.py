"""What a root must hold where only the upper pieces of its chain are others than before.

Most moves are of this kind: the repository's files changed, and a step's traces are to go. The lower pieces, with all
packages, are then not even read. What cannot be told without them is left to :mod:`ocibuild.sandbox.wanted`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ocibuild.core.paths import parent
from ocibuild.sandbox.chain import Piece
from ocibuild.sandbox.root_state import RootState
from ocibuild.sandbox.wanted import TreeEntry, WantedTree, plain_paths, tree_entry

__all__ = ["upper_tree"]


def upper_tree(
    state: RootState, chain: str, keys: tuple[str, ...], pieces: Sequence[Piece]
) -> tuple[WantedTree, frozenset[str]] | None:
    """What the tree of this state must become, and the paths that this is about; the others stay as they are.

    ``keys`` are of the chain's pieces, the last of which are ``pieces``. None where that cannot be told.
    """
    lower = len(keys) - len(pieces)
    paths = plain_paths(pieces)
    if not lower or paths is None or state.upper is None:
        return None
    if (state.lower, state.pieces[:lower]) != (lower, keys[:lower]):
        return None
    below = {path: _said_below(state, path) for path in {*state.upper, *state.deviating, *paths}}
    entries = _upper_entries(below, pieces)
    if entries is None or not all(_give_back(state, path, said, entries) for path, said in below.items()):
        return None
    scope = frozenset((*below, *state.unknown))
    if not all(_has_folder(state, path, entries) for path in scope):
        return None
    ranges = {piece.key: piece.ranges for piece in pieces}
    ordered = dict(sorted(entries.items()))  # folders before what is in them
    wanted = WantedTree(chain, keys, ordered, ranges, lower, {path: below[path] for path in paths})
    return wanted, scope | entries.keys()


def _said_below(state: RootState, path: str) -> TreeEntry | None:
    """What the lower pieces say of the path."""
    return state.upper[path] if state.upper is not None and path in state.upper else state.said(path)


def _upper_entries(below: Mapping[str, TreeEntry | None], pieces: Sequence[Piece]) -> dict[str, TreeEntry] | None:
    """What the pieces say; None where that changes more than what is at their paths."""
    entries: dict[str, TreeEntry] = {}
    for piece in pieces:
        for path, entry in piece.table.entries.items():
            new = tree_entry(replace(entry, layer=f"{piece.key}/{path}"), "")
            for old in (entries.get(path), below[path]):
                if old is not None and (old.kind != new.kind or old.group):
                    return None
            entries[path] = new
    return entries


def _give_back(state: RootState, path: str, said: TreeEntry | None, entries: dict[str, TreeEntry]) -> bool:
    """Add what a lower piece says of a path that no upper one names; False where its bytes are needed for that."""
    if said is None or path in entries:
        return True
    if said.kind == "file":
        known = state.paths.get(path)
        if (
            known is None
            or said.group
            or known.entry.group
            or said.content not in (known.entry.content, state.aliases.get(path))
        ):
            return False
    entries[path] = said
    return True


def _has_folder(state: RootState, path: str, entries: dict[str, TreeEntry]) -> bool:
    """Whether a folder is to be above the path; it is then among the entries."""
    folder = parent(path)
    if folder and folder not in entries:
        said = _said_below(state, folder)
        if said is None:
            return path not in entries  # it goes with what is in it
        entries[folder] = said
    return not folder or entries[folder].kind == "directory"
