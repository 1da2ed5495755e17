"""Reading single members of a tar file that is on disk, without unpacking it."""

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from ocibuild.core.errors import ImageError
from ocibuild.core.paths import clean_path

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Archive"]

_MOST_MEMBERS = 100_000
_MOST_LINKS = 8
_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error)
"""What tarfile and the decompressors below it raise for a file that is not what it should be."""


class Archive:
    """A tar file's members by name; also where the whole is compressed (``docker save | gzip``), which is slow to seek.

    An ImageError where the file is no tar archive or is cut short. The last member of a name counts.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        self._path = path
        self._name = name
        self._members: dict[str, tarfile.TarInfo] = {}
        with self._opened() as archive:
            try:
                for member in archive:
                    self._members[clean_path(member.name, where=name)] = member
                    if len(self._members) > _MOST_MEMBERS:
                        raise ImageError(f"{name}: more than {_MOST_MEMBERS} members: not an image's archive")
            except _DAMAGE as error:
                raise ImageError(f"{name}: a damaged archive: {error}") from error

    def _opened(self) -> tarfile.TarFile:
        try:
            return tarfile.open(self._path)
        except tarfile.ReadError as error:  # which lists what each codec had to say
            raise ImageError(f"{self._name}: {self._path} is no tar archive, compressed or not") from error
        except _DAMAGE as error:
            raise ImageError(f"{self._name}: cannot read the archive: {error}") from error

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def open(self, member: str) -> BinaryIO:
        """The content of the regular file of this name, to be closed by the caller; links in the archive are followed.

        An ImageError where there is none.
        """
        found = self._members.get(member)
        for _ in range(_MOST_LINKS):  # docker save writes a layer that occurs twice as a link to the other
            if found is None or not (found.issym() or found.islnk()):
                break
            folder = f"{member.rpartition('/')[0]}/" if found.issym() else ""
            member = _normal(f"{folder}{found.linkname}")
            found = self._members.get(member)
        if found is None or not found.isreg():
            raise ImageError(f"{self._name}: {member!r} is missing")
        archive = self._opened()
        content = archive.extractfile(found)
        if content is None:  # pragma: no cover - regular members always have content
            raise ImageError(f"{self._name}: {member!r} is no file")
        return io.BufferedReader(_Member(archive, content, f"{self._name}: {member!r}"))


class _Member(io.RawIOBase):
    """A member's content that closes its archive's file with itself."""

    def __init__(self, archive: tarfile.TarFile, content: IO[bytes], where: str) -> None:
        super().__init__()
        self._where = where
        self._archive = archive
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        try:
            data = self._content.read(len(target))
        except _DAMAGE as error:
            raise ImageError(f"{self._where}: the archive is damaged: {error}") from error
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._content.close()
        self._archive.close()
        super().close()


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
