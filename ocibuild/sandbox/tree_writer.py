"""Moving a tree from what it is to what a chain of layers says, by the difference of the two."""

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import ImageError
from ocibuild.core.paths import parent
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.sandbox.birth import born_ns
from ocibuild.sandbox.piece_reader import piece_entries
from ocibuild.sandbox.root_state import Known, RootState
from ocibuild.sandbox.scan import stat_key
from ocibuild.sandbox.tree import Tree
from ocibuild.sandbox.wanted import TreeEntry, WantedTree

__all__ = ["CONTENT_DIGEST_BYTES", "move_tree"]

CONTENT_DIGEST_BYTES = 16
"""Of BLAKE2b: as hard to forge as 128 bits are, and faster than SHA-256 on processors without instructions for it."""

_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_MODE = 0o700  # until it gets its own: nothing can be put into a folder that forbids it
_ROOT_MODE = 0o755


def move_tree(
    tree: Tree, state: RootState, wanted: WantedTree, *, with_owners: bool, scope: Collection[str] | None = None
) -> int:
    """Make the tree what ``wanted`` says, and ``state`` what it is then; return how many paths were changed for that.

    ``state`` must be true of the tree. Entries that are equal stay as they are; of the others those that differ in
    mode, owner or time only are changed in place, the rest is removed or written, and only pieces that hold such files
    are read. Owners and extended attributes are set ``with_owners``; else every file belongs to this process, and
    attributes are in the state alone. When it fails, the tree is something in between and ``state`` is not true of it.

    With a ``scope`` of paths ``wanted`` tells of those alone, and all others stay.
    """
    mover = _Mover(tree, state, wanted, with_owners=with_owners)
    mover.remove_unwanted({*state.paths, *state.unknown} if scope is None else scope)
    mover.make_folders()
    mover.make_links()
    mover.write_files()
    mover.finish()
    state.chain, state.pieces, state.unknown, state.deviating = wanted.key, wanted.pieces, {}, {}
    state.lower, state.upper = wanted.lower, None if wanted.upper is None else dict(wanted.upper)
    return mover.changed


class _Mover:
    def __init__(self, tree: Tree, state: RootState, wanted: WantedTree, *, with_owners: bool) -> None:
        self._tree = tree
        self._state = state
        self._wanted = wanted
        self._with_owners = with_owners
        self._folders: set[str] = set()  # that are there and need another mode, owner or time
        self._there: set[str] = set()  # folders that are there
        self._dressed: list[str] = []  # files and links that need another mode, owner or time only
        self.changed = 0

    # -- what goes

    def remove_unwanted(self, scope: Collection[str]) -> None:
        """Take away what must go; what differs in its mode, owner or time only is noted."""
        gone: set[str] = set()
        paths = self._state.paths
        for path in sorted(path for path in scope if path in paths or path in self._state.unknown):
            known = paths.get(path)
            if parent(path) in gone:
                gone.add(path)
                self._state.forget(path)
            elif not self._may_stay(path, known):
                gone.add(path)
                self._tree.remove(path)
                self.changed += 1
                self._state.forget(path)
                self._folders.add(parent(path))
        self._folders -= gone

    def _may_stay(self, path: str, known: Known | None) -> bool:
        new = self._wanted.entries.get(path)
        is_folder = known.entry.kind == "directory" if known is not None else self._state.unknown[path]
        if is_folder and new is not None and new.kind == "directory":
            self._there.add(path)
            if known is None or known.entry != new:
                self._folders.add(path)
            return True
        if known is None or new is None or not self._has_same_content(path, known.entry, new):
            return False
        if known.entry != new:
            self._dressed.append(path)
        return True

    def _has_same_content(self, path: str, old: TreeEntry, new: TreeEntry) -> bool:
        """Whether a file or link is what it should be, but for its mode, owner and time."""
        if (old.kind, old.size_bytes, old.link, old.group) != (new.kind, new.size_bytes, new.link, new.group):
            return False
        if old.content != new.content:
            if self._state.aliases.get(path) != new.content:
                return False
            self._state.aliases[path] = old.content
        return True

    # -- what comes

    def make_folders(self) -> None:
        """Make the folders that are missing, parents first, open to this process alone until they are finished."""
        for path, entry in self._wanted.entries.items():
            if entry.kind == "directory" and path not in self._there:
                folder, name = self._tree.at(path)
                os.mkdir(name, _FOLDER_MODE, dir_fd=folder)
                self._folders |= {path, parent(path)}

    def make_links(self) -> None:
        """Make the symbolic links that are missing."""
        for path, entry in self._wanted.entries.items():
            if entry.kind == "symlink" and path not in self._state.paths:
                folder, name = self._tree.at(path)
                os.symlink(entry.link, name, dir_fd=folder)
                self._dress(path, entry, "")
                self._folders.add(parent(path))

    def write_files(self) -> None:
        """Write the files that are missing, piece by piece, each piece read at most once."""
        missing: dict[str, dict[str, list[str]]] = {}
        for path, entry in self._wanted.entries.items():
            if entry.kind == "file" and path not in self._state.paths:
                key, _, place = entry.content.partition("/")
                missing.setdefault(key, {}).setdefault(place, []).append(path)
        for key, ranges in self._wanted.ranges.items():
            places = missing.get(key)
            if places is None:
                continue
            written: set[str] = set()
            for source in piece_entries(ranges, where=f"layer {key}"):
                targets = places.get(source.path)
                if targets is not None and self._is_meant(source, targets[0]):
                    self._write(targets[0], source, again=source.path in written)
                    written.add(source.path)
            lost = places.keys() - written
            if lost:
                raise ImageError(f"layer {key} does not hold /{min(lost)} as its table says")
            for targets in places.values():
                self._share(targets)

    def _is_meant(self, source: Entry, target: str) -> bool:
        """Whether an entry of a wanted path is the one that counts: an archive may hold a path twice."""
        return source.kind is EntryKind.FILE and source.size_bytes == self._wanted.entries[target].size_bytes

    def _write(self, path: str, source: Entry, *, again: bool) -> None:
        wanted = self._wanted.entries[path]
        folder, name = self._tree.at(path)
        if again:  # of a path that occurs twice the last counts
            os.unlink(name, dir_fd=folder)
            self._state.forget(path)
        digest = hashlib.blake2b(digest_size=CONTENT_DIGEST_BYTES)
        descriptor = os.open(name, _WRITE_FLAGS, wanted.mode & 0o777, dir_fd=folder)
        try:
            for chunk in source.chunks():
                digest.update(chunk)
                _write_all(descriptor, chunk)
            if source.attributes:
                self._state.attributes[path] = dict(source.attributes)
            self._finish_file(descriptor, path, wanted, digest.hexdigest())
        finally:
            os.close(descriptor)
        self._folders.add(parent(path))

    def _finish_file(self, descriptor: int, path: str, wanted: TreeEntry, digest: str) -> None:
        """Owner before mode (chown clears set-id bits), attributes after the owner (it clears capabilities)."""
        self.changed += 1
        status = os.fstat(descriptor)
        if self._with_owners and (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid):
            os.fchown(descriptor, wanted.uid, wanted.gid)
        if self._with_owners and path in self._state.attributes:
            _set_attributes(descriptor, self._state.attributes[path])
        if stat.S_IMODE(status.st_mode) != wanted.mode:
            os.fchmod(descriptor, wanted.mode)
        os.utime(descriptor, ns=(wanted.modified * 1_000_000_000,) * 2)
        born = 0 if self._with_owners else born_ns(descriptor)
        self._state.paths[path] = Known(wanted, stat_key(os.fstat(descriptor)), digest, born)

    def _share(self, targets: list[str]) -> None:
        """Make the hard links to the first of these paths."""
        if len(targets) == 1:
            return
        folder, name = self._tree.at(targets[0])
        folder = os.dup(folder)  # going to the others may close it
        try:
            for target in targets[1:]:
                into, other = self._tree.at(target)
                os.link(name, other, src_dir_fd=folder, dst_dir_fd=into, follow_symlinks=False)
                self._folders.add(parent(target))
                self.changed += 1
            first = self._state.paths[targets[0]]
            key = stat_key(os.stat(name, dir_fd=folder, follow_symlinks=False))  # the links have changed its ctime
        finally:
            os.close(folder)
        attributes = self._state.attributes.get(targets[0])
        for target in targets:
            self._state.paths[target] = Known(self._wanted.entries[target], key, first.digest, first.born_ns)
            if attributes is not None:
                self._state.attributes[target] = attributes

    # -- modes, owners and times

    def finish(self) -> None:
        """Give files that stayed, and then folders from the innermost on, what they should have."""
        for path in self._dressed:
            self._dress(path, self._wanted.entries[path], self._state.paths[path].digest)
        for path in self._dressed:  # again: what is done to one name of a file shows at its others
            known = self._state.paths[path]
            self._state.paths[path] = known._replace(key=stat_key(self._tree.status(path)))
        for path in sorted(self._folders - {""}, reverse=True):
            self._finish_folder(path, self._wanted.entries[path])
        self._finish_root()
        for path, status in self._tree.lock_again().items():  # folders that were only gone through
            self._state.paths[path] = self._state.paths[path]._replace(key=stat_key(status))

    def _dress(self, path: str, wanted: TreeEntry, digest: str) -> None:
        self.changed += 1
        folder, name = self._tree.at(path)
        if self._with_owners:
            os.chown(name, wanted.uid, wanted.gid, dir_fd=folder, follow_symlinks=False)
            if path in self._state.attributes:
                with self._tree.reading(path) as descriptor:
                    _set_attributes(descriptor, self._state.attributes[path])
        if wanted.kind != "symlink":
            self._tree.set_mode(path, wanted.mode)
            self._tree.opened.pop(path, None)
        os.utime(name, ns=(wanted.modified * 1_000_000_000,) * 2, dir_fd=folder, follow_symlinks=False)
        born = 0 if self._with_owners else born_ns(folder, name)
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        self._state.paths[path] = Known(wanted, stat_key(status), digest, born)

    def _finish_folder(self, path: str, wanted: TreeEntry) -> None:
        self.changed += 1
        descriptor = self._tree.folder(path)
        if self._with_owners:
            os.fchown(descriptor, wanted.uid, wanted.gid)
        os.fchmod(descriptor, wanted.mode)
        self._tree.opened.pop(path, None)
        os.utime(descriptor, ns=(wanted.modified * 1_000_000_000,) * 2)
        born = 0 if self._with_owners else born_ns(descriptor)
        self._state.paths[path] = Known(wanted, stat_key(os.fstat(descriptor)), "", born)

    def _finish_root(self) -> None:
        descriptor = self._tree.folder("")
        if self._with_owners:
            os.fchown(descriptor, 0, 0)
        os.fchmod(descriptor, _ROOT_MODE)
        os.utime(descriptor, (FIXED_TIME, FIXED_TIME))


def _write_all(descriptor: int, chunk: bytes | memoryview) -> None:
    written = os.write(descriptor, chunk)
    while written < len(chunk):
        written += os.write(descriptor, memoryview(chunk)[written:])


def _set_attributes(descriptor: int, attributes: Mapping[str, bytes]) -> None:
    for name, value in attributes.items():
        with suppress(OSError):  # not on this file system: the state holds it all the same
            os.setxattr(descriptor, name, value)
