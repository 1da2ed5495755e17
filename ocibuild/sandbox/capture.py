"""A step's change as a tar stream: what its layer is made of."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.paths import parent
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries
from ocibuild.layer.tar import write_entries
from ocibuild.sandbox.birth import born_ns
from ocibuild.sandbox.bytecode import HEADER_BYTES, source_path, with_source_time
from ocibuild.sandbox.changes import Changed, ChangeFinder
from ocibuild.sandbox.execution import Identity
from ocibuild.sandbox.ownership import Ownership, StepJournal
from ocibuild.sandbox.permission import refuse_forbidden
from ocibuild.sandbox.root_state import Known, RootState
from ocibuild.sandbox.scan import stat_key
from ocibuild.sandbox.selection import CaptureRules, LeftOut, Selection, select
from ocibuild.sandbox.survey import NO_TIME, Survey
from ocibuild.sandbox.tree import Tree
from ocibuild.sandbox.tree_writer import CONTENT_DIGEST_BYTES
from ocibuild.sandbox.wanted import TreeEntry, group_of

__all__ = ["CapturedChange", "capture_change"]

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CapturedChange:
    """What a step changed. ``tar`` is a file with the plain tar stream, gone when the root is given back.

    The stream has whiteouts first, then every changed path and the folders above it, parents before what is in them;
    no end of archive. ``digest`` is its SHA-256 in hexadecimal: the same change gives the same bytes. ``count`` is the
    number of its entries. ``left_out`` is what was not taken and why, ``special`` are devices, fifos and sockets.
    """

    tar: Path
    digest: str
    size_bytes: int
    count: int
    left_out: tuple[LeftOut, ...]
    special: tuple[str, ...]

    def entries(self) -> Iterator[Entry]:
        """The entries, read from the file."""
        with self.tar.open("rb") as stream:
            yield from read_entries(stream, where="the change of a step")


def capture_change(
    tree: Tree,
    survey: Survey,
    file: Path,
    *,
    journal: StepJournal,
    identity: Identity,
    rules: CaptureRules,
) -> tuple[CapturedChange, RootState]:
    """Write what a step changed to ``file``, and return it with what is known of the tree after it.

    In that state the captured files are known as those of a piece with the tar's digest as its key. A BuildError where
    the step's user was not allowed what it did, or left what no layer can hold.
    """
    ownership = Ownership(survey, tree, identity=identity, journal=journal)
    finder = ChangeFinder(survey, tree, ownership, journal.attributes)
    selection = select(survey, finder.changes(), rules)
    refuse_forbidden(survey, selection.changes, ownership, identity)
    writer = _ChangeWriter(tree, survey, finder, selection, rules.modified)
    digest, size_bytes = hashlib.sha256(), 0
    with file.open("wb") as stream:
        for chunk in write_entries(writer.entries()):
            digest.update(chunk)
            size_bytes += len(chunk)
            stream.write(chunk)
    captured = CapturedChange(file, digest.hexdigest(), size_bytes, writer.count, selection.left_out, selection.special)
    return captured, writer.state(captured.digest)


class _ChangeWriter:
    def __init__(self, tree: Tree, survey: Survey, finder: ChangeFinder, selection: Selection, modified: int) -> None:
        self._tree = tree
        self._survey = survey
        self._finder = finder
        self._removed = selection.changes.removed
        self._modified = modified
        self._chosen = _with_company(selection, finder)
        self._written: dict[str, str] = {}  # path -> the digest of its content as it lies in the tree
        self._altered: set[str] = set()  # whose content in the layer is another than in the tree
        self.count = 0

    def entries(self) -> Iterator[Entry]:
        """Whiteouts, then what is there, in the order of the paths: a folder before what is in it."""
        for path in self._removed:
            self.count += 1
            yield Entry.whiteout(path)
        for path, change in sorted(self._chosen.items()):
            self.count += 1
            yield self._entry(path, change)

    def _entry(self, path: str, change: Changed) -> Entry:
        first = self._names(path, change)[0]
        kind = EntryKind(change.kind)
        is_shared = kind is EntryKind.FILE and first != path
        is_file = kind is EntryKind.FILE and not is_shared
        return Entry(
            path,
            EntryKind.HARDLINK if is_shared else kind,
            change.mode,
            change.uid,
            change.gid,
            change.size_bytes if is_file else 0,
            first if is_shared else change.link,
            (lambda: self._content(path)) if is_file else b"",
            self._time(change),
            change.attributes if is_file else {},
        )

    def _names(self, path: str, change: Changed) -> tuple[str, ...]:
        """The paths of a file that are in the layer, sorted."""
        return tuple(name for name in change.names if name in self._chosen) or (path,)

    def _time(self, change: Changed) -> int:
        return self._modified if change.modified is None else change.modified

    def _content(self, path: str) -> Iterator[bytes]:
        digest = hashlib.blake2b(digest_size=CONTENT_DIGEST_BYTES)
        with self._tree.reading(path) as descriptor:
            head = os.read(descriptor, HEADER_BYTES)
            digest.update(head)
            ours = self._bytecode_header(path, head)
            if ours != head:
                self._altered.add(path)
            yield ours
            while chunk := os.read(descriptor, _READ_BYTES):
                digest.update(chunk)
                yield chunk
        self._written[path] = digest.hexdigest()

    def _bytecode_header(self, path: str, head: bytes) -> bytes:
        source = source_path(path)
        if source is None or source not in self._survey.disk:
            return head
        key = self._survey.disk[source]
        return with_source_time(
            head,
            source_seconds=key.modified_ns // 1_000_000_000,
            source_size_bytes=key.size_bytes,
            modified=self._time(self._finder.change(source)),
        )

    def state(self, piece: str) -> RootState:
        """What is known of the tree now: what was captured is the content of a piece with this key."""
        state = self._survey.state()
        for path, change in self._chosen.items():
            known = self._known(path, change, piece)
            state.deviating.setdefault(path, self._survey.before.said(path))
            if known is not None:
                if change.kind == "file" and change.modified is not None and "attributes" not in change.differs:
                    state.aliases[path] = self._survey.before.paths[path].entry.content
                state.paths[path] = known
                state.unknown.pop(path, None)
                if change.attributes:
                    state.attributes[path] = dict(change.attributes)
        for path, status in self._tree.lock_again().items():
            if path in state.paths:
                state.paths[path] = state.paths[path]._replace(key=stat_key(status))
        return state

    def _known(self, path: str, change: Changed, piece: str) -> Known | None:
        names = self._names(path, change)
        digest = ""
        if change.kind == "file":
            if names[0] in self._altered:
                return None
            digest = self._written[names[0]]
        folder, name = self._tree.at(path)
        entry = TreeEntry(
            change.kind,
            change.mode,
            change.uid,
            change.gid,
            change.size_bytes,
            change.link,
            NO_TIME,
            f"{piece}/{names[0]}" if change.kind == "file" else "",
            group_of(names),
        )
        born = 0 if self._survey.with_owners else born_ns(folder, name)
        return Known(entry, self._survey.disk[path], digest, born)


def _with_company(selection: Selection, finder: ChangeFinder) -> dict[str, Changed]:
    """The changes with what must be beside them: the other names of their files, and the folders above them."""
    changes = selection.changes
    chosen = dict(changes.changed)
    for change in changes.changed.values():
        for name in change.names:
            if name not in selection.refused:
                chosen.setdefault(name, finder.change(name))
    for path in (*list(chosen), *changes.removed):
        folder = parent(path)
        while folder and folder not in chosen:
            chosen[folder] = finder.change(folder)
            folder = parent(folder)
    return chosen
