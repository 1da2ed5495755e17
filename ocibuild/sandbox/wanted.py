"""What a root must hold to be a chain of layers: the merged table of the chain, path by path."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ocibuild.core.errors import ImageError
from ocibuild.core.paths import parent
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.layer.entry import WHITEOUT_PREFIX
from ocibuild.sandbox.chain import BlobRange, Chain, Piece

__all__ = ["TreeEntry", "WantedTree", "group_of", "plain_paths", "tree_entry", "wanted_tree"]


class TreeEntry(NamedTuple):
    """What a path of a root is: equal entries are the same file for every program that looks.

    ``kind`` is ``file``, ``directory`` or ``symlink``. ``content`` is a file's piece and its path in that piece, as
    ``KEY/PATH``. ``group`` is empty, or stands for the set of paths that share the file as hard links.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    size_bytes: int
    link: str
    modified: int
    content: str
    group: str


@dataclass(frozen=True, slots=True)
class WantedTree:
    """The entries by path, every parent among them a folder, and where each piece's bytes are.

    ``key`` and ``pieces`` are those of the chain, the first ``lower`` of which seldom change. ``upper`` are the paths
    that the others name, with what the lower ones say of each (None: nothing). It is None itself where the upper pieces
    do more than to add or replace what they name.
    """

    key: str
    pieces: tuple[str, ...]
    entries: Mapping[str, TreeEntry]
    ranges: Mapping[str, tuple[BlobRange, ...]]
    lower: int = 0
    upper: Mapping[str, TreeEntry | None] | None = None


def wanted_tree(chain: Chain) -> WantedTree:
    """Merge the chain's tables as :class:`~ocibuild.image.view.View` does. Devices and the like are left out.

    An ImageError for a hard link to nothing, and for what lies below something that is no folder.
    """
    pieces, lower = chain.all_pieces(), len(chain.lower.keys)
    below = View().extended(_with_origins(pieces, number) for number in range(lower))
    view = below.extended(_with_origins(pieces, number) for number in range(lower, len(pieces)))
    groups = _groups(view)
    merged = dict(view.items())
    entries: dict[str, TreeEntry] = {}
    for path, entry in sorted(merged.items()):
        folder = parent(path)
        if folder and merged[folder].kind != "directory":
            raise ImageError(f"/{path} lies below /{folder}, which is no folder")
        if entry.kind != "other":
            entries[path] = tree_entry(entry, groups.get(entry.layer, ""))
    ranges: dict[str, tuple[BlobRange, ...]] = {}
    for piece in pieces:
        ranges.setdefault(piece.key, piece.ranges)
    return WantedTree(chain.key, chain.keys, entries, ranges, lower, _upper(chain.pieces, below, entries))


def _upper(
    pieces: Sequence[Piece], below: View, entries: Mapping[str, TreeEntry]
) -> dict[str, TreeEntry | None] | None:
    paths = plain_paths(pieces)
    if paths is None or not paths <= entries.keys():  # what is put behind a link is elsewhere
        return None
    groups = _groups(below) if any(path in below for path in paths) else {}
    found: dict[str, TreeEntry | None] = {}
    for path in paths:
        entry = below.get(path)
        found[path] = None if entry is None else tree_entry(entry, groups.get(entry.layer, ""))
    return found


def plain_paths(pieces: Iterable[Piece]) -> frozenset[str] | None:
    """The paths that these pieces name; None where they hide something, share files or hold devices."""
    paths = set()
    for piece in pieces:
        for path, entry in piece.table.entries.items():
            if entry.kind in ("hardlink", "other") or path.rpartition("/")[2].startswith(WHITEOUT_PREFIX):
                return None
            paths.add(path)
    return frozenset(paths)


def group_of(paths: Sequence[str]) -> str:
    """What stands for a set of paths, given sorted, that are one file; "" for a single one or none."""
    text = "\0".join(paths).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32] if len(paths) > 1 else ""


def tree_entry(entry: ViewEntry, group: str) -> TreeEntry:
    """What a path is by a view's entry, whose ``layer`` is ``KEY/PATH``."""
    is_file = entry.kind == "file"
    return TreeEntry(
        entry.kind,
        0o777 if entry.kind == "symlink" else entry.mode,
        entry.uid,
        entry.gid,
        entry.size_bytes if is_file else 0,
        entry.link if entry.kind == "symlink" else "",
        entry.modified,
        entry.layer if is_file else "",
        group if is_file else "",
    )


def _with_origins(pieces: Sequence[Piece], number: int) -> LayerTable:
    """The piece's table with ``KEY/PATH`` in place of the layer, and hard links replaced by what they share.

    A later layer may replace a hard link's target, or the folder links that lead to it; the origin stays right.
    """
    piece = pieces[number]
    entries = {}
    for path, entry in piece.table.entries.items():
        origin, shared = f"{piece.key}/{path}", entry
        if entry.kind == "hardlink" and not path.rpartition("/")[2].startswith(WHITEOUT_PREFIX):
            origin, shared = _shared(pieces, number, entry.link)
        entries[path] = ViewEntry(
            shared.kind,
            shared.mode,
            shared.uid,
            shared.gid,
            shared.size_bytes,
            shared.link,
            origin,
            shared.modified,
        )
    return LayerTable(entries)


def _shared(pieces: Sequence[Piece], number: int, link: str) -> tuple[str, ViewEntry]:
    """The origin and entry of what a hard link of a piece names: in the piece itself, or in one below."""
    for piece in reversed(pieces[: number + 1]):
        followed = 0
        while (entry := piece.table.entries.get(link)) is not None and followed <= len(piece.table.entries):
            if entry.kind != "hardlink":
                if entry.kind == "directory":
                    break
                return f"{piece.key}/{link}", entry
            link, followed = entry.link, followed + 1
    raise ImageError(f"a hard link to /{link}, which is no file of the image")


def _groups(view: View) -> dict[str, str]:
    """Origin of a file -> what stands for the set of its paths, where there are several."""
    paths: dict[str, list[str]] = {}
    for path, entry in view.items():
        if entry.kind == "file":
            paths.setdefault(entry.layer, []).append(path)
    return {origin: group_of(sorted(members)) for origin, members in paths.items() if len(members) > 1}
