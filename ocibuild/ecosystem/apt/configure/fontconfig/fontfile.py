"""The patterns of a file in a font folder."""

from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern
from ocibuild.ecosystem.apt.configure.fontconfig.query import query_face
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import COLLECTION, VERSIONS, sfnt_faces
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["query_file"]

_TEXT_FONTS: Final = (b"%!", b"STARTFONT")
"""How fonts that are text begin: Type 1, Type 42, CID and BDF."""
_HEAD_BYTES: Final = 64
_TEXT: Final = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\r\n\f")


def query_file(data: bytes, *, path: str, release: Release) -> tuple[Pattern, ...]:
    """The patterns of the faces in a file, in order; none where it is no font that FreeType opens.

    ``path`` is the file's place in the image (``/usr/share/fonts/...``). An UnmodelledError for a font whose kind or
    features are not modelled, and for a file of which it is not certain that FreeType would not open it.
    """
    if data[:4] == COLLECTION or data[:4] in VERSIONS:
        return tuple(query_face(face, path=path, release=release) for face in sfnt_faces(data, where=path))
    if _is_certainly_no_font(data):
        return ()
    raise UnmodelledError(f"{path}: a font of another kind than TrueType and OpenType, or an unknown kind of file")


def _is_certainly_no_font(data: bytes) -> bool:
    """Whether a file is empty, or is text and does not begin as a font does.

    Of FreeType's formats only those of ``_TEXT_FONTS`` can begin with a line of text: all others, Macintosh resources
    included, have bytes that are none in their first ones.
    """
    head = data[:_HEAD_BYTES]
    return not head or (set(head) <= _TEXT and not head.lstrip().startswith(_TEXT_FONTS))
