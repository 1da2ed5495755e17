"""The patterns of a file in a font folder."""

import struct
import zlib
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern
from ocibuild.ecosystem.apt.configure.fontconfig.query import query_face
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import COLLECTION, VERSIONS, sfnt_faces
from ocibuild.ecosystem.apt.configure.fontconfig.type1 import is_type1
from ocibuild.ecosystem.apt.configure.fontconfig.type1query import query_type1
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError
from ocibuild.ecosystem.apt.configure.fontconfig.woff import WOFF, unwrapped

__all__ = ["query_file"]

_SIGNATURES: Final = (
    b"\0\2", b"\0\3", b"MZ",  # Windows FNT, alone (which "\0\2\0\0" of old TrueType falls under too) or in a library
    b"\1",  # PCF, CFF
    b"typ1", b"wOF2", b"\xa5kbd", b"\xa5lst",  # SFNT
    b"%!", b"\x80\1",  # Type 42, CID, damaged Type 1
    b"PFR0",
    b"\x1f\x9d", b"BZ",  # PCF that is compressed by compress or bzip2
)  # fmt: skip
"""How the files that FreeType's drivers open begin, but for those that are modelled and BDF."""
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib's number for "with a gzip header"
_PCF: Final = b"\1fcp"
_BDF: Final = b"STARTFONT"  # behind any number of comments
_MAC_BINARY_ZEROS: Final = (0, 63, 74, 82)
_MAC_BINARY_HEADER: Final = 128
_RESOURCE_HEADER: Final = struct.Struct(">IIII")  # of data and map: their offsets, then their lengths


def query_file(data: bytes, *, path: str, release: Release) -> tuple[Pattern, ...]:
    """The patterns of the faces in a file, in order; none where it is no font that FreeType opens.

    ``path`` is the file's place in the image (``/usr/share/fonts/...``). An UnmodelledError for a font whose kind or
    features are not modelled, and for a file of which it is not certain that FreeType would not open it.
    """
    if data[:4] == COLLECTION or data[:4] in VERSIONS:
        return tuple(query_face(face, path=path, release=release) for face in sfnt_faces(data, where=path))
    if data[:4] == WOFF:
        return tuple(
            query_face(face, path=path, release=release, wrapper=WOFF.upper())
            for face in sfnt_faces(unwrapped(data, where=path), where=path)
        )
    if is_type1(data):
        return (query_type1(data, path=path, release=release),)
    if data.startswith(_GZIP) and not _may_be_compressed_pcf(data):
        return ()
    if data.startswith((*_SIGNATURES, _GZIP)) or _BDF in data or _may_be_macintosh_resources(data):
        raise UnmodelledError(f"{path}: a font of a kind that is not modelled, or a file that begins like one")
    return ()


def _may_be_compressed_pcf(data: bytes) -> bool:
    """Whether a gzip file holds a PCF font, the only kind that FreeType looks for in one, or is damaged."""
    try:
        start = zlib.decompressobj(_GZIP_WINDOW).decompress(data, len(_PCF))
    except zlib.error:
        return True
    return start == _PCF or len(start) < len(_PCF)


def _may_be_macintosh_resources(data: bytes) -> bool:
    """Whether FreeType might find fonts among Macintosh resources, which it looks for in any file (its ftobjs.c)."""
    if len(data) >= _MAC_BINARY_HEADER and not any(data[at] for at in _MAC_BINARY_ZEROS) and data[1]:
        return True
    if len(data) < _RESOURCE_HEADER.size:
        return False
    start, map_start, length, map_length = _RESOURCE_HEADER.unpack_from(data)
    return bool(map_start) and start + length <= len(data) and map_start + map_length <= len(data)
