"""What a step changed: the paths whose type, mode, owner, content, link or attributes are not as recorded."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.paths import parent
from ocibuild.sandbox.execution import InodeKey
from ocibuild.sandbox.ownership import Ownership
from ocibuild.sandbox.root_state import RootState
from ocibuild.sandbox.survey import Survey, file_kind, read_attributes
from ocibuild.sandbox.tree import Tree

__all__ = ["ChangeFinder", "Changed", "Changes"]

_CAPABILITY = "security.capability"


@dataclass(frozen=True, slots=True)
class Changed:
    """A path that is new or differs from its record, as it is now.

    ``differs`` names in what: ``new``, ``kind``, ``mode``, ``owner``, ``content``, ``links`` or ``attributes``; it is
    empty for what only accompanies a change (a folder above one, another name of a file). ``modified`` is the recorded
    time of what has its recorded content, and None for new content. ``names`` are all paths of a file with several.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    size_bytes: int
    link: str
    names: tuple[str, ...]
    modified: int | None
    differs: frozenset[str]
    attributes: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Changes:
    """``changed`` by path, and ``removed``: recorded paths that are gone, only the uppermost of each."""

    changed: Mapping[str, Changed]
    removed: tuple[str, ...]


class ChangeFinder:
    """Looks at single paths. ``journal`` are attributes that the step's rung could only record."""

    def __init__(
        self,
        survey: Survey,
        tree: Tree,
        ownership: Ownership,
        journal: Mapping[InodeKey, Mapping[str, bytes]],
    ) -> None:
        self._survey = survey
        self._tree = tree
        self._ownership = ownership
        self._journal = journal
        self._journalled = frozenset(inode for inode, _ in journal)
        self._groups = _recorded_groups(survey.before)

    def changes(self) -> Changes:
        """Everything that the step changed."""
        looked_at = {path: self.change(path) for path in (*self._survey.touched, *self._survey.new)}
        changed = {path: change for path, change in looked_at.items() if change.differs}
        return Changes(changed, _removed(self._survey))

    def change(self, path: str) -> Changed:
        """The path as it is now, changed or not. Devices, fifos and sockets have the kind ``other``."""
        key = self._survey.disk[path]
        known = self._survey.before.paths.get(path)
        kind = file_kind(key.mode)
        uid, gid = self._ownership.of(path)
        same_mode = known is not None and known.key.mode == key.mode
        mode = known.entry.mode if known is not None and same_mode else stat.S_IMODE(key.mode)
        names = self._survey.links.get(key.inode, ()) if kind == "file" else ()
        sight = self._survey.touched.get(path)
        same_content = known is not None and (sight is None or sight.same_content)
        attributes = self._attributes(path, same_content=same_content) if kind == "file" else {}
        differs: set[str] = set()
        if known is None:
            differs.add("new")
        elif known.entry.kind != kind:
            differs.add("kind")
        else:
            different = {
                "mode": not same_mode and kind != "symlink",
                "owner": (uid, gid) != (known.entry.uid, known.entry.gid),
                "content": not same_content,
                "links": kind == "file" and self._links_differ(path, known.entry.group, names),
                "attributes": kind == "file" and attributes != self._survey.before.attributes.get(path, {}),
            }
            differs.update(name for name, is_different in different.items() if is_different)
        return Changed(
            kind,
            0o777 if kind == "symlink" else mode,
            uid,
            gid,
            key.size_bytes if kind == "file" else 0,
            self._link_text(path) if kind == "symlink" else "",
            names,
            known.entry.modified if known is not None and same_content else None,
            frozenset(differs),
            attributes,
        )

    def _link_text(self, path: str) -> str:
        folder, name = self._tree.at(path)
        return os.readlink(name, dir_fd=folder)

    def _links_differ(self, path: str, group: str, names: tuple[str, ...]) -> bool:
        """Whether the file has other names than recorded, as far as those are files still: losing one is no change."""
        disk = self._survey.disk
        recorded = self._groups.get(group, frozenset((path,)))
        still = {name for name in recorded if name in disk and stat.S_ISREG(disk[name].mode)}
        return still != set(names or (path,))

    def _attributes(self, path: str, *, same_content: bool) -> dict[str, bytes]:
        before = self._survey.before
        if path in before.paths and path not in self._survey.touched:
            return before.attributes.get(path, {})
        with self._tree.reading(path) as descriptor:
            on_disk = read_attributes(descriptor)
        if self._survey.with_owners:
            return before.attributes.get(path, {}) if on_disk is None else on_disk
        origin = self._ownership.recorded_path(path)
        attributes = dict(before.attributes.get(origin, {})) if origin is not None else {}
        if not same_content and origin == path:
            attributes.pop(_CAPABILITY, None)  # writing to a file takes its capabilities away (capabilities(7))
        attributes.update(on_disk or {})
        if self._survey.disk[path].inode in self._journalled:
            attributes.update(self._journal.get(self._ownership.inode(path), {}))
        return attributes


def _recorded_groups(state: RootState) -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for path, known in state.paths.items():
        if known.entry.group:
            groups.setdefault(known.entry.group, set()).add(path)
    return {group: frozenset(paths) for group, paths in groups.items()}


def _removed(survey: Survey) -> tuple[str, ...]:
    """The recorded paths that are gone from a folder that is still there, and what something unplaceable replaced."""
    gone = [path for path in survey.gone if _is_folder(survey, parent(path))]
    replaced = [path for path, sight in survey.touched.items() if file_kind(sight.key.mode) == "other"]
    return tuple(sorted((*gone, *replaced)))


def _is_folder(survey: Survey, path: str) -> bool:
    key = survey.disk.get(path)
    return not path or (key is not None and stat.S_ISDIR(key.mode))
