"""The files below one folder, reached without ever following a link that lies in it.

Whatever ran in a root may have left links to anywhere, folders thousands deep, and modes that lock everybody out. So
every operation is relative to an open folder, each part of a path is opened by itself and never followed, and a folder
that this process owns but may not enter is opened up for the time being.
"""

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from ocibuild.core.errors import BuildError, MachineError
from ocibuild.core.paths import parent

__all__ = ["Tree", "refuse_mounts"]

_MOST_OPEN_FOLDERS = 64
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MOUNTS = Path("/proc/self/mountinfo")
_CAP_DAC_OVERRIDE = 1
_OWNER_ALL = 0o700
_ROOT_MODE = 0o755


class Tree:
    """Opens, makes and removes files below ``root``. Paths are as in :mod:`ocibuild.core.paths`.

    ``trash`` is a folder beside the root, on its file system: what is removed goes there first, so that a folder of any
    depth is removed one level at a time. What had to be opened up is in ``opened``, with its mode before.
    """

    def __init__(self, root: Path, trash: Path) -> None:
        refuse_mounts(root)
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        trash.mkdir(mode=_OWNER_ALL, exist_ok=True)
        self._may_all = _may_all()
        if not self._may_all:
            root.chmod(_ROOT_MODE)  # no layer says what it is, and a step may have locked it
        self._root = os.open(root, _FOLDER_FLAGS)
        self._trash = os.open(trash, _FOLDER_FLAGS)
        self._trashed = 0
        self._folders: OrderedDict[str, int] = OrderedDict()
        self.opened: dict[str, int] = {}
        self._empty_trash()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lock_again(self) -> dict[str, os.stat_result]:
        """Give what was opened up its mode back, and return the status that it has then: it has changed by this.

        The innermost comes first, since what is in a locked folder cannot be reached.
        """
        modes, self.opened = self.opened, {}
        found = {}
        for path in sorted(modes, reverse=True):
            self.set_mode(path, modes[path])
            found[path] = self.status(path)
            held = self._folders.pop(path, None)  # opened up again when it is asked for again
            if held is not None:
                os.close(held)
        return found

    def close(self) -> None:
        """Close every folder, what was opened up with its own mode again."""
        with suppress(OSError):
            self.lock_again()
        for descriptor in (*self._folders.values(), self._root, self._trash):
            os.close(descriptor)
        self._folders.clear()

    def folder(self, path: str) -> int:
        """The folder, open: valid until some 60 others have been asked for. ``""`` is the root.

        FileNotFoundError or NotADirectoryError where there is none, a link included.
        """
        if not path:
            return self._root
        held = self._folders.get(path)
        if held is not None:
            self._folders.move_to_end(path)
            return held
        missing: list[str] = []
        above = path
        while above and above not in self._folders:
            above, _, name = above.rpartition("/")
            missing.append(name)
        descriptor = self.folder(above) if above else self._root
        for name in reversed(missing):
            above = f"{above}/{name}" if above else name
            descriptor = self._folders[above] = self._open_folder(descriptor, name, above)
            if len(self._folders) > _MOST_OPEN_FOLDERS:
                os.close(self._folders.popitem(last=False)[1])
        return descriptor

    def _open_folder(self, descriptor: int, name: str, path: str) -> int:
        try:
            opened = os.open(name, _FOLDER_FLAGS, dir_fd=descriptor)
        except PermissionError:
            self._open_up(path, self._mode_at(descriptor, name), descriptor, name)
            return os.open(name, _FOLDER_FLAGS, dir_fd=descriptor)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link: open(2) says so for O_NOFOLLOW
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
            raise
        if not self._may_all:
            mode = stat.S_IMODE(os.fstat(opened).st_mode)
            if mode & _OWNER_ALL != _OWNER_ALL:
                self.opened.setdefault(path, mode)
                os.fchmod(opened, mode | _OWNER_ALL)
        return opened

    def _open_up(self, path: str, mode: int, descriptor: int, name: str) -> None:
        if mode & _OWNER_ALL == _OWNER_ALL:
            raise MachineError(f"/{path} of a prepared root belongs to somebody else: permission denied")
        self.opened.setdefault(path, mode)
        _set_mode(descriptor, name, mode | _OWNER_ALL)

    @staticmethod
    def _mode_at(descriptor: int, name: str) -> int:
        return stat.S_IMODE(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)

    def at(self, path: str) -> tuple[int, str]:
        """The open folder that holds ``path``, and its name there."""
        return self.folder(parent(path)), path.rpartition("/")[2]

    def status(self, path: str) -> os.stat_result:
        """The lstat of the path; of the root itself for ``""``."""
        if not path:
            return os.fstat(self._root)
        folder, name = self.at(path)
        return os.stat(name, dir_fd=folder, follow_symlinks=False)

    @contextmanager
    def reading(self, path: str) -> Iterator[int]:
        """The regular file, open for reading, whatever its mode; a BuildError where it is none any more."""
        folder, name = self.at(path)
        try:
            descriptor = os.open(name, _READ_FLAGS, dir_fd=folder)
        except PermissionError:
            self._open_up(path, self._mode_at(folder, name), folder, name)
            descriptor = os.open(name, _READ_FLAGS, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BuildError(f"/{path} of a prepared root changed while it was read")
            yield descriptor
        finally:
            os.close(descriptor)

    def set_mode(self, path: str, mode: int) -> None:
        """chmod(2), never through a link."""
        if not path:
            os.fchmod(self._root, mode)
            return
        folder, name = self.at(path)
        _set_mode(folder, name, mode)

    def remove(self, path: str) -> None:
        """Take away what is at the path with all below it; nothing happens where there is nothing."""
        try:
            folder, name = self.at(path)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=folder)
            self.opened.pop(path, None)
            return
        self._forget(path)
        self._into_trash(folder, name, stat.S_IMODE(status.st_mode))
        self._empty_trash()

    def remove_all(self) -> None:
        """Leave an empty root."""
        for name in os.listdir(self._root):  # noqa: PTH208 - an open folder, no path
            self.remove(name)

    def _forget(self, path: str) -> None:
        inside = f"{path}/"
        for table in (self._folders, self.opened):
            for below in [name for name in table if name == path or name.startswith(inside)]:
                value = table.pop(below)
                if table is self._folders:
                    os.close(value)

    def _into_trash(self, folder: int, name: str, mode: int) -> None:
        if not self._may_all and mode & _OWNER_ALL != _OWNER_ALL:  # moving a folder writes its ".."
            _set_mode(folder, name, mode | _OWNER_ALL)
        self._trashed += 1
        os.rename(name, f"{self._trashed}", src_dir_fd=folder, dst_dir_fd=self._trash)

    def _empty_trash(self) -> None:
        """Folders in the trash lose their files and give their folders to the trash, until nothing is left."""
        while names := os.listdir(self._trash):  # noqa: PTH208 - an open folder, no path
            self._trashed = max([self._trashed, *(int(name) for name in names if name.isdigit())])
            for name in names:
                if not self._may_all:
                    _set_mode(self._trash, name, _OWNER_ALL)
                descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=self._trash)
                try:
                    with os.scandir(descriptor) as entries:
                        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
                    for below, is_folder in found:
                        if is_folder:
                            self._into_trash(descriptor, below, self._mode_at(descriptor, below))
                        else:
                            os.unlink(below, dir_fd=descriptor)
                finally:
                    os.close(descriptor)
                os.rmdir(name, dir_fd=self._trash)


def _set_mode(folder: int, name: str, mode: int) -> None:
    """chmod(2) of a name in a folder, which must be no link: there is no call for it that every kernel has."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


def _may_all() -> bool:
    """Whether modes do not bind this process (capabilities(7), CAP_DAC_OVERRIDE)."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "CapEff":
                return bool(int(value, 16) >> _CAP_DAC_OVERRIDE & 1)
    return os.geteuid() == 0


def refuse_mounts(root: Path) -> None:
    """A MachineError where something is mounted below ``root``: removing files there would remove the mount's own.

    Source: proc(5), ``/proc/pid/mountinfo``, whose fifth field is the mount point with octal escapes.
    """
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return
    inside = os.fsencode(root.resolve()) + b"/"
    for line in lines:
        point = line.split(b" ")[4].decode("unicode_escape").encode("latin-1")
        if point.startswith(inside):
            raise MachineError(
                f"{os.fsdecode(point)} is still mounted inside a prepared root", hint="unmount it: umount -l"
            )
