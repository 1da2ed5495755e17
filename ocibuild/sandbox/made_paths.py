"""Folders and files that a root lacks, made for the time of a run and taken away afterwards.

The helper imports this: only light modules of the standard library may be used here.
"""

import contextlib
import os
import stat
from collections.abc import Iterator

__all__ = ["MadePaths", "inside"]


@contextlib.contextmanager
def inside(root: int) -> Iterator[None]:
    """Stand in this root while the block runs: the kernel resolves every path there, links included.

    It needs the capability of chroot(2), and leaves the current folder at this machine's root.
    """
    outside = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(root)
        os.chroot(".")
        yield
    finally:
        os.fchdir(outside)
        os.chroot(".")
        os.close(outside)


class _Made:
    """One path that was made: its name in the folder that holds it, and what it is."""

    def __init__(self, path: str, *, with_content: bool = False) -> None:
        folder, _, self.name = path.rpartition("/")
        self.folder = os.open(folder or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._before = os.fstat(self.folder)
        self._made: tuple[int, ...] = ()
        self._with_content = with_content

    def note(self) -> None:
        """Remember what was made."""
        self._made = self._look()

    def _look(self) -> tuple[int, ...]:
        status = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        changing = (status.st_size, status.st_mtime_ns) if kind == stat.S_IFREG else ()
        return (kind, status.st_ino, *changing)

    def take_away(self) -> None:
        """Remove it, unless the program has changed it or put something else in its place or into it."""
        try:
            if self._look() == self._made:
                self._remove()
                with contextlib.suppress(PermissionError):
                    os.utime(self.folder, ns=(self._before.st_atime_ns, self._before.st_mtime_ns))
        except OSError:  # the program keeps it, or took it away itself
            return
        finally:
            os.close(self.folder)

    def _remove(self) -> None:
        if self._made[0] != stat.S_IFDIR:
            os.unlink(self.name, dir_fd=self.folder)
            return
        for _, folders, files, above in (
            os.fwalk(self.name, topdown=False, dir_fd=self.folder) if self._with_content else ()
        ):
            for name in files:
                os.unlink(name, dir_fd=above)
            for name in folders:
                os.rmdir(name, dir_fd=above)
        os.rmdir(self.name, dir_fd=self.folder)


class MadePaths:
    """What was made in one root."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._made: list[_Made] = []

    def ensure(self, path: str, *, is_folder: bool, content: bytes = b"") -> str:
        """Make a folder or a file at this absolute path of the root, with its parents, where there is none.

        Returns the path with every link followed inside the root, so that none is left in it.
        """
        with inside(self._root):
            where = os.path.realpath(path)
            parts = where.strip("/").split("/") if where != "/" else []
            for count in range(1, len(parts) + 1):
                above = "/" + "/".join(parts[:count])
                if not os.path.lexists(above):
                    with self._making(above) as made:
                        if is_folder or count < len(parts):
                            os.mkdir(made.name, 0o755, dir_fd=made.folder)
                        else:
                            _write(made, content)
        return where

    def ensure_scratch(self, path: str) -> None:
        """Make a folder that everybody may write, and that goes with all that is in it, where there is nothing."""
        with inside(self._root):
            if not os.path.lexists(path):
                with self._making(path, with_content=True) as made:
                    os.mkdir(made.name, dir_fd=made.folder)
                    os.chmod(made.name, 0o1777, dir_fd=made.folder)  # noqa: S103 - as runtimes make /dev/shm

    def ensure_device(self, path: str, number: int) -> None:
        """Make a character device that everybody may use, where there is nothing."""
        with inside(self._root):
            if not os.path.lexists(path):
                with self._making(path) as made:
                    os.mknod(made.name, stat.S_IFCHR | 0o666, number, dir_fd=made.folder)
                    os.chmod(made.name, 0o666, dir_fd=made.folder)  # noqa: S103 - as every /dev/null is

    def ensure_link(self, path: str, target: str) -> None:
        """Make a symbolic link, where there is nothing."""
        with inside(self._root):
            if not os.path.lexists(path):
                with self._making(path) as made:
                    os.symlink(target, made.name, dir_fd=made.folder)

    @contextlib.contextmanager
    def _making(self, path: str, *, with_content: bool = False) -> Iterator[_Made]:
        made = _Made(path, with_content=with_content)
        yield made
        made.note()
        self._made.append(made)

    def take_away(self) -> None:
        """Remove what was made, the last first; what the program has changed or filled stays."""
        while self._made:
            self._made.pop().take_away()


def _write(made: _Made, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(made.name, flags, 0o644, dir_fd=made.folder)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
