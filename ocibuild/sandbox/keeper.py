"""What is done to a prepared root's tree, in this process or in one that a rung lets change files of others.

Run as a program (``KEEPER... python -P -m ocibuild.sandbox.keeper``) it reads one pickled request from its standard
input and writes one pickled answer to its standard output; both ends are this program, of one version.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ocibuild.core.atomic import map_os_error
from ocibuild.core.errors import BuildError, ImageError, MachineError, OcibuildError
from ocibuild.sandbox.capture import CapturedChange, capture_change
from ocibuild.sandbox.execution import Identity
from ocibuild.sandbox.kernel import die_with_parent
from ocibuild.sandbox.ownership import StepJournal
from ocibuild.sandbox.root_state import RootState, load_state, save_state
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.sandbox.survey import survey
from ocibuild.sandbox.tree import Tree
from ocibuild.sandbox.tree_writer import move_tree
from ocibuild.sandbox.wanted import WantedTree
from ocibuild.store.roots import RootFolder

__all__ = ["call", "capture", "main", "move", "remove"]

_MODULE = "ocibuild.sandbox.keeper"


def move(root: RootFolder, wanted: WantedTree, *, with_owners: bool) -> None:
    """Make the root's tree what ``wanted`` says, whatever it was."""
    with Tree(root.tree, root.trash) as tree:
        state = true_state(root, tree, with_owners=with_owners)
        root.mark_dirty()
        move_tree(tree, state, wanted, with_owners=with_owners)
        keep(root, state)


def true_state(root: RootFolder, tree: Tree, *, with_owners: bool) -> RootState:
    """What is known of the tree: as recorded, or after a look at everything where it may have changed since."""
    state = load_state(root.state) or RootState()
    return survey(tree, state, with_owners=with_owners).state() if root.is_dirty else state


def keep(root: RootFolder, state: RootState) -> None:
    """Record the state, which is true of the tree now."""
    save_state(state, root.state)
    root.mark_clean(state.chain, state.pieces, sum(known.entry.size_bytes for known in state.paths.values()))


def capture(
    root: RootFolder,
    journal: StepJournal,
    identity: Identity,
    rules: CaptureRules,
    *,
    with_owners: bool,
) -> CapturedChange:
    """Write down what a step changed since the root was moved; ``journal`` is of its outcome."""
    with Tree(root.tree, root.trash) as tree:
        state = load_state(root.state)
        if state is None:
            raise BuildError("nothing is known of a prepared root: a step ran in it before it was moved to any layers")
        inodes = frozenset(inode for inode, _ in (*journal.owners, *journal.attributes))
        found = survey(tree, state, with_owners=with_owners, inodes=inodes)
        captured, state = capture_change(tree, found, root.change, journal=journal, identity=identity, rules=rules)
        keep(root, state)
    return captured


def remove(path: Path) -> None:
    """Remove a root's folder with all that is in it, folders of any depth and mode."""
    root = RootFolder(path)
    with Tree(root.tree, root.trash) as tree:
        tree.remove_all()
    for entry in list(path.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            entry.rmdir()
        else:
            entry.unlink()
    path.rmdir()


_OPERATIONS: dict[str, Callable[..., Any]] = {"move": move, "capture": capture, "remove": remove}


def call(keeper: Sequence[str], operation: str, *arguments: Any, **options: Any) -> Any:
    """Do one of the operations, in a process started behind the arguments ``keeper`` where there are any.

    Its error is raised here. A MachineError where that process cannot be started or ends without an answer.
    """
    if not keeper:
        return _done(operation, arguments, options)
    command = [*keeper, sys.executable, "-P", "-m", _MODULE]
    request = pickle.dumps((operation, arguments, options))
    try:
        done = subprocess.run(command, input=request, capture_output=True, check=False)
    except OSError as error:
        raise MachineError(f"cannot start {keeper[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise MachineError(
            f"the keeper of prepared roots ended with code {done.returncode}: {done.stderr.decode(errors='replace')}"
        )
    result = pickle.loads(done.stdout)  # noqa: S301 - written by this very program
    if isinstance(result, OcibuildError):
        raise result
    return result


def _done(operation: str, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """The operation's result; what the operating system refuses is mapped to this program's errors."""
    attempted = f"changing a prepared root ({operation})"
    try:
        return _OPERATIONS[operation](*arguments, **options)
    except OSError as error:
        raise map_os_error(error, attempted=attempted) from error
    except OverflowError as error:
        raise ImageError(f"{attempted}: an owner or time that no file system holds") from error


def main() -> None:
    """Answer one request. This process ends with the one that asked: a root is nobody's business afterwards."""
    die_with_parent(signal.SIGKILL)
    os.umask(0o022)
    operation, arguments, options = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by this very program
    try:
        result = _done(operation, arguments, options)
    except OcibuildError as error:
        result = error
    sys.stdout.buffer.write(pickle.dumps(result))


if __name__ == "__main__":
    main()
