"""A repository's files as values: what a build reads and what the source layer holds."""

import hashlib
import posixpath
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from ocibuild.core.digest import Digest
from ocibuild.core.paths import ancestors
from ocibuild.source.git_state import GitState

__all__ = ["SourceFile", "SourceTree"]

_MOST_LINKS = 40
"""As many links as the kernel follows (path_resolution(7))."""
_GIT_PATHS = (".git", ".git/HEAD", ".git/config", ".git/objects", ".git/refs")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A path of the repository. ``link`` is set for a symbolic link, ``digest`` for a regular file.

    ``is_executable`` is all that is kept of a mode: the others differ with the umask of whoever made the checkout.
    """

    path: str
    size_bytes: int = 0
    digest: Digest | None = None
    is_executable: bool = False
    link: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder (listed where it is empty, or to be complete)."""
        return self.digest is None and self.link is None


@dataclass(frozen=True, slots=True)
class SourceTree:
    """All paths of a repository, sorted, how to read a file of it, and its commit.

    ``read`` gives the bytes of a regular file, links inside the repository followed, or None where there is none.
    ``stream`` gives the bytes of a listed file in pieces, and raises a RepositoryError where they are not those that
    the tree lists: somebody changed the file meanwhile. ``commit_time`` is in seconds since the epoch, None where the
    repository is not under version control. ``git`` is the checkout whose ``.git`` belongs to the tree, if any does.
    """

    files: tuple[SourceFile, ...]
    read: Callable[[str], bytes | None]
    stream: Callable[[SourceFile], Iterator[bytes]]
    commit_time: int | None = None
    git: GitState | None = None

    @property
    def digest(self) -> Digest:
        """A digest of every path, kind, mode and content: equal trees have equal digests, whatever their commit."""
        state = hashlib.sha256()
        for file in self.files:
            kind = "link" if file.link is not None else "folder" if file.is_folder else "file"
            content = file.link if file.link is not None else str(file.digest or "")
            line = "\0".join((file.path, kind, "x" if file.is_executable else "", content))
            state.update(line.encode("utf-8", "surrogateescape") + b"\n")
        return Digest("sha256", state.hexdigest())

    def has_folder(self, path: str) -> bool:
        """Whether there is a folder at this path, or a link inside the repository to one."""
        kinds = {file.path: file for file in self.files}
        for _ in range(_MOST_LINKS):
            file = kinds.get(path)
            if file is None or file.link is None:
                return file is not None and file.is_folder
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), file.link))
        return False

    def without(self, is_left_out: Callable[[str], bool]) -> "SourceTree":
        """The tree without these paths; a folder in which something stays is kept all the same.

        There is no part of a ``.git``: it goes, where any of what makes it one goes.
        """
        files = tuple(file for file in self.files if not is_left_out(file.path))
        kept = {file.path for file in files}
        needed = {folder for path in kept for folder in ancestors(path)} - kept
        folders = tuple(file for file in self.files if file.path in needed)
        git = None if any(map(is_left_out, _GIT_PATHS)) else self.git
        return replace(self, files=tuple(sorted((*files, *folders), key=lambda file: file.path)), git=git)

    def with_executable(self, paths: Collection[str]) -> "SourceTree":
        """The tree with the regular files among ``paths`` executable, as a build makes what it runs."""
        return replace(
            self,
            files=tuple(
                replace(file, is_executable=True) if file.path in paths and file.digest is not None else file
                for file in self.files
            ),
        )
