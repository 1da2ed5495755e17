"""The container of TrueType and OpenType fonts: its faces and their tables."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["Metrics", "SfntFace", "WindowsMetrics", "sfnt_faces"]

COLLECTION: Final = b"ttcf"
OPENTYPE: Final = b"OTTO"
VERSIONS: Final = frozenset({b"\0\1\0\0", b"true", OPENTYPE})
_WINDOWS_BYTES: Final = {0: 78, 1: 86, 2: 96, 3: 96, 4: 96, 5: 100}  # of OS/2, by its version
_LAST_WINDOWS_VERSION: Final = 5  # the first with optical sizes
_NO_VERSION: Final = 0xFFFF  # FreeType's mark of a table that is missing
_MOST_FACES: Final = 1024
_FEWEST_UNITS, _MOST_UNITS = 16, 16384  # FreeType refuses a head table whose unitsPerEm is outside


@dataclass(frozen=True, slots=True)
class WindowsMetrics:
    """What is used of an ``OS/2`` table (OpenType, "OS/2"). Optical sizes are in twentieths of a point."""

    version: int
    weight_class: int
    width_class: int
    vendor: bytes
    selection: int
    code_pages: int
    optical_sizes: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Horizontal advances (OpenType, "hmtx"): one a glyph, the last one for all that follow."""

    advances: tuple[int, ...]

    def advance(self, glyph: int) -> int:
        """The advance of a glyph in font units."""
        return self.advances[min(glyph, len(self.advances) - 1)]


@dataclass(frozen=True)
class SfntFace:
    """One face of a font file. ``tables`` is its directory: tag -> (offset, length), the first of a tag.

    FreeType opens damaged fonts in many ways of its own; a face that needs them is an UnmodelledError here, when
    it is read or when the table is asked for. ``where`` names the file in messages.
    """

    where: str
    data: bytes
    index: int
    version: bytes
    tables: Mapping[bytes, tuple[int, int]]

    def unmodelled(self, what: str) -> UnmodelledError:
        """The error that says that this face has ``what``."""
        return UnmodelledError(f"{self.where}: {what}")

    def has(self, tag: bytes) -> bool:
        """Whether there is a table of this tag that is not empty: FreeType takes an empty one as missing."""
        return self.tables.get(tag, (0, 0))[1] > 0

    def table(self, tag: bytes, *, at_least_bytes: int = 1) -> bytes:
        """A table's bytes; an UnmodelledError where it is missing or shorter."""
        offset, length = self.tables.get(tag, (0, 0))
        if length < at_least_bytes:
            raise self.unmodelled(f"a {tag.decode('latin-1')} table of {length} bytes")
        return self.data[offset : offset + length]

    @cached_property
    def has_outlines(self) -> bool:
        """Whether there are outlines that FreeType uses: it ignores them beside colour bitmaps."""
        return not (self.has(b"CBLC") or self.has(b"CBDT")) and (self.has(b"glyf") or self.has(b"CFF "))

    @cached_property
    def revision(self) -> int:
        """``head``'s fontRevision, a signed 16.16 number as it stands."""
        revision: int = struct.unpack_from(">i", self.table(b"head", at_least_bytes=54), 4)[0]
        return revision

    @cached_property
    def mac_style(self) -> int:
        """``head``'s macStyle: bit 0 is bold, bit 1 italic."""
        style: int = struct.unpack_from(">H", self.table(b"head", at_least_bytes=54), 44)[0]
        return style

    @cached_property
    def has_long_locations(self) -> bool:
        """Whether ``loca`` has 32-bit offsets."""
        location_format: int = struct.unpack_from(">h", self.table(b"head", at_least_bytes=54), 50)[0]
        if location_format not in (0, 1):
            raise self.unmodelled(f"a head table with location format {location_format}")
        return location_format == 1

    @cached_property
    def glyph_count(self) -> int:
        """How many glyphs ``maxp`` promises."""
        count: int = struct.unpack_from(">H", self.table(b"maxp", at_least_bytes=6), 4)[0]
        return count

    @cached_property
    def metrics(self) -> Metrics:
        """The advances of the face."""
        count = struct.unpack_from(">H", self.table(b"hhea", at_least_bytes=36), 34)[0]
        table = self.table(b"hmtx")
        if not count or 4 * count > len(table):
            raise self.unmodelled(f"{count} horizontal metrics in {len(table)} bytes")
        return Metrics(struct.unpack(f">{2 * count}H", table[: 4 * count])[::2])

    @cached_property
    def windows_metrics(self) -> WindowsMetrics | None:
        """The ``OS/2`` table, None where there is none."""
        if not self.has(b"OS/2"):
            return None
        table = self.table(b"OS/2", at_least_bytes=78)
        version, _, weight, width = struct.unpack_from(">4H", table)
        needed = _WINDOWS_BYTES.get(version, _WINDOWS_BYTES[_LAST_WINDOWS_VERSION])
        if version == _NO_VERSION or len(table) < needed:
            raise self.unmodelled(f"an OS/2 table of version {version} in {len(table)} bytes")
        return WindowsMetrics(
            version=version,
            weight_class=weight,
            width_class=width,
            vendor=table[58:62],
            selection=struct.unpack_from(">H", table, 62)[0],
            code_pages=struct.unpack_from(">I", table, 78)[0] if version >= 1 else 0,
            optical_sizes=struct.unpack_from(">HH", table, 96) if version >= _LAST_WINDOWS_VERSION else (0, 0xFFFF),
        )


def sfnt_faces(data: bytes, *, where: str) -> tuple[SfntFace, ...]:
    """The faces of a font file or collection, in order (OpenType, "Organization of an OpenType Font").

    An UnmodelledError where the file is damaged or has a kind of table whose effect is not modelled.
    """
    if data[:4] != COLLECTION:
        return (_face(data, 0, 0, where),)
    count = int.from_bytes(data[8:12], "big")
    if not 0 < count <= min(_MOST_FACES, len(data) // 32):
        raise UnmodelledError(f"{where}: a collection of {count} faces in {len(data)} bytes")
    return tuple(
        _face(data, index, offset, where) for index, offset in enumerate(struct.unpack_from(f">{count}I", data, 12))
    )


def _face(data: bytes, index: int, offset: int, where: str) -> SfntFace:
    version = data[offset : offset + 4]
    count = int.from_bytes(data[offset + 4 : offset + 6], "big")
    if version not in VERSIONS or offset + 12 + 16 * count > len(data):
        raise UnmodelledError(f"{where}: a table directory of version {version!r} with {count} tables")
    tables: dict[bytes, tuple[int, int]] = {}
    for tag, _, start, length in struct.iter_unpack(">4sIII", data[offset + 12 : offset + 12 + 16 * count]):
        if start + length > len(data):
            raise UnmodelledError(f"{where}: its {tag!r} table reaches behind the end of the file")
        tables.setdefault(tag, (start, length))
    face = SfntFace(where, data, index, version, tables)
    _check(face)
    return face


def _check(face: SfntFace) -> None:
    """Refuse what FreeType would open differently from what is modelled."""
    for tag in (b"sbix", b"bhed", b"CFF2"):
        if face.has(tag):
            raise face.unmodelled(f"a {tag.decode().strip()} table")
    units = struct.unpack_from(">H", face.table(b"head", at_least_bytes=54), 18)[0]
    if not _FEWEST_UNITS <= units <= _MOST_UNITS:
        raise face.unmodelled(f"{units} units per em")
    is_postscript = face.version == OPENTYPE
    is_bitmap_font = face.has(b"CBDT") or face.has(b"EBDT")
    if face.has(b"CFF ") != is_postscript or (face.has(b"glyf") == is_postscript and not is_bitmap_font):
        raise face.unmodelled(f"version {face.version!r}, whose outlines are of another kind or missing")
    for tag in (b"maxp", b"hhea", b"hmtx", b"cmap"):
        face.table(tag, at_least_bytes=4)
    if face.has(b"glyf"):
        face.table(b"loca", at_least_bytes=(face.glyph_count + 1) * (4 if face.has_long_locations else 2))
