"""The rules that the entries of one layer must keep, over the layers below it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ocibuild.core.paths import ancestors, parent
from ocibuild.image.finding import Finding, Severity
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.layer.entry import WHITEOUT_PREFIX, Entry, EntryKind

__all__ = ["LayerRules"]

_LONGEST_NAME_BYTES = 255  # NAME_MAX of Linux' file systems
_LONGEST_PATH_BYTES = 4095  # PATH_MAX, without its NUL
_MOST_FINDINGS = 10
"""Of one kind in one layer: ten paths show what is wrong, ten thousand hide it."""

_OPAQUE = WHITEOUT_PREFIX + WHITEOUT_PREFIX + ".opq"


@dataclass(slots=True)
class LayerRules:
    """Takes a layer's entries in order; :meth:`findings` judges them together when the layer has ended.

    ``below`` is the file system that the layers below make, ``where`` names the layer in findings.
    """

    where: str
    below: View
    _entries: dict[str, ViewEntry] = field(default_factory=dict)
    _found: list[Finding] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Judge what can be judged from the entry and those before it, and remember it."""
        path = entry.path
        if path in self._entries:
            self._find(Severity.WARNING, "occurs twice in the layer", path)
        if entry.kind is EntryKind.HARDLINK:
            self._check_hard_link(entry)
        self._check_lengths(path)
        if entry.path.rpartition("/")[2].startswith(WHITEOUT_PREFIX) and (
            entry.kind is not EntryKind.FILE or entry.size_bytes
        ):
            self._find(Severity.WARNING, "is a whiteout, but not an empty file", path)
        self._entries[path] = ViewEntry(entry.kind.value, entry.mode, entry.uid, entry.gid, 0, entry.link)

    def findings(self) -> list[Finding]:
        """All that is wrong with the layer; of each kind the first ten, and how many more there are."""
        self._check_whiteouts()
        self._check_parents()
        for what, count in self._counts.items():
            if count > _MOST_FINDINGS:
                self._found.append(
                    Finding(Severity.WARNING, self.where, f"{count - _MOST_FINDINGS} more paths: ... {what}")
                )
        return self._found

    def view(self) -> View:
        """The file system with this layer on top."""
        return self.below.extended((LayerTable(self._entries),))

    def _find(self, severity: Severity, what: str, path: str, *, detail: str = "") -> None:
        self._counts[what] = self._counts.get(what, 0) + 1
        if self._counts[what] <= _MOST_FINDINGS:
            self._found.append(Finding(severity, self.where, f"/{path} {what}{detail}"))

    def _check_lengths(self, path: str) -> None:
        data = path.encode("utf-8", "surrogateescape")
        if len(data) > _LONGEST_PATH_BYTES or any(len(part) > _LONGEST_NAME_BYTES for part in data.split(b"/")):
            self._find(Severity.ERROR, "is longer than Linux' file systems allow", path)

    def _check_hard_link(self, entry: Entry) -> None:
        """A hard link names an entry before it, which is no folder (layer.md, "Hard links"; POSIX, link())."""
        target = self._entries.get(entry.link)
        if target is None:
            self._find(Severity.ERROR, "is a hard link to what the layer does not hold before it", entry.path)
        elif target.kind == "directory":
            self._find(Severity.ERROR, "is a hard link to a folder", entry.path)
        elif (target.mode, target.uid, target.gid) != (entry.mode, entry.uid, entry.gid):
            # docker and podman give the file what the link's header says, umoci what the file's own says
            self._find(Severity.WARNING, "is a hard link with another mode or owner than its file", entry.path)

    def _check_whiteouts(self) -> None:
        for path in _late_opaques(self._entries):
            self._find(Severity.WARNING, "comes after entries of its folder, which podman drops then", path)
        for path, folder, name in _whiteouts(self._entries):
            if name == _OPAQUE:
                continue
            hidden = name.removeprefix(WHITEOUT_PREFIX)
            hides = f"{folder}/{hidden}" if folder else hidden
            if not hidden or hidden in (".", "..") or hidden.startswith(WHITEOUT_PREFIX):
                self._find(Severity.WARNING, "is a whiteout of an unknown form", path)
            elif hides in self._entries:
                # overlay file systems hold both under one name, so one of them is lost
                self._find(Severity.ERROR, "is a whiteout of what the same layer holds", path)
            elif hides not in self.below:
                self._find(Severity.WARNING, "is a whiteout of what no layer below holds", path)

    def _check_parents(self) -> None:
        """Nothing lies behind a link or below a file.

        Where a lower layer has ``lib -> usr/lib``, an entry ``lib/x`` makes podman replace the link by a folder, since
        it unpacks each layer on its own, while docker follows the link.
        """
        judged: dict[str, tuple[str, str] | None] = {}
        for path in self._entries:
            folder = parent(path)
            if folder not in judged:
                judged[folder] = self._bad_parent(folder)
            bad = judged[folder]
            if bad is not None:
                above, kind = bad
                self._find(Severity.ERROR, f"lies below a {kind}", path, detail=f": /{above}")

    def _bad_parent(self, folder: str) -> tuple[str, str] | None:
        for above in [*ancestors(folder), folder] if folder else ():
            entry = self._entries.get(above) or self.below.get(above)
            if entry is not None and entry.kind != "directory":
                return above, {"symlink": "symbolic link"}.get(entry.kind, entry.kind)
        return None


def _whiteouts(entries: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for path in entries:
        folder, _, name = path.rpartition("/")
        if name.startswith(WHITEOUT_PREFIX):
            yield path, folder, name


def _late_opaques(entries: Iterable[str]) -> Iterator[str]:
    """Opaque whiteouts behind an entry of the folder that they empty; by layer.md their place does not matter."""
    folders: set[str] = set()
    for path in entries:
        folder, _, name = path.rpartition("/")
        if name == _OPAQUE and folder in folders:
            yield path
        while folder and folder not in folders:
            folders.add(folder)
            folder = parent(folder)
