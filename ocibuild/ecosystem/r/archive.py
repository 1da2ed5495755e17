"""An R package as a repository has it: a tar archive, of a source package or of one that is built.

Source: "R Installation and Administration", and ``utils::untar``, which tells the compression by the first bytes.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from ocibuild.core.errors import ImageError, IntegrityError
from ocibuild.layer.compression import Compression, open_decompressed
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries
from ocibuild.spec.r_description import RDescription, decode_description

__all__ = ["read_description", "read_package"]

_LARGEST_DESCRIPTION_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"


def read_package(body: Path, *, name: str) -> Iterator[Entry]:
    """The archive's entries, in its order, with clean paths; the file is closed at the end.

    An ImageError that names the package where it is no such archive, an IntegrityError where its data are broken.
    Nothing is unpacked to disk, and a file of any size needs constant memory.
    """
    with body.open("rb") as file, _decompressed(file, name) as stream:
        try:
            yield from read_entries(stream, where=name)
            while stream.read(_CHUNK_BYTES):  # to the checksum at the end
                pass
        except (zlib.error, EOFError, lzma.LZMAError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise IntegrityError(f"{name} is corrupt: {error}") from error


def read_description(body: Path, *, name: str) -> RDescription:
    """The package's own ``DESCRIPTION``; as :func:`read_package` raises, and an ImageError where it is malformed."""
    for entry in read_package(body, name=name):
        folder, _, rest = entry.path.partition("/")
        if rest == "DESCRIPTION" and entry.kind is EntryKind.FILE:
            if entry.size_bytes > _LARGEST_DESCRIPTION_BYTES:
                raise ImageError(f"{name}: a DESCRIPTION of {entry.size_bytes} bytes")
            try:
                description = RDescription.parse(decode_description(entry.read()))
            except ValueError as error:
                raise ImageError(f"{name}: not an R package that can be used: {error}") from error
            if description.name != folder:
                raise ImageError(f"{name}: not an R package that can be used: {description.name} lies in {folder}/")
            return description
    raise ImageError(f"{name}: not an R package that can be used: it has no DESCRIPTION")


def _decompressed(file: BinaryIO, name: str) -> BinaryIO:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return open_decompressed(file, Compression.GZIP, where=name)
    if magic.startswith(b"BZh"):
        return cast("BinaryIO", bz2.open(file))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast("BinaryIO", lzma.open(file))
    if magic.startswith(_ZSTD):
        return open_decompressed(file, Compression.ZSTD, where=name)
    raise ImageError(f"{name}: not an R package that can be used: it is compressed in no way that R knows")
