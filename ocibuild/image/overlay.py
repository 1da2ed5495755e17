"""A writable file system in memory on top of a view: where changes that a program would make are made as data."""

from collections.abc import Iterator

from ocibuild.core.errors import ImageError
from ocibuild.core.paths import ancestors
from ocibuild.image.view import View, ViewEntry
from ocibuild.layer.entry import Entry, EntryKind

__all__ = ["Overlay"]


class Overlay:
    """Reads fall through to the view; writes are collected and come out of :meth:`changes` as entries.

    Paths follow links as the kernel would: parents always, the last part in :meth:`read`, :meth:`children` and
    :meth:`write`. What is written must have a folder to lie in, or ``make_folders`` creates it.
    """

    def __init__(self, view: View) -> None:
        self._lower = view
        self._view = view.extended(())
        self._written: dict[str, Entry] = {}
        self._contents: dict[str, bytes] = {}
        self._removed: set[str] = set()

    def canonical(self, path: str) -> str:
        """See :meth:`View.canonical`."""
        return self._view.canonical(path)

    def resolved(self, path: str) -> str:
        """See :meth:`View.resolved`."""
        return self._view.resolved(path)

    def get(self, path: str) -> ViewEntry | None:
        """The entry at ``path`` (its parents followed, itself not), or None."""
        return self._view.get(path)

    def __contains__(self, path: str) -> bool:
        return path in self._view

    def is_folder(self, path: str) -> bool:
        """Whether ``path`` names a folder, links followed."""
        entry = self._view.get(self._view.resolved(path)) if path else None
        return not path or (entry is not None and entry.kind == "directory")

    def is_file(self, path: str) -> bool:
        """Whether ``path`` names a regular file, links followed."""
        entry = self._view.get(self._view.resolved(path))
        return entry is not None and entry.kind in ("file", "hardlink")

    def children(self, path: str) -> list[str]:
        """The names in the folder, sorted; nothing where it is no folder."""
        return self._view.children(path)

    def walk(self, path: str) -> Iterator[str]:
        """Every path below the folder, depth first, names sorted; links are named, not followed."""
        for name in self.children(path):
            below = f"{path}/{name}" if path else name
            yield below
            entry = self.get(below)
            if entry is not None and entry.kind == "directory":
                yield from self.walk(below)

    def read(self, path: str) -> bytes:
        """The bytes of the file that ``path`` names, links followed; an ImageError where there is none."""
        where = self._view.resolved(path)
        if where in self._contents:
            return self._contents[where]
        return self._view.read(path)

    def read_text(self, path: str, default: str | None = None) -> str:
        """The file as UTF-8 text, odd bytes kept as surrogates; ``default`` where there is no file and one is given."""
        if default is not None and not self.is_file(path):
            return default
        return self.read(path).decode("utf-8", "surrogateescape")

    def library(self, path: str) -> str | None:
        """See :meth:`View.library`."""
        return self._view.library(path)

    def write(
        self,
        path: str,
        content: bytes | str,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        """Make ``path`` a regular file of these bytes, through a link where there is one.

        Mode and owner not given stay as they are, and are 0644 root:root for a new file.
        """
        where = self._view.resolved(path)
        old = self._view.get(where)
        if old is not None and old.kind == "directory":
            raise ImageError(f"/{path} is a folder, and a file should be written there")
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        self._put(
            Entry.file(
                where,
                data,
                mode=mode if mode is not None else old.mode if old else 0o644,
                uid=uid if uid is not None else old.uid if old else 0,
                gid=gid if gid is not None else old.gid if old else 0,
            )
        )
        self._contents[where] = data

    def symlink(self, path: str, target: str) -> None:
        """Make ``path`` a symbolic link with this text, in place of a file or link that is there."""
        where = self._view.canonical(path)
        old = self._view.get(where)
        if old is not None and old.kind == "directory":
            raise ImageError(f"/{path} is a folder, and a link should be made there")
        self._contents.pop(where, None)
        self._put(Entry.symlink(where, target))

    def make_folders(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Make the folder and those above it that are missing (0755 root:root); an existing one stays as it is."""
        if not path or self.is_folder(path):
            return
        where = self._view.resolved(path)
        for folder in ancestors(where):
            if folder not in self._view:
                self._put(Entry.directory(folder))
        self._put(Entry.directory(where, mode=mode, uid=uid, gid=gid))

    def set_owner_and_mode(
        self, path: str, *, mode: int | None = None, uid: int | None = None, gid: int | None = None
    ) -> None:
        """Change what is given of the mode and owner of a file or folder; links are followed."""
        where = self._view.resolved(path)
        old = self._view.get(where)
        if old is None:
            raise ImageError(f"/{path} does not exist, and its mode should be changed")
        mode = old.mode if mode is None else mode
        uid, gid = old.uid if uid is None else uid, old.gid if gid is None else gid
        if old.kind == "directory":
            self._put(Entry.directory(where, mode=mode, uid=uid, gid=gid))
        else:
            self.write(where, self.read(where), mode=mode, uid=uid, gid=gid)

    def remove(self, path: str) -> None:
        """Remove a file, link or folder with all below it; nothing happens where there is none."""
        where = self._view.canonical(path)
        if where not in self._view:
            return
        for below in [where, *[f"{name}" for name in self._written if name.startswith(f"{where}/")]]:
            self._written.pop(below, None)
            self._contents.pop(below, None)
        self._view._remove(where)  # noqa: SLF001 - the overlay owns this copy of the view
        if where in self._lower:
            self._removed.add(where)

    def _put(self, entry: Entry) -> None:
        folder = entry.path.rpartition("/")[0]
        if folder and not self.is_folder(folder):
            raise ImageError(f"there is no folder /{folder} to put /{entry.path} into")
        self._written[entry.path] = entry
        self._view._put(  # noqa: SLF001 - the overlay owns this copy of the view
            entry.path,
            ViewEntry(entry.kind.value, entry.mode, entry.uid, entry.gid, entry.size_bytes, entry.link, "overlay"),
        )

    def changes(self) -> list[Entry]:
        """What differs from the view below: whiteouts first, then entries, each in the order of their paths.

        A path that was written with what it already held does not appear.
        """
        whiteouts = [Entry.whiteout(path) for path in sorted(self._removed) if path not in self._written]
        return whiteouts + [entry for _, entry in sorted(self._written.items()) if not self._is_unchanged(entry)]

    def _is_unchanged(self, entry: Entry) -> bool:
        old = self._lower.get(entry.path)
        if old is None or entry.path in self._removed:
            return False
        same = (old.kind, old.uid, old.gid, old.link) == (entry.kind.value, entry.uid, entry.gid, entry.link)
        if not same or (entry.kind is not EntryKind.SYMLINK and old.mode != entry.mode):
            return False
        if entry.kind is not EntryKind.FILE:
            return True
        return old.size_bytes == entry.size_bytes and self._lower.read(entry.path) == entry.content
