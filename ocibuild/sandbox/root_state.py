"""What is known of a prepared root's tree: each path's entry, and the stat that tells when it was touched since."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ocibuild.core.atomic import replacing
from ocibuild.sandbox.wanted import TreeEntry

__all__ = ["Known", "RootState", "StatKey", "load_state", "save_state"]

_VERSION = 3


class StatKey(NamedTuple):
    """What changes when anybody touches a file: the kernel sets ``changed_ns``, and no program can set it back."""

    mode: int
    uid: int
    gid: int
    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int


class Known(NamedTuple):
    """A path that was written here: what it is, its stat since then, a file's digest and the inode's time of birth.

    ``born_ns`` is as in :data:`ocibuild.sandbox.execution.InodeKey`.
    """

    entry: TreeEntry
    key: StatKey
    digest: str
    born_ns: int


@dataclass(slots=True)
class RootState:
    """All that is known of a tree.

    ``chain`` names the chain of layers that it is, "" where it is none exactly. ``pieces`` are of the chain that it was
    last; ``lower`` and ``upper`` are as in :class:`~ocibuild.sandbox.wanted.WantedTree`, and ``deviating`` are the
    paths that are not as that chain says, with what it says (None: nothing).

    ``unknown`` are paths that are there and must go or be made anew, with whether they are folders (only the uppermost
    need be named). ``attributes`` are the extended attributes that layers give to files. ``aliases`` gives files
    another ``content`` that has the same bytes: of a file whose mode or owner a step changed, the one below the step's
    layer.
    """

    chain: str = ""
    pieces: tuple[str, ...] = ()
    paths: dict[str, Known] = field(default_factory=dict)
    unknown: dict[str, bool] = field(default_factory=dict)
    attributes: dict[str, dict[str, bytes]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    lower: int = 0
    upper: dict[str, TreeEntry | None] | None = None
    deviating: dict[str, TreeEntry | None] = field(default_factory=dict)

    def said(self, path: str) -> TreeEntry | None:
        """What the chain that the tree was last says of the path."""
        if path in self.deviating:
            return self.deviating[path]
        known = self.paths.get(path)
        return None if known is None else known.entry

    def forget(self, path: str) -> None:
        """Nothing is known of the path any more."""
        for table in (self.paths, self.attributes, self.aliases):
            table.pop(path, None)


def save_state(state: RootState, file: Path) -> None:
    """Write the state, whole or not at all: columns of JSON, since 60,000 paths must load in a fraction of a second."""
    shapes: dict[tuple[str, int, int, int, str], int] = {}
    rows, contents = [], {}
    for number, (path, known) in enumerate(state.paths.items()):
        entry = known.entry
        key, _, place = entry.content.partition("/")
        rows.append(shapes.setdefault((entry.kind, entry.mode, entry.uid, entry.gid, key), len(shapes)))
        if entry.content and place != path:
            contents[number] = place
    facts = [known.entry for known in state.paths.values()]
    value = {
        "version": _VERSION,
        "chain": state.chain,
        "pieces": state.pieces,
        "shapes": list(shapes),
        "paths": list(state.paths),
        "rows": rows,
        "contents": contents,
        "sizes": [entry.size_bytes for entry in facts],
        "times": [entry.modified for entry in facts],
        "links": {number: entry.link for number, entry in enumerate(facts) if entry.link},
        "groups": {number: entry.group for number, entry in enumerate(facts) if entry.group},
        "keys": [known.key for known in state.paths.values()],
        "digests": [known.digest for known in state.paths.values()],
        "born": [known.born_ns for known in state.paths.values()],
        "unknown": state.unknown,
        "attributes": {
            path: {name: b64encode(data).decode() for name, data in attributes.items()}
            for path, attributes in state.attributes.items()
        },
        "aliases": state.aliases,
        "lower": state.lower,
        "upper": state.upper,
        "deviating": state.deviating,
    }
    with replacing(file) as stream:
        stream.write(json.dumps(value, separators=(",", ":")).encode("ascii"))


def load_state(file: Path) -> RootState | None:
    """The state in this file; None where there is none, or a damaged one: nothing is known of the tree then."""
    try:
        value = json.loads(file.read_bytes())
        return _state(value) if value["version"] == _VERSION else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _state(value: Mapping[str, Any]) -> RootState:
    shapes = value["shapes"]
    contents, links, groups = value["contents"], value["links"], value["groups"]
    paths: dict[str, Known] = {}
    new = tuple.__new__
    columns = zip(
        value["paths"],
        value["rows"],
        value["sizes"],
        value["times"],
        value["keys"],
        value["digests"],
        value["born"],
        strict=True,
    )
    for number, (path, row, size_bytes, modified, stat_key, digest, born_ns) in enumerate(columns):
        kind, mode, uid, gid, key = shapes[row]
        at = str(number)
        content = f"{key}/{contents.get(at, path)}" if kind == "file" else ""
        link, group = links.get(at, ""), groups.get(at, "")
        # As in stat_key: the constructors of named tuples would take half of the time.
        entry = new(TreeEntry, (kind, mode, uid, gid, size_bytes, link, modified, content, group))
        paths[path] = new(Known, (entry, new(StatKey, stat_key), digest, born_ns))
    return RootState(
        value["chain"],
        tuple(value["pieces"]),
        paths,
        dict(value["unknown"]),
        {
            path: {name: b64decode(text) for name, text in attributes.items()}
            for path, attributes in value["attributes"].items()
        },
        dict(value["aliases"]),
        value["lower"],
        None if value["upper"] is None else _said(value["upper"]),
        _said(value["deviating"]),
    )


def _said(value: Mapping[str, Any]) -> dict[str, TreeEntry | None]:
    return {path: None if entry is None else TreeEntry(*entry) for path, entry in value.items()}
