"""The pattern of a face of a TrueType or OpenType font, as fontconfig's FcFreeTypeQueryFace makes it."""

from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.bitmap import strike_heights
from ocibuild.ecosystem.apt.configure.fontconfig.cff import compact_font
from ocibuild.ecosystem.apt.configure.fontconfig.coverage import face_coverage
from ocibuild.ecosystem.apt.configure.fontconfig.describe import add_coverage, add_style
from ocibuild.ecosystem.apt.configure.fontconfig.glyf import draws_nothing_but_notdef
from ocibuild.ecosystem.apt.configure.fontconfig.layout import capability
from ocibuild.ecosystem.apt.configure.fontconfig.naming import add_names
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern, PatternBuilder, Property, Range
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace, WindowsMetrics
from ocibuild.ecosystem.apt.configure.fontconfig.style import WIDTH_CLASSES, weight_of_class

__all__ = ["query_face"]

_EXCLUSIVE_CODE_PAGES: Final = {17: "ja", 18: "zh-cn", 19: "ko", 20: "zh-tw"}  # bits of OS/2's ulCodePageRange1
_BOLD_SELECTION, _ITALIC_SELECTION = 1 << 5, 1 << 9 | 1
_BOLD_MAC_STYLE, _ITALIC_MAC_STYLE = 1, 2
_TWIPS_PER_POINT: Final = 20
_FIRST_WITH_OPTICAL_SIZES: Final = 5  # version of OS/2


def query_face(face: SfntFace, *, path: str, release: Release, wrapper: bytes = b"SFNT") -> Pattern:
    """The pattern of a face in the file ``path`` (``/usr/share/fonts/...``), which is wrapped in ``wrapper``.

    An UnmodelledError where the font has a feature whose effect is not modelled.
    """
    if face.has(b"fvar"):
        raise face.unmodelled("a variable font")
    if face.has(b"CFF ") and not face.has(b"OS/2"):
        raise face.unmodelled("PostScript outlines and no OS/2 table")
    pattern = PatternBuilder()
    compact = compact_font(face)
    is_scalable = _add_flags(face, pattern)
    windows = face.windows_metrics
    foundry = add_names(face, pattern, path=path, release=release, notice=compact.notice if compact else None)
    pattern.add(Property.FILE, path.encode("utf-8", "surrogateescape"))
    pattern.add(Property.INDEX, face.index)
    pattern.add(Property.FONT_VERSION, face.revision)
    pattern.add(Property.ORDER, 0)
    able = capability(face) if windows else None
    if able is not None:
        pattern.add(Property.CAPABILITY, able)
    pattern.add(Property.HAS_HINTS, b"prep" in face.tables)
    if windows and windows.version >= _FIRST_WITH_OPTICAL_SIZES:
        smallest, largest = (size / _TWIPS_PER_POINT for size in windows.optical_sizes)
        pattern.add(Property.SIZE, smallest if smallest == largest else Range(smallest, largest))
    _add_style(face, windows, pattern)
    pattern.add(Property.FOUNDRY, foundry)
    add_coverage(pattern, face_coverage(face, compact), exclusive=_exclusive_language(windows), release=release)
    if not is_scalable:
        for height in strike_heights(face):
            pattern.add(Property.PIXEL_SIZE, height)
        pattern.add(Property.ANTIALIAS, value=False)
    pattern.add(Property.FONT_FORMAT, b"CFF" if compact else b"TrueType")
    if release.describes_wrapper:
        pattern.add(Property.NAMED_INSTANCE, value=False)
        pattern.add(Property.WRAPPER, wrapper)
    return pattern.build()


def _add_flags(face: SfntFace, pattern: PatternBuilder) -> bool:
    """Say whether the face has outlines and colours; returns whether it has outlines."""
    strikes = strike_heights(face)
    # A face without any glyph that draws is scalable, unless it has bitmaps; .notdef does not count then.
    draws = face.has_outlines and not (strikes and face.has(b"glyf") and draws_nothing_but_notdef(face))
    is_scalable = draws or not strikes
    if not is_scalable and face.has(b"BDF "):
        raise face.unmodelled("bitmaps alone, with properties of their own")
    has_color = face.has(b"CBLC") or face.has(b"COLR") or face.has(b"SVG ")
    pattern.add(Property.OUTLINE, is_scalable)
    pattern.add(Property.COLOR, has_color)
    pattern.add(Property.SCALABLE, is_scalable or has_color)
    pattern.add(Property.VARIABLE, value=False)
    return is_scalable


def _add_style(face: SfntFace, windows: WindowsMetrics | None, pattern: PatternBuilder) -> None:
    """Weight and width from OS/2, and what else tells of style."""
    if windows and face.has_outlines:
        is_bold, is_italic = windows.selection & _BOLD_SELECTION, windows.selection & _ITALIC_SELECTION
    else:
        is_bold, is_italic = face.mac_style & _BOLD_MAC_STYLE, face.mac_style & _ITALIC_MAC_STYLE
    add_style(
        pattern,
        weight=weight_of_class(float(windows.weight_class)) if windows else None,
        width=WIDTH_CLASSES.get(windows.width_class) if windows else None,
        is_bold=bool(is_bold),
        is_italic=bool(is_italic),
    )


def _exclusive_language(windows: WindowsMetrics | None) -> str | None:
    """The language with Han characters that OS/2 names, if it names just one."""
    pages = windows.code_pages if windows and windows.version >= 1 else 0
    named = [language for bit, language in _EXCLUSIVE_CODE_PAGES.items() if pages & 1 << bit]
    return named[0] if len(named) == 1 else None
