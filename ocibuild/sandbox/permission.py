"""Whether a step's user was allowed what it did, on rungs where every file belongs to one user on disk."""

import stat
from collections.abc import Iterable, Iterator

from ocibuild.core.errors import BuildError
from ocibuild.core.paths import ancestors, parent
from ocibuild.sandbox.changes import Changes
from ocibuild.sandbox.execution import Identity
from ocibuild.sandbox.ownership import Ownership
from ocibuild.sandbox.survey import Survey
from ocibuild.sandbox.wanted import TreeEntry

__all__ = ["refuse_forbidden"]

_MOST_NAMED = 5
_READ_WRITE_EXECUTE = {"r": 4, "w": 2, "x": 1}
_ROOT_FOLDER = TreeEntry("directory", 0o755, 0, 0, 0, "", 0, "", "")


def refuse_forbidden(survey: Survey, changes: Changes, ownership: Ownership, identity: Identity) -> None:
    """A BuildError that names what this user could not have changed by the recorded owners and modes.

    Rules of path_resolution(7), unlink(2), chmod(2) and chown(2). Nothing is forbidden to root. An owner may first
    change the mode of what is his, so his folders' modes do not bind him. What the step itself made is not judged.
    """
    if identity.uid == 0 or survey.with_owners:
        return
    judge = _Judge(survey, identity)
    forbidden = sorted(set(_forbidden(survey, changes, ownership, judge)))
    if forbidden:
        named = ", ".join(f"/{path}" for path in forbidden[:_MOST_NAMED])
        more = f" and {len(forbidden) - _MOST_NAMED} more" if len(forbidden) > _MOST_NAMED else ""
        raise BuildError(
            f"the step ran as user {identity.uid} and changed what that user may not change: {named}{more}",
            hint="run the step as root, or give the user these files or folders in an earlier step",
        )


def _forbidden(survey: Survey, changes: Changes, ownership: Ownership, judge: "_Judge") -> Iterator[str]:
    before = survey.before.paths
    for path in survey.gone:
        if not judge.may_remove(path):
            yield path
    for path, change in changes.changed.items():
        if not change.differs:
            continue
        known = before.get(path)
        if known is None:
            origin = ownership.recorded_path(path)  # of a file that was moved or linked here
            uid = judge.identity.uid if origin is None else before[origin].entry.uid
            if not judge.may_create_in(parent(path)) or ownership.of(path)[0] != uid:
                yield path
        elif not ownership.is_recorded_inode(path) or "kind" in change.differs:
            if not judge.may_remove(path):  # removed and made anew, or another file moved there
                yield path
        elif not judge.may_change(path, change.differs, (change.uid, change.gid)):
            yield path


class _Judge:
    def __init__(self, survey: Survey, identity: Identity) -> None:
        self.identity = identity
        self._paths = survey.before.paths
        self._groups = frozenset((identity.gid, *identity.groups))
        self._searched: dict[str, bool] = {}

    def _recorded(self, path: str) -> TreeEntry | None:
        if not path:
            return _ROOT_FOLDER
        known = self._paths.get(path)
        return known.entry if known is not None else None

    def _is_owner(self, entry: TreeEntry) -> bool:
        return entry.uid == self.identity.uid

    def _may(self, entry: TreeEntry, wanted: str) -> bool:
        """Whether the mode gives the user these rights; an owner can give them to himself."""
        if self._is_owner(entry):
            return True
        bits = entry.mode >> 3 if entry.gid in self._groups else entry.mode
        return all(bits & _READ_WRITE_EXECUTE[right] for right in wanted)

    def _may_reach(self, path: str) -> bool:
        """Whether every recorded folder above the path may be searched."""
        return all(self._may_search(folder) for folder in ancestors(path))

    def _may_search(self, folder: str) -> bool:
        if folder not in self._searched:
            entry = self._recorded(folder)
            self._searched[folder] = entry is None or entry.kind != "directory" or self._may(entry, "x")
        return self._searched[folder]

    def may_create_in(self, folder: str) -> bool:
        """Whether the user may put something into a folder."""
        entry = self._recorded(folder)
        if entry is None or entry.kind != "directory":
            return True  # the step made it: whether it might was asked there
        return self._may(entry, "wx") and self._may_reach(folder)

    def may_remove(self, path: str) -> bool:
        """Whether the user may take a recorded path away from its folder."""
        folder, entry = self._recorded(parent(path)), self._recorded(path)
        if folder is None or entry is None:
            return True
        is_kept = folder.mode & stat.S_ISVTX and not self._is_owner(folder) and not self._is_owner(entry)
        return self.may_create_in(parent(path)) and not is_kept

    def may_change(self, path: str, differs: Iterable[str], owner: tuple[int, int]) -> bool:
        """Whether the user may change a recorded file or folder, which is the same inode still, in these ways."""
        entry = self._recorded(path)
        if entry is None:
            return True
        if not self._may_reach(path):
            return False
        if self._is_owner(entry):
            return owner[0] == entry.uid and (owner[1] == entry.gid or owner[1] in self._groups)
        allowed = {"content", "links"} if self._may(entry, "w") else {"links"}
        return set(differs) <= allowed
