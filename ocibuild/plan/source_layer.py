"""The entries of files that come from this machine: the repository itself, and layers of the catalogue."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.digest import Digest
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.fragment import fragment_key
from ocibuild.source.tree import SourceFile, SourceTree

__all__ = ["TreePlace", "tree_entries", "tree_key"]

_VERSION = "tree 1"


@dataclass(frozen=True, slots=True)
class TreePlace:
    """Where a tree goes in the image (no leading slash, ``""`` for the root), who owns it, and its files' time."""

    path: str
    uid: int = 0
    gid: int = 0
    modified: int = FIXED_TIME


def tree_key(tree: SourceTree, place: TreePlace) -> str:
    """The key of the fragment that :func:`tree_entries` makes."""
    context = json.dumps([place.path, place.uid, place.gid, place.modified]).encode()
    return fragment_key(Digest.of(str(tree.digest).encode()), context=context, placing_version=_VERSION)


def tree_entries(tree: SourceTree, place: TreePlace) -> Iterator[Entry]:
    """The tree's entries, the folder it goes to first. Modes are 0644 and 0755; links keep their text."""
    if place.path:
        yield Entry(place.path, EntryKind.DIRECTORY, 0o755, place.uid, place.gid, modified=place.modified)
    for file in tree.files:
        yield _entry(file, f"{place.path}/{file.path}" if place.path else file.path, tree, place)


def _entry(file: SourceFile, path: str, tree: SourceTree, place: TreePlace) -> Entry:
    kind = EntryKind.SYMLINK if file.link is not None else EntryKind.DIRECTORY if file.is_folder else EntryKind.FILE
    mode = 0o777 if kind is EntryKind.SYMLINK else 0o755 if file.is_executable or file.is_folder else 0o644
    return Entry(
        path,
        kind,
        mode,
        place.uid,
        place.gid,
        file.size_bytes if kind is EntryKind.FILE else 0,
        file.link or "",
        partial(tree.stream, file) if kind is EntryKind.FILE else b"",
        place.modified,
    )
