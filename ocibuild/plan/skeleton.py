"""The folders of a layer.

A layer must hold every parent of what it holds: runtimes unpack a layer by itself, and a parent that is missing there
is made with root as owner and mode 0755, which then hides the real one below. So a folder entry repeats what the
layers below say, and says what the packages say only where there is no such folder yet.

The folders stand at the end of a layer, behind its packages. Which there are is known only when the packages have been
read, and a layer is written while they are. Every consumer takes them there (tests/oracle/test_interop_layers.py);
extracting without privileges even needs it, since a folder may forbid writing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ocibuild.core.paths import folders_above
from ocibuild.image.view import LayerTable, View
from ocibuild.layer.entry import WHITEOUT_PREFIX, Entry

__all__ = ["FolderOwner", "declared_folders", "skeleton"]


@dataclass(frozen=True, slots=True)
class FolderOwner:
    """Who owns the folders at and below ``path`` that nothing else declares."""

    path: str = ""
    uid: int = 0
    gid: int = 0

    def covers(self, folder: str) -> bool:
        """Whether ``folder`` is at or below the path."""
        return not self.path or folder == self.path or folder.startswith(f"{self.path}/")


def declared_folders(tables: Iterable[LayerTable]) -> dict[str, Entry]:
    """The folders that these packages declare; where several declare one, the first says what it is like.

    That is dpkg's rule (an existing folder stays as it is), and the others create folders with one mode only.
    """
    folders: dict[str, Entry] = {}
    for table in tables:
        for path, entry in table.entries.items():
            if entry.kind == "directory" and path not in folders:
                folders[path] = Entry.directory(path, mode=entry.mode, uid=entry.uid, gid=entry.gid)
    return folders


def skeleton(
    tables: Iterable[LayerTable], *, below: View, declared: Mapping[str, Entry], owners: Iterable[FolderOwner] = ()
) -> list[Entry]:
    """The folder entries of a layer that holds these tables, sorted, each parent before its children.

    ``below`` is the view of the layers underneath, ``declared`` the folders that all packages of the build declare, in
    the order in which they are installed. A folder that neither knows is 0755 and belongs to the last of ``owners``
    that covers it, else to root.
    """
    tables = list(tables)
    needed = folders_above(path for table in tables for path in table.entries)
    for table in tables:
        for path, entry in table.entries.items():
            if entry.kind == "directory" and not path.rpartition("/")[2].startswith(WHITEOUT_PREFIX):
                needed.add(path)
    owners = list(owners)
    return [_folder(path, below=below, declared=declared, owners=owners) for path in sorted(needed)]


def _folder(path: str, *, below: View, declared: Mapping[str, Entry], owners: list[FolderOwner]) -> Entry:
    existing = below.get(path)
    if existing is not None and existing.kind == "directory":
        return Entry.directory(path, mode=existing.mode, uid=existing.uid, gid=existing.gid)
    if path in declared:
        return declared[path]
    for owner in reversed(owners):
        if owner.covers(path):
            return Entry.directory(path, uid=owner.uid, gid=owner.gid)
    return Entry.directory(path)
