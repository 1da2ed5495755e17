"""Comparing what is recorded of a tree with what lies there: which paths were touched, and which are really changed."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ocibuild.sandbox.birth import born_ns
from ocibuild.sandbox.root_state import Known, RootState, StatKey
from ocibuild.sandbox.scan import scan, stat_key
from ocibuild.sandbox.tree import Tree
from ocibuild.sandbox.tree_writer import CONTENT_DIGEST_BYTES
from ocibuild.sandbox.wanted import group_of

__all__ = ["NO_TIME", "Sight", "Survey", "content_digest", "file_kind", "read_attributes", "survey"]

NO_TIME = -1
"""The time of an entry whose file was touched: equal to no layer's, so that it is set anew."""

_SHARED_WITH_UNKNOWN = "?"
"""The group of a file one of whose names must be made anew: equal to no layer's, so that all are."""

_READ_BYTES = 1 << 20
_ATTRIBUTES = ("user.", "security.capability")
"""Which extended attributes belong to an image; others (labels, ACLs, an overlay's own) are this machine's business."""


class Sight(NamedTuple):
    """A touched path of the record as it is now. ``same_content``: a file's bytes or a link's text are as recorded."""

    key: StatKey
    same_content: bool
    same_attributes: bool
    born_ns: int


@dataclass(frozen=True, slots=True)
class Survey:
    """``touched`` are recorded paths with another status than when they were written, ``new`` what no record names.

    ``links`` gives the paths of files that have several.
    """

    before: RootState
    disk: Mapping[str, StatKey]
    touched: Mapping[str, Sight]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    links: Mapping[int, tuple[str, ...]]
    with_owners: bool

    def state(self) -> RootState:
        """What is known of the tree now. Touched files whose content is as recorded stay known, with what differs."""
        before = self.before
        state = RootState(
            pieces=before.pieces,
            paths=dict(before.paths),
            attributes=dict(before.attributes),
            aliases=dict(before.aliases),
            lower=before.lower,
            upper=before.upper,
            deviating=dict(before.deviating),
        )
        for path in (*self.gone, *self.touched, *self.new):
            state.deviating[path] = before.said(path)
        for path in self.gone:
            state.forget(path)
        for path, sight in self.touched.items():
            known = state.paths[path]
            if sight.same_content and sight.same_attributes:
                state.paths[path] = self._as_it_is(known, sight)
            else:
                state.forget(path)
                state.unknown[path] = stat.S_ISDIR(sight.key.mode)
        for path in self.new:
            state.unknown[path] = stat.S_ISDIR(self.disk[path].mode)
        for path in self.touched.keys() & state.paths.keys():
            if any(name not in state.paths for name in self.links.get(self.disk[path].inode, ())):
                known = state.paths[path]
                state.paths[path] = known._replace(entry=known.entry._replace(group=_SHARED_WITH_UNKNOWN))
        if not (self.touched or self.new or self.gone):
            state.chain = before.chain
        return state

    def _as_it_is(self, known: Known, sight: Sight) -> Known:
        old, key = known.key, sight.key
        entry = known.entry._replace(
            mode=known.entry.mode if key.mode == old.mode else stat.S_IMODE(key.mode),
            modified=known.entry.modified if key.modified_ns == old.modified_ns else NO_TIME,
            group=group_of(self.links.get(key.inode, ())) if known.entry.kind == "file" else "",
        )
        if self.with_owners:
            entry = entry._replace(uid=key.uid, gid=key.gid)
        return Known(entry, key, known.digest, sight.born_ns)


def survey(tree: Tree, state: RootState, *, with_owners: bool, inodes: Collection[int] = ()) -> Survey:
    """Look at the whole tree. Files of these ``inodes`` count as touched, whatever their status.

    Of touched files whose size is as recorded the content is read. What must be opened up for that is locked again, and
    ``disk`` has the status after that.
    """
    disk = scan(tree)
    paths = state.paths
    gone = tuple(path for path in paths if path not in disk)
    nominated = {path for path, known in paths.items() if path in disk and disk[path] != known.key}
    if inodes:
        nominated |= {path for path, key in disk.items() if key.inode in inodes and path in paths}
    nominated |= _partners(state, gone) - set(gone)
    sights = {path: _sight(tree, path, state, disk[path], with_owners=with_owners) for path in sorted(nominated)}
    for path, status in tree.lock_again().items():
        key = disk[path] = stat_key(status)
        if path in sights:
            sights[path] = sights[path]._replace(key=key)
        elif path in paths:
            sights[path] = Sight(key, same_content=True, same_attributes=True, born_ns=paths[path].born_ns)
    new = tuple(path for path in disk if path not in paths)
    return Survey(state, disk, sights, new, gone, _links(disk), with_owners)


def file_kind(mode: int) -> str:
    """The kind of an entry with this status: ``file``, ``directory``, ``symlink`` or ``other``."""
    if stat.S_ISREG(mode):
        return "file"
    return "directory" if stat.S_ISDIR(mode) else "symlink" if stat.S_ISLNK(mode) else "other"


def _partners(state: RootState, gone: Iterable[str]) -> set[str]:
    """The other names of files that lost one: not every file system notes that in the file's status."""
    groups = {state.paths[path].entry.group for path in gone} - {""}
    return {path for path, known in state.paths.items() if known.entry.group in groups} if groups else set()


def _links(disk: Mapping[str, StatKey]) -> dict[int, tuple[str, ...]]:
    paths: dict[int, list[str]] = {}
    for path, key in disk.items():
        if stat.S_ISREG(key.mode):
            paths.setdefault(key.inode, []).append(path)
    return {inode: tuple(sorted(names)) for inode, names in paths.items() if len(names) > 1}


def _sight(tree: Tree, path: str, state: RootState, key: StatKey, *, with_owners: bool) -> Sight:
    known = state.paths[path]
    folder, name = tree.at(path)
    born = 0 if with_owners else born_ns(folder, name)
    kind = known.entry.kind
    if file_kind(key.mode) != kind:
        return Sight(key, same_content=False, same_attributes=True, born_ns=born)
    if kind == "symlink":
        same = os.readlink(name, dir_fd=folder) == known.entry.link
        return Sight(key, same, same_attributes=True, born_ns=born)
    if kind == "directory":
        return Sight(key, same_content=True, same_attributes=True, born_ns=born)
    with tree.reading(path) as descriptor:
        expected = state.attributes.get(path, {}) if with_owners else {}
        same_attributes = read_attributes(descriptor) in (expected, None)
        same = key.size_bytes == known.entry.size_bytes
        same = same and (key == known.key or content_digest(descriptor) == known.digest)
    return Sight(key, same, same_attributes, born)


def content_digest(descriptor: int) -> str:
    """The digest of an open file's content, as :class:`Known` has it."""
    digest = hashlib.blake2b(digest_size=CONTENT_DIGEST_BYTES)
    while chunk := os.read(descriptor, _READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def read_attributes(descriptor: int) -> dict[str, bytes] | None:
    """The extended attributes of an open file that belong to an image; None where its file system has none."""
    try:
        names = os.listxattr(descriptor)
        return {name: os.getxattr(descriptor, name) for name in names if name.startswith(_ATTRIBUTES)}
    except OSError:
        return None
