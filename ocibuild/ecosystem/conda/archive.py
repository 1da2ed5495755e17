"""A conda package as it comes from a channel, read in constant memory and never unpacked to disk.

Two formats, told apart by their first bytes: ``.conda`` (a zip archive of ``metadata.json``, ``info-NAME.tar.zst`` and
``pkg-NAME.tar.zst``, all stored) and ``.tar.bz2`` (one archive, with the metadata under ``info/``).
Sources: conda's documentation, "Package specification"; conda-package-handling, whose writer puts ``info/`` first.
"""

import bz2
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from ocibuild.core.atomic import map_os_error
from ocibuild.core.errors import ImageError, IntegrityError
from ocibuild.layer.compression import Compression, open_decompressed
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["CondaArchive"]

_INFO = "info/"
_WANTED = frozenset({"index.json", "paths.json", "link.json", "files", "has_prefix", "no_link", "no_softlink"})
_LISTS = frozenset({"paths.json", "files"})
_LARGEST_INFO_BYTES = 128 << 20  # a paths.json of some 500,000 files; the largest real ones are of 30 MB
_FORMAT = 2
_BUFFER_BYTES = 1 << 18


class CondaArchive:
    """An open package, of a path or of a stream that can seek. A context manager that closes the file.

    ``info`` holds the metadata files that placing needs, by their names below ``info/``. Whatever contradicts the
    format is an ImageError that names the package; bytes that a checksum inside the archive contradicts, or data that
    cannot be decompressed, are an IntegrityError.
    """

    def __init__(self, body: Path | BinaryIO, *, name: str) -> None:
        self.name = name
        self._body = body
        self._zip: zipfile.ZipFile | None = None
        if isinstance(body, Path):
            with body.open("rb") as file:
                magic = file.read(4)
        else:
            magic = body.read(4)
        if magic.startswith(b"PK"):
            self._zip = self._open_zip()
        elif not magic.startswith(b"BZh"):
            raise self._error("it is neither a .conda nor a .tar.bz2 file")
        try:
            self.info: Mapping[str, bytes] = MappingProxyType(self._read_info())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._zip is not None:
            self._zip.close()

    def members(self) -> Iterator[Entry]:
        """The package's own files, links and folders in the archive's order, ``info/`` left out.

        Paths are clean and below the package's root. May be called again: it reads the archive from its start.
        """
        with self._open("pkg-") as stream:
            for entry in read_entries(stream, where=self.name):
                if not entry.path.startswith(_INFO) and entry.path != "info":
                    yield entry

    # The two formats.

    def _open_zip(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(self._body)
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise self._error(f"its zip archive is broken: {error}") from error
        try:
            metadata = self._zip_member(archive, lambda member: member == "metadata.json")
            text = archive.read(metadata) if metadata.file_size <= _BUFFER_BYTES else b""
            value = json.loads(text)
            version = value["conda_pkg_format_version"]
        except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError) as error:
            archive.close()
            raise self._error("its metadata.json is broken") from error
        except BaseException:
            archive.close()
            raise
        if version != _FORMAT:
            archive.close()
            raise self._error(f"its format is version {version!r}, and this program reads version {_FORMAT}")
        return archive

    def _open(self, prefix: str) -> BinaryIO:
        """The tar archive that holds the metadata (``info-``) or the files (``pkg-``); one and the same in .tar.bz2."""
        if self._zip is None:
            if not isinstance(self._body, Path):
                self._body.seek(0)
            return _buffered(cast("BinaryIO", bz2.open(self._body, "rb")), self.name)
        member = self._zip_member(
            self._zip, lambda name: name.startswith(prefix) and name.endswith(".tar.zst") and "/" not in name
        )
        try:
            stream = cast("BinaryIO", self._zip.open(member))
        except zipfile.BadZipFile as error:
            raise self._error(f"its zip archive is broken: {error}") from error
        return open_decompressed(_buffered(stream, self.name), Compression.ZSTD, where=self.name)

    def _zip_member(self, archive: zipfile.ZipFile, is_wanted: Callable[[str], bool]) -> zipfile.ZipInfo:
        found = [member for member in archive.infolist() if is_wanted(member.filename)]
        if len(found) != 1:
            raise self._error("it does not hold exactly one metadata.json, info-*.tar.zst and pkg-*.tar.zst")
        if found[0].compress_type != zipfile.ZIP_STORED or found[0].flag_bits & 1:
            raise self._error(f"{found[0].filename} is compressed or encrypted, where the format wants it stored")
        return found[0]

    def _read_info(self) -> dict[str, bytes]:
        """The metadata files. In a .tar.bz2 they come first, and reading ends where they are complete."""
        found: dict[str, bytes] = {}
        with self._open("info-") as stream:
            for entry in read_entries(stream, where=self.name):
                if not entry.path.startswith(_INFO):
                    if self._zip is None and "index.json" in found and found.keys() & _LISTS:
                        break
                    continue
                name = entry.path[len(_INFO) :]
                if name in _WANTED and entry.kind is EntryKind.FILE:
                    if entry.size_bytes > _LARGEST_INFO_BYTES:
                        raise self._error(f"its {entry.path} has {entry.size_bytes} bytes")
                    found[name] = entry.read()
        if "index.json" not in found:
            raise self._error("it has no info/index.json")
        return found

    def _error(self, message: str) -> ImageError:
        return ImageError(f"{self.name}: not a conda package that can be used: {message}")


class _Checked(io.RawIOBase):
    """A stream whose decompressor's and checksum's complaints are this program's errors."""

    def __init__(self, source: BinaryIO, name: str) -> None:
        super().__init__()
        self._source = source
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        try:
            data = self._source.read(len(target))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise map_os_error(error, attempted=f"reading {self._name}") from error
            raise IntegrityError(
                f"{self._name} is corrupt: {error}",
                hint="the file on the channel is broken: ask for another version or build",
            ) from error
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def _buffered(source: BinaryIO, name: str) -> BinaryIO:
    return io.BufferedReader(_Checked(source, name), _BUFFER_BYTES)
