"""The file system that a stack of layers makes, as a table."""

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import ImageError
from ocibuild.core.paths import ancestors, relative_link
from ocibuild.layer.entry import WHITEOUT_PREFIX

__all__ = ["LayerTable", "View", "ViewEntry"]

_MOST_LINKS = 40  # the kernel's own limit on links followed in one path (path_resolution(7))
_OPAQUE = WHITEOUT_PREFIX + WHITEOUT_PREFIX + ".opq"


@dataclass(frozen=True, slots=True)
class ViewEntry:
    """What a path is. ``kind`` is an EntryKind's text, or ``other`` for devices, fifos and sockets.

    A hard link is listed as ``hardlink`` with the path it shares in ``link``, and the mode, owner and time of its
    target. ``layer`` names the layer that holds the content: a blob's or fragment's key. ``modified`` is in seconds
    since the epoch.
    """

    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    size_bytes: int = 0
    link: str = ""
    layer: str = ""
    modified: int = FIXED_TIME


@dataclass(frozen=True, slots=True)
class LayerTable:
    """What one layer or package holds: its entries in archive order (whiteouts included) and what was observed.

    ``libraries`` maps a shared library's path to the JSON text of what ldconfig reads of it
    (:mod:`ocibuild.layer.observation`).
    """

    entries: Mapping[str, ViewEntry]
    kept: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    libraries: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


ReadContent = Callable[[str, ViewEntry], bytes]
"""Gives the bytes of a file that was not kept: the path and its entry -> content."""


def _cannot_read(path: str, entry: ViewEntry) -> bytes:
    raise ImageError(f"the content of /{path} was not kept when layer {entry.layer or '?'} was read")


class View:
    """The merged table of a stack of layers. Immutable: :meth:`extended` gives a new one.

    Paths are as in :mod:`ocibuild.core.paths`. No entry's parent is a symbolic link: what a layer puts behind a link
    is listed where the kernel would have put it. The root itself is not listed and is a folder.
    """

    def __init__(
        self,
        entries: Mapping[str, ViewEntry] = MappingProxyType({}),
        *,
        kept: Mapping[str, bytes] = MappingProxyType({}),
        libraries: Mapping[str, str] = MappingProxyType({}),
        read_content: ReadContent = _cannot_read,
    ) -> None:
        self._entries = dict(entries)
        self._kept = dict(kept)
        self._libraries = dict(libraries)
        self._read_content = read_content
        self._children: dict[str, set[str]] | None = None
        # Folder -> where it is, links followed. There are ten times as many paths as folders.
        self._homes: dict[str, str] = {}

    def extended(self, tables: Iterable[LayerTable], *, read_content: ReadContent | None = None) -> "View":
        """The view with these layers on top, the last one uppermost; whiteouts are applied (layer.md, "Whiteouts")."""
        view = View(
            self._entries,
            kept=self._kept,
            libraries=self._libraries,
            read_content=read_content or self._read_content,
        )
        for table in tables:
            view._apply(table)
        return view

    def _apply(self, table: LayerTable) -> None:
        # Whiteouts hide what lower layers hold, wherever they stand in the archive: apply them all first.
        whiteouts = {path for path in table.entries if path.rpartition("/")[2].startswith(WHITEOUT_PREFIX)}
        if whiteouts:
            self._hide(whiteouts)
        self._homes.clear()
        for path, entry in table.entries.items():
            if path not in whiteouts and self._apply_entry(path, entry, table):
                self._homes.clear()
        self._homes.clear()
        self._children = None

    def _hide(self, whiteouts: Iterable[str]) -> None:
        hidden: set[str] = set()
        emptied: set[str] = set()
        for path in whiteouts:
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                emptied.add(self._home(folder))
            else:
                hidden.add(self.canonical(f"{folder}/{name[len(WHITEOUT_PREFIX) :]}".lstrip("/")))
        emptied |= {path for path in hidden if path in self._entries and self._entries[path].kind == "directory"}
        doomed = [path for path in hidden if path in self._entries]
        if emptied:  # one pass for all: a layer may hide thousands of folders
            doomed += [
                path for path in self._entries if "" in emptied or any(above in emptied for above in ancestors(path))
            ]
        for path in doomed:
            for table in (self._entries, self._kept, self._libraries):
                table.pop(path, None)

    def _apply_entry(self, path: str, entry: ViewEntry, table: LayerTable) -> bool:
        """Put the entry where it belongs; True where folders may be elsewhere now."""
        folder, _, name = path.rpartition("/")
        home = self._homes.get(folder)
        if home is None:
            home = self._home(folder)
            for above in [*ancestors(home), home] if home else ():
                if above not in self._entries:  # an archive that omits a parent: runtimes create it so
                    self._entries[above] = ViewEntry("directory", 0o755)
        where = path if home == folder else f"{home}/{name}" if home else name
        old = self._entries.get(where)
        if old is not None:
            if old.kind == "directory" and entry.kind != "directory":
                self._remove(where)
            self._kept.pop(where, None)
            self._libraries.pop(where, None)
        self._entries[where] = entry
        if path in table.kept:
            self._kept[where] = table.kept[path]
        if path in table.libraries:
            self._libraries[where] = table.libraries[path]
        return old is not None and (old.kind, old.link) != (entry.kind, entry.link)

    def _home(self, folder: str) -> str:
        """The canonical path of the folder that ``folder`` names, its last part followed too."""
        home = self._homes.get(folder)
        if home is None:
            home = self._homes[folder] = self._followed(folder) if folder else ""
        return home

    def _put(self, path: str, entry: ViewEntry) -> None:
        old = self._entries.get(path)
        if "symlink" in (entry.kind, old and old.kind):
            self._homes.clear()
        self._entries[path] = entry
        self._kept.pop(path, None)
        self._libraries.pop(path, None)
        if self._children is not None:
            folder, _, last = path.rpartition("/")
            self._children.setdefault(folder, set()).add(last)

    def _remove(self, path: str) -> None:
        """Forget the path and all below it; what is left of the table of children stays right."""
        entry = self._entries.get(path)
        if entry is not None and entry.kind == "directory":
            for below in self._below(path):
                self._forget(below)
        self._forget(path)

    def _forget(self, path: str) -> None:
        entry = self._entries.get(path)
        if entry is not None and entry.kind == "symlink":
            self._homes.clear()
        for table in (self._entries, self._kept, self._libraries):
            table.pop(path, None)
        if self._children is not None:
            folder, _, last = path.rpartition("/")
            self._children.get(folder, set()).discard(last)
            self._children.pop(path, None)

    def _below(self, path: str) -> list[str]:
        """All paths below a folder, found without looking at every path where the table of children is there."""
        if self._children is None:
            return [name for name in self._entries if name.startswith(f"{path}/")]
        found = [f"{path}/{name}" for name in self._children.get(path, ())]
        return [*found, *(below for name in found for below in self._below(name))]

    @property
    def read_content(self) -> ReadContent:
        """The reader of files that were not kept."""
        return self._read_content

    def canonical(self, path: str) -> str:
        """``path`` with every parent that is a symbolic link replaced by what it names; the last part is kept.

        Parents that do not exist stay as they are. More than 40 links is an ImageError, as it is the kernel's ELOOP.
        """
        folder, slash, name = path.rpartition("/")
        if not slash:
            return path
        home = self._home(folder)
        return f"{home}/{name}" if home else name

    def _followed(self, path: str) -> str:
        done = ""
        rest = path.split("/")
        followed = 0
        while rest:
            part = rest.pop(0)
            here = f"{done}/{part}" if done else part
            entry = self._entries.get(here)
            if entry is None or entry.kind != "symlink":
                done = here
                continue
            followed += 1
            if followed > _MOST_LINKS:
                raise ImageError(f"too many symbolic links at /{path}")
            target = relative_link(here, entry.link)
            rest = [*target.split("/"), *rest] if target else rest
            done = ""
        return done

    def resolved(self, path: str) -> str:
        """The canonical path that ``path`` names when its last part is followed too, existing or not."""
        here = self.canonical(path)
        for _ in range(_MOST_LINKS):
            entry = self._entries.get(here)
            if entry is None or entry.kind != "symlink":
                return here
            here = self.canonical(relative_link(here, entry.link))
        raise ImageError(f"too many symbolic links at /{path}")

    def get(self, path: str) -> ViewEntry | None:
        """The entry at ``path`` (its parents followed, itself not), or None."""
        return self._entries.get(self.canonical(path))

    def __contains__(self, path: str) -> bool:
        return self.canonical(path) in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def items(self) -> ItemsView[str, ViewEntry]:
        """Every canonical path with its entry, in no order."""
        return self._entries.items()

    def __len__(self) -> int:
        return len(self._entries)

    def children(self, path: str) -> list[str]:
        """The names in the folder ``path`` (``""`` is the root), sorted; nothing where it is no folder."""
        if self._children is None:
            self._children = {}
            for name in self._entries:
                folder, _, last = name.rpartition("/")
                self._children.setdefault(folder, set()).add(last)
        return sorted(self._children.get(self.resolved(path) if path else "", ()))

    def read(self, path: str) -> bytes:
        """The bytes of the regular file that ``path`` names, links followed.

        A kept file costs nothing; for another the view's reader is asked, which may read a whole layer. An ImageError
        where there is no such file.
        """
        where = self.resolved(path)
        entry = self._entries.get(where)
        if entry is not None and entry.kind == "hardlink":
            where = self.canonical(entry.link)
            entry = self._entries.get(where)
        if entry is None or entry.kind != "file":
            raise ImageError(f"/{path} is no file in the image")
        kept = self._kept.get(where)
        return self._read_content(where, entry) if kept is None else kept

    def read_if_there(self, path: str) -> bytes | None:
        """As :meth:`read`; None where nothing is at the path."""
        return self.read(path) if path in self else None

    def library(self, path: str) -> str | None:
        """What ldconfig reads of the shared library at ``path`` (JSON text), or None where it is none."""
        return self._libraries.get(self.resolved(path))
