"""Whose the files of a tree are, in the image's ids: by the file system, or on rungs that fake it by what is known."""

import stat
from dataclasses import dataclass, field
from typing import Self

from ocibuild.core.paths import parent
from ocibuild.sandbox.birth import born_ns
from ocibuild.sandbox.execution import Identity, InodeKey, Outcome, Owner
from ocibuild.sandbox.root_state import Known, StatKey
from ocibuild.sandbox.survey import Survey
from ocibuild.sandbox.tree import Tree

__all__ = ["Ownership", "StepJournal"]

_OPEN = (-1, -1)


@dataclass(frozen=True, slots=True)
class StepJournal:
    """What :class:`~ocibuild.sandbox.execution.Outcome` tells of owners and attributes, as another process takes it."""

    owners: dict[InodeKey, Owner] = field(default_factory=dict)
    attributes: dict[InodeKey, dict[str, bytes]] = field(default_factory=dict)
    saw_one_owner: bool = False

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """The journal of an outcome."""
        attributes = {inode: dict(values) for inode, values in outcome.attributes.items()}
        return cls(dict(outcome.owners), attributes, outcome.saw_one_owner)


class Ownership:
    """Owners after a step that ran as ``identity``; ``journal`` are the inodes whose owner it decided otherwise.

    On a root without real owners a file that the journal does not name has its recorded owner as long as it is the
    recorded inode, under whatever name; a new one belongs to the step's user and group, or to the group of a folder
    with the set-group-id bit (inode(7)).

    Programs that replace a file give the new one the owner that they saw of the old one. Where they saw all files as
    the step's user's, such a chown says nothing, and what takes the place of a recorded file has its recorded owner.
    """

    def __init__(self, survey: Survey, tree: Tree, *, identity: Identity, journal: StepJournal) -> None:
        self._survey = survey
        self._tree = tree
        self._identity = identity
        self._journal = journal.owners
        self._saw_one_owner = journal.saw_one_owner
        self._numbers = frozenset(inode for inode, _ in journal.owners)
        self._recorded: dict[int, tuple[str, Known]] | None = None
        self._found: dict[str, Owner] = {}

    def of(self, path: str) -> Owner:
        """The owner of a path that is in the tree; root's for the root itself."""
        if not path:
            return 0, 0
        if path not in self._found:
            self._found[path] = self._owner(path, self._survey.disk[path])
        return self._found[path]

    def inode(self, path: str) -> InodeKey:
        """The inode at the path."""
        known = self._survey.before.paths.get(path)
        key = self._survey.disk[path]
        if known is not None and path not in self._survey.touched:
            return key.inode, known.born_ns
        if path in self._survey.touched:
            return key.inode, self._survey.touched[path].born_ns
        folder, name = self._tree.at(path)
        return key.inode, born_ns(folder, name)

    def is_recorded_inode(self, path: str) -> bool:
        """Whether the path has the inode that was recorded there, and not one that took its place."""
        known = self._survey.before.paths.get(path)
        return known is not None and (known.key.inode, known.born_ns) == self.inode(path)

    def recorded_path(self, path: str) -> str | None:
        """The recorded path of the inode that is at ``path`` now; None for an inode that the step made."""
        if self._recorded is None:
            paths = self._survey.before.paths
            self._recorded = {known.key.inode: (name, known) for name, known in paths.items()}
        key = self._survey.disk[path]
        name, known = self._recorded.get(key.inode, ("", None))
        return name if known is not None and known.born_ns == self.inode(path)[1] else None

    def _owner(self, path: str, key: StatKey) -> Owner:
        if self._survey.with_owners:
            return key.uid, key.gid
        uid, gid = self._journal.get(self.inode(path), _OPEN) if key.inode in self._numbers else _OPEN
        known = self._survey.before.paths.get(path)
        if self._saw_one_owner and known is not None and not self.is_recorded_inode(path):
            uid = known.entry.uid if uid == self._identity.uid else uid
            gid = known.entry.gid if gid == self._identity.gid else gid
        if -1 in (uid, gid):
            else_uid, else_gid = self._undecided(path, key)
            return (else_uid if uid == -1 else uid, else_gid if gid == -1 else gid)
        return uid, gid

    def _undecided(self, path: str, key: StatKey) -> Owner:
        """The owner as far as the journal does not say."""
        before = self._survey.before.paths
        if key.inode not in self._numbers and path in before and path not in self._survey.touched:
            return before[path].entry.uid, before[path].entry.gid
        recorded = self.recorded_path(path)
        if recorded is not None:
            return before[recorded].entry.uid, before[recorded].entry.gid
        return self._identity.uid, self._new_group(path)

    def _new_group(self, path: str) -> int:
        folder = parent(path)
        if folder and self._survey.disk[folder].mode & stat.S_ISGID:
            return self.of(folder)[1]
        return self._identity.gid
