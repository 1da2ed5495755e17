"""The pattern of a face of a TrueType or OpenType font, as fontconfig's FcFreeTypeQueryFace makes it."""

from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.bitmap import strike_heights
from ocibuild.ecosystem.apt.configure.fontconfig.cff import compact_font
from ocibuild.ecosystem.apt.configure.fontconfig.coverage import Coverage, face_coverage
from ocibuild.ecosystem.apt.configure.fontconfig.glyf import draws_more_than_notdef
from ocibuild.ecosystem.apt.configure.fontconfig.languages import LanguageSet, covered_languages
from ocibuild.ecosystem.apt.configure.fontconfig.layout import capability
from ocibuild.ecosystem.apt.configure.fontconfig.naming import add_names
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern, PatternBuilder, Property, Range
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.sfnt import SfntFace, WindowsMetrics
from ocibuild.ecosystem.apt.configure.fontconfig.spacing import PROPORTIONAL
from ocibuild.ecosystem.apt.configure.fontconfig.style import (
    BOLD,
    ITALIC,
    MEDIUM,
    NORMAL_WIDTH,
    ROMAN,
    WIDTH_CLASSES,
    is_decorative,
    slant_of_style,
    weight_of_class,
    weight_of_style,
    width_of_style,
)

__all__ = ["query_face"]

_EXCLUSIVE_CODE_PAGES: Final = {17: "ja", 18: "zh-cn", 19: "ko", 20: "zh-tw"}  # bits of OS/2's ulCodePageRange1
_BOLD_SELECTION, _ITALIC_SELECTION = 1 << 5, 1 << 9 | 1
_BOLD_MAC_STYLE, _ITALIC_MAC_STYLE = 1, 2
_TWIPS_PER_POINT: Final = 20
_FIRST_WITH_OPTICAL_SIZES: Final = 5  # version of OS/2


def query_face(face: SfntFace, *, path: str, release: Release) -> Pattern:
    """The pattern of a face in the file ``path`` (``/usr/share/fonts/...``).

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
    _add_coverage(face_coverage(face, compact), windows, pattern, release)
    if not is_scalable:
        for height in strike_heights(face):
            pattern.add(Property.PIXEL_SIZE, height)
        pattern.add(Property.ANTIALIAS, value=False)
    pattern.add(Property.FONT_FORMAT, b"CFF" if compact else b"TrueType")
    if release.describes_wrapper:
        pattern.add(Property.NAMED_INSTANCE, value=False)
        pattern.add(Property.WRAPPER, b"SFNT")
    return pattern.build()


def _add_flags(face: SfntFace, pattern: PatternBuilder) -> bool:
    """Say whether the face has outlines and colours; returns whether it has outlines."""
    strikes = strike_heights(face)
    is_scalable = face.has_outlines or not strikes  # FreeType takes a face of empty glyphs only as scalable
    has_color = face.has(b"CBLC") or face.has(b"COLR") or face.has(b"SVG ")
    if strikes and is_scalable and not face.has(b"CFF ") and not draws_more_than_notdef(face):
        raise face.unmodelled("bitmaps, and an outline of no glyph but the missing one")
    pattern.add(Property.OUTLINE, is_scalable)
    pattern.add(Property.COLOR, has_color)
    pattern.add(Property.SCALABLE, is_scalable or has_color)
    pattern.add(Property.VARIABLE, value=False)
    return is_scalable


def _add_style(face: SfntFace, windows: WindowsMetrics | None, pattern: PatternBuilder) -> None:
    """Weight, width and slant: from OS/2, else from the style's name, else from the header's bits."""
    styles = pattern.strings(Property.STYLE)
    weight = weight_of_class(float(windows.weight_class)) if windows else None
    width = float(WIDTH_CLASSES[windows.width_class]) if windows and windows.width_class in WIDTH_CLASSES else None
    slant: int | None = None
    for style in styles:
        weight = weight_of_style(style) if weight is None else weight
        width = width_of_style(style) if width is None else width
        slant = slant_of_style(style) if slant is None else slant
    if windows and face.has_outlines:
        is_bold, is_italic = windows.selection & _BOLD_SELECTION, windows.selection & _ITALIC_SELECTION
    else:
        is_bold, is_italic = face.mac_style & _BOLD_MAC_STYLE, face.mac_style & _ITALIC_MAC_STYLE
    if weight is None:
        weight = BOLD if is_bold else MEDIUM
    if slant is None:
        slant = ITALIC if is_italic else ROMAN
    pattern.add(Property.SLANT, slant)
    pattern.add(Property.WEIGHT, float(weight))
    pattern.add(Property.WIDTH, float(NORMAL_WIDTH if width is None else width))
    pattern.add(Property.DECORATIVE, any(is_decorative(style) for style in styles))


def _add_coverage(
    coverage: Coverage, windows: WindowsMetrics | None, pattern: PatternBuilder, release: Release
) -> None:
    pattern.add(Property.SYMBOL, coverage.is_symbol)
    pattern.add(Property.CHARACTER_SET, coverage.characters)
    pattern.add(Property.LANGUAGES, _languages(coverage, windows, release))
    if coverage.spacing != PROPORTIONAL:
        pattern.add(Property.SPACING, coverage.spacing)


def _languages(coverage: Coverage, windows: WindowsMetrics | None, release: Release) -> LanguageSet:
    """The languages of a face: none for symbols; and only one of those with Han characters if OS/2 names just one."""
    if coverage.is_symbol:
        return LanguageSet(0, release.languages)
    pages = windows.code_pages if windows and windows.version >= 1 else 0
    exclusive = [language for bit, language in _EXCLUSIVE_CODE_PAGES.items() if pages & 1 << bit]
    return covered_languages(
        coverage.characters, exclusive=exclusive[0] if len(exclusive) == 1 else None, count=release.languages
    )
