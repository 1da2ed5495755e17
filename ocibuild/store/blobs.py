"""Blobs by digest: downloaded packages, layers, manifests and configurations."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ocibuild.core.atomic import map_os_error, partial_file, replacing
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError

__all__ = ["BlobStore", "BlobWriter"]


class BlobWriter:
    """Takes a blob's bytes in order; digest and size are known when they have all been written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append these bytes."""
        self._hash.update(data)
        self.size_bytes += len(data)
        self._file.write(data)

    @property
    def digest(self) -> Digest:
        """The SHA-256 digest of what has been written so far."""
        return Digest("sha256", self._hash.hexdigest())


class BlobStore:
    """A folder of immutable files named by what they hold (the ``blobs`` folder of image-spec, image-layout.md).

    A file that is there was verified when it was written and is whole. Safe for several processes at once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: Digest) -> Path:
        """Where the blob of this digest is, or would be."""
        return self.folder / digest.algorithm / digest.hex

    def __contains__(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def bring(self, digest: Digest) -> Path:
        """Where the blob is; FileNotFoundError where it is not here. With shared caches it is fetched from there."""
        path = self.path(digest)
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def part(self, digest: Digest, offset: int, size_bytes: int, sha256: str) -> bytes | None:  # noqa: ARG002 - see below
        """A part of a blob that is elsewhere, with this SHA-256; None where a store cannot read parts, as this one."""
        return None

    def size_bytes(self, digest: Digest) -> int | None:
        """The blob's size, or None where it is not here."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def open(self, digest: Digest) -> BinaryIO:
        """The blob, open for reading; FileNotFoundError where it is not here.

        The last use is noted in the file's modification time: eviction removes what was not used for longest.
        """
        path = self.bring(digest)
        file = path.open("rb")
        with contextlib.suppress(OSError):  # a store that is shared read-only still serves
            os.utime(path)
        return file

    def read(self, digest: Digest) -> bytes:
        """The whole blob: for manifests, configurations and the like."""
        with self.open(digest) as file:
            return file.read()

    @contextlib.contextmanager
    def writer(self, *, expected: Digest | None = None, where: str = "") -> Iterator[BlobWriter]:
        """Write a new blob; it is in the store when the block ends well, and leaves nothing behind otherwise.

        With ``expected`` the content must have that digest, else an IntegrityError names ``where`` it came from.
        Writing what is already there is harmless.
        """
        with partial_file(self.folder / "sha256", attempted=f"writing {where or 'a blob'} into the store") as file:
            writer = BlobWriter(file)
            yield writer
            file.flush()
            if expected is not None and writer.digest != expected:
                raise IntegrityError(f"{where or 'a blob'}: expected {expected}, got {writer.digest}")
            Path(file.name).replace(self.path(writer.digest))

    def add(self, data: bytes) -> Digest:
        """Put these bytes into the store and return their digest."""
        digest = Digest.of(data)
        if digest not in self:
            with replacing(self.path(digest)) as file:
                file.write(data)
        return digest

    def adopt(self, file: Path, digest: Digest) -> Path:
        """Move a file, whose content the caller has verified to have this digest, into the store."""
        path = self.path(digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file.replace(path)
        except OSError as error:
            raise map_os_error(error, attempted=f"moving {file} into the store") from error
        return path
