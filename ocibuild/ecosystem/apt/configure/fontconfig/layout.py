"""What a face can do beyond drawing glyphs: the scripts of its layout tables, and Graphite."""

import struct
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace

__all__ = ["capability"]

_SCRIPT_LIST_OFFSET_AT: Final = 4  # in GSUB and GPOS (OpenType, "GSUB")
_GRAPHITE: Final = b"ttable:Silf "
_LAYOUT: Final = b"otlayout:"
_SCRIPT_CHARACTERS: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ")


def capability(face: SfntFace) -> bytes | None:
    """The value of fontconfig's ``capability``: ``otlayout:`` and each script, in order; None where there is none."""
    scripts = sorted(_scripts(face, b"GSUB") | _scripts(face, b"GPOS"))
    if not scripts and not face.has(b"Silf"):
        return None
    text = _GRAPHITE if face.has(b"Silf") else b""
    for script in scripts:
        if not set(script) <= _SCRIPT_CHARACTERS:
            continue  # fontconfig takes such a tag for damage
        # A blank goes before each but the first: behind Graphite's own trailing one too.
        text += (b" " if text else b"") + _LAYOUT + script
    return text


def _scripts(face: SfntFace, tag: bytes) -> set[bytes]:
    """The tags of a layout table's script list."""
    if tag not in face.tables:
        return set()
    # Read in the file, not in the table: fontconfig follows offsets without looking at the table's length.
    start = face.tables[tag][0]
    try:
        scripts = start + struct.unpack_from(">H", face.data, start + _SCRIPT_LIST_OFFSET_AT)[0]
        count = struct.unpack_from(">H", face.data, scripts)[0]
        records = face.data[scripts + 2 : scripts + 2 + 6 * count]
        found = [(script, scripts + offset) for script, offset in struct.iter_unpack(">4sH", records)]
    except struct.error as error:
        raise face.unmodelled(f"a {tag.decode()} table that is cut off") from error
    if len(found) != count or any(offset > len(face.data) for _, offset in found):
        raise face.unmodelled(f"a {tag.decode()} table that is cut off")
    tags = {script for script, _ in found}
    if len(tags) != count or not all(script.isascii() for script in tags):
        raise face.unmodelled(
            f"a {tag.decode()} table whose scripts {sorted(tags)} fontconfig would put in another order"
        )
    return tags
