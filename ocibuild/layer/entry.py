"""One file system entry of a layer: what every ``place`` yields and what the tar writer takes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ocibuild.core.clock import FIXED_TIME

__all__ = ["WHITEOUT_PREFIX", "Content", "Entry", "EntryKind"]

WHITEOUT_PREFIX = ".wh."
"""A file of this prefix hides the rest of its name in the layers below (image-spec, layer.md, "Whiteouts")."""

Content = bytes | memoryview | Callable[[], Iterable[bytes | memoryview]]
"""A file's bytes, or a function that gives them in chunks. The function is called at most once, and before the next
entry is asked for: it may read on in the archive that the entry comes from."""


class EntryKind(StrEnum):
    """The kinds of entries. ``OTHER`` (device nodes, fifos) is read in a base's layers and never written."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """A path (``usr/bin/git``, no leading or trailing slash) with all that a tar header says of it.

    ``mode`` holds permission, set-id and sticky bits only. ``size_bytes`` is the length of ``content``, 0 for what is
    no file. ``link`` is a symbolic link's text, or the path that a hard link shares (an entry of the same layer, before
    this one). ``modified`` is in seconds since the epoch. ``attributes`` are extended attributes by full name.
    """

    path: str
    kind: EntryKind
    mode: int
    uid: int = 0
    gid: int = 0
    size_bytes: int = 0
    link: str = ""
    content: Content = b""
    modified: int = FIXED_TIME
    attributes: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def file(cls, path: str, content: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0) -> "Entry":
        """A regular file of these bytes."""
        return cls(path, EntryKind.FILE, mode, uid, gid, len(content), "", content)

    @classmethod
    def directory(cls, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> "Entry":
        """A folder."""
        return cls(path, EntryKind.DIRECTORY, mode, uid, gid)

    @classmethod
    def symlink(cls, path: str, link: str, *, uid: int = 0, gid: int = 0) -> "Entry":
        """A symbolic link; its mode is always 0777, as the kernel shows it."""
        return cls(path, EntryKind.SYMLINK, 0o777, uid, gid, 0, link)

    @classmethod
    def whiteout(cls, path: str) -> "Entry":
        """The entry that hides ``path`` of the layers below."""
        folder, slash, name = path.rpartition("/")
        return cls(f"{folder}{slash}{WHITEOUT_PREFIX}{name}", EntryKind.FILE, 0o644)

    def chunks(self) -> Iterable[bytes | memoryview]:
        """The content in pieces; nothing for what is no file."""
        if callable(self.content):
            return self.content()
        return (self.content,) if self.size_bytes else ()

    def read(self) -> bytes:
        """The whole content in memory: for small files only."""
        return b"".join(self.chunks())
