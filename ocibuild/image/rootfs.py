"""Unpacking an image into a folder, as the user who runs this program, without privileges."""
# ruff: noqa: PTH101, PTH102, PTH108, PTH123, PTH208, PTH211 - several calls for each of 100,000 paths: text is cheaper

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.atomic import replaced_folder
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, discard
from ocibuild.core.paths import ancestors, parent, relative_link
from ocibuild.core.platform import Platform
from ocibuild.image.image import read_image
from ocibuild.image.layer_reader import open_layer
from ocibuild.image.source import ImageSource
from ocibuild.layer.entry import WHITEOUT_PREFIX, Entry, EntryKind
from ocibuild.layer.reader import read_entries

__all__ = ["Unpacked", "write_rootfs"]

_MOST_LINKS = 40  # the kernel's own limit (path_resolution(7))
_FOLDER_MODE = 0o755  # of the root, and of folders that the archive leaves out
_OPAQUE = WHITEOUT_PREFIX + WHITEOUT_PREFIX + ".opq"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What could not be made as the image says.

    ``skipped`` are paths of device nodes and the like, which are not made; ``without_attributes`` those of files whose
    extended attributes (capabilities) this user or this file system may not have.
    """

    skipped: tuple[str, ...] = ()
    without_attributes: tuple[str, ...] = ()
    with_owners: bool = False


def write_rootfs(
    source: ImageSource, folder: Path, *, platform: Platform | None = None, events: EventSink = discard
) -> Unpacked:
    """Unpack the image's layers into a folder that does not exist yet, or is empty.

    Modes, times, links and whiteouts are as the image says; owners only where this process is root. No entry reaches
    outside the folder, whatever links the layers hold: a parent that is a link is followed inside it. Layers are
    verified while they are read; the folder appears whole or not at all.
    """
    image = read_image(source, platform)
    with replaced_folder(folder) as partial:
        tree = _Tree(partial)
        for layer in image.layers:
            tree.start_layer()
            with open_layer(source, layer, verb="unpacking", events=events) as reader:
                where = f"{source.name}: layer {layer.descriptor.digest}"
                for entry in read_entries(reader.raw, where=where, refuse_trailing_data=True):
                    tree.add(entry, where=where)
        tree.finish()
    return Unpacked(tuple(tree.skipped), tuple(tree.without_attributes), tree.with_owners)


class _Tree:
    """The folder being filled.

    It was made new and nobody else writes into it, so that ``_links``, the links that were made, tells all that could
    lead a path astray: paths are resolved with it, never by the kernel, and no part of a resolved path is a link.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._links: dict[str, str] = {}
        self._folders: dict[str, Entry | None] = {}
        self._of_layer: set[str] = set()
        self.skipped: list[str] = []
        self.without_attributes: list[str] = []
        self.with_owners = os.geteuid() == 0

    def start_layer(self) -> None:
        """What comes from here on is of one layer: its whiteouts hide nothing of it (layer.md, "Whiteouts")."""
        self._of_layer = set()

    def add(self, entry: Entry, *, where: str) -> None:
        """Make the entry, or take away what it hides."""
        folder, _, name = entry.path.rpartition("/")
        if name == _OPAQUE:
            self._hide_below(self._canonical(f"{folder}/x").rpartition("/")[0])
            return
        if name.startswith(WHITEOUT_PREFIX):
            self._hide(self._canonical(f"{folder}/{name[len(WHITEOUT_PREFIX) :]}".lstrip("/")))
            return
        path = self._canonical(entry.path)
        self._make_parents(path, where)
        if parent(path) not in self._of_layer:
            self._of_layer.update(ancestors(path))
        self._of_layer.add(path)
        if entry.kind is EntryKind.DIRECTORY:
            self._make_folder(path, entry)
            return
        self._remove(path)
        if entry.kind is EntryKind.OTHER:
            self.skipped.append(path)
        elif entry.kind is EntryKind.HARDLINK:
            self._link(path, entry, where)
        elif entry.kind is EntryKind.SYMLINK:
            os.symlink(entry.link, self._at(path))
            self._links[path] = entry.link
            self._dress(path, entry)
        else:
            self._write(path, entry)

    def finish(self) -> None:
        """Give folders their modes and times: until now they had to stay writable."""
        for path, entry in sorted(self._folders.items(), reverse=True):
            if entry is None:
                os.chmod(self._at(path), _FOLDER_MODE)
            else:
                self._dress(path, entry)
        os.chmod(self._root, _FOLDER_MODE)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _canonical(self, path: str) -> str:
        """The path with its parents' links followed inside the root, as :meth:`ocibuild.image.view.View.canonical`."""
        done, rest, followed = "", path.split("/"), 0
        while len(rest) > 1:
            part = rest.pop(0)
            here = f"{done}/{part}" if done else part
            if here not in self._links:
                done = here
                continue
            followed += 1
            if followed > _MOST_LINKS:
                raise ImageError(f"too many symbolic links above /{path}")
            target = relative_link(here, self._links[here])
            rest = [*(part for part in target.split("/") if part), *rest]
            done = ""
        return f"{done}/{rest[0]}" if done else rest[0]

    def _make_parents(self, path: str, where: str) -> None:
        folder = parent(path)
        if not folder or folder in self._folders:
            return
        for above in [*ancestors(folder), folder]:
            if above not in self._folders:
                if os.path.lexists(self._at(above)):
                    raise ImageError(f"{where}: /{path} lies below /{above}, which is no folder")
                os.mkdir(self._at(above), 0o700)
                self._folders[above] = None

    def _make_folder(self, path: str, entry: Entry) -> None:
        if path not in self._folders:
            self._remove(path)
            os.mkdir(self._at(path), 0o700)
        self._folders[path] = entry

    def _link(self, path: str, entry: Entry, where: str) -> None:
        target = self._canonical(entry.link)
        if target == path or target in self._folders or not os.path.lexists(self._at(target)):
            raise ImageError(f"{where}: the hard link /{path} to /{entry.link}, which is no file of the image")
        os.link(self._at(target), self._at(path), follow_symlinks=False)
        if target in self._links:
            self._links[path] = self._links[target]

    def _write(self, path: str, entry: Entry) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._at(path), flags, 0o600)
        with open(descriptor, "wb") as file:
            file.writelines(entry.chunks())
        self._dress(path, entry)

    def _dress(self, path: str, entry: Entry) -> None:
        """Owner before mode (chown clears set-id bits), attributes after the owner (it clears capabilities)."""
        at = self._at(path)
        try:
            if self.with_owners:
                os.chown(at, entry.uid, entry.gid, follow_symlinks=False)
            self._set_attributes(path, entry)
            if entry.kind is not EntryKind.SYMLINK:
                os.chmod(at, entry.mode)
            os.utime(at, (entry.modified, entry.modified), follow_symlinks=False)
        except OverflowError as error:
            raise ImageError(f"/{path}: an owner or time that no file system holds") from error

    def _set_attributes(self, path: str, entry: Entry) -> None:
        try:
            for name, value in entry.attributes.items():
                os.setxattr(self._at(path), name, value, follow_symlinks=False)
        except OSError:  # not permitted, or not on this file system: reported, and the file is there all the same
            self.without_attributes.append(path)

    def _hide(self, path: str) -> None:
        if path not in self._of_layer:
            self._remove(path)
        elif path in self._folders:
            self._hide_below(path)

    def _hide_below(self, folder: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(self._at(folder)):
                self._hide(f"{folder}/{name}" if folder else name)

    def _remove(self, path: str) -> None:
        """Take away what is at the path, with all below it; nothing happens where there is nothing."""
        at = self._at(path)
        try:
            is_folder = stat.S_ISDIR(os.lstat(at).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return
        if not is_folder:
            os.unlink(at)
            self._links.pop(path, None)
            return
        shutil.rmtree(at)
        for table in (self._folders, self._links):
            for below in [name for name in table if name == path or name.startswith(f"{path}/")]:
                table.pop(below)
