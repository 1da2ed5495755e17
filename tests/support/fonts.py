"""Tiny fonts, and images that hold them, for the tests of fontconfig's caches."""

import io
from collections.abc import Callable, Mapping

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen

from ocibuild.core.paths import ancestors
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View, ViewEntry

STATUS = "Package: libfontconfig1\nVersion: {fontconfig}\n\nPackage: libfreetype6\nVersion: {freetype}\n"
BOOKWORM = STATUS.format(fontconfig="2.14.1-4", freetype="2.12.1+dfsg-5+deb12u4")
TRIXIE = STATUS.format(fontconfig="2.15.0-2.3", freetype="2.13.3+dfsg-1")
CONFIGURATION = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir prefix="xdg">fonts</dir>
  <dir>~/.fonts</dir>
  <include ignore_missing="yes">conf.d</include>
  <cachedir>/var/cache/fontconfig</cachedir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""
UNITS_PER_EM = 1000


def _square(pen: TTGlyphPen | T2CharStringPen) -> None:
    pen.moveTo((0, 0))
    pen.lineTo((0, 500))
    pen.lineTo((500, 500))
    pen.closePath()


def make_font(
    *,
    family: str = "Test Sans",
    style: str = "Regular",
    characters: Mapping[int, str] | None = None,
    advances: Mapping[str, int] | None = None,
    empty: tuple[str, ...] = (),
    postscript: bool = False,
    names: Mapping[str, str] | None = None,
    windows: Mapping[str, object] | None = None,
    adjust: Callable[[FontBuilder], None] | None = None,
) -> bytes:
    """A font of squares. ``empty`` names glyphs without an outline; ``adjust`` changes it before it is written."""
    characters = {0x20: "space", 0x41: "A", 0x42: "B"} if characters is None else characters
    order = [".notdef", *dict.fromkeys(characters.values())]
    builder = FontBuilder(UNITS_PER_EM, isTTF=not postscript)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(dict(characters))
    widths = {glyph: (advances or {}).get(glyph, 500 + 97 * number) for number, glyph in enumerate(order)}
    if postscript:
        charstrings = {}
        for glyph in order:
            pen = T2CharStringPen(widths[glyph], None)
            if glyph not in empty:
                _square(pen)
            charstrings[glyph] = pen.getCharString()
        builder.setupCFF("TestSans", {"FullName": family, "Notice": "made by URW"}, charstrings, {})
    else:
        glyphs = {}
        for glyph in order:
            glyph_pen = TTGlyphPen(None)
            if glyph not in empty:
                _square(glyph_pen)
            glyphs[glyph] = glyph_pen.glyph()
        builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics({glyph: (width, 0) for glyph, width in widths.items()})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable(
        {"familyName": family, "styleName": style, "psName": "TestSans-Regular", **(names or {})}, mac=False
    )
    builder.setupOS2(**{"sTypoAscender": 800, "usWeightClass": 400, "achVendID": "TEST", **(windows or {})})
    builder.setupPost()
    builder.font["head"].modified = builder.font["head"].created = 3_600_000_000
    if adjust is not None:
        adjust(builder)
    target = io.BytesIO()
    builder.font.recalcTimestamp = False
    builder.font.save(target)
    return target.getvalue()


def make_image(files: Mapping[str, bytes | str], *, status: str = BOOKWORM) -> Overlay:
    """An image that holds these files and fontconfig's configuration."""
    contents = {
        "var/lib/dpkg/status": status,
        "etc/fonts/fonts.conf": CONFIGURATION,
        **files,
    }
    kept = {path: text.encode() if isinstance(text, str) else text for path, text in contents.items()}
    entries = {path: ViewEntry("file", 0o644, size_bytes=len(content)) for path, content in kept.items()}
    for path in kept:
        entries.update((folder, ViewEntry("directory", 0o755)) for folder in ancestors(path))
    return Overlay(View(entries, kept=kept))


def golden_fonts() -> dict[str, bytes]:
    """File names and fonts, one a feature, whose real caches lie in tests/unit/ecosystem/apt/fontconfig/golden/.

    tests/oracle/test_fontconfig.py makes those anew and compares.
    """

    def add_names(builder: FontBuilder) -> None:
        table = builder.font["name"]
        for text, number, platform, encoding, language in (
            ("Prüfschrift", 1, 3, 1, 0x407),
            ("Test Sans", 1, 3, 1, 0x809),  # as the English one: not repeated
            ("テスト", 1, 3, 1, 0x411),
            ("Test Sans Condensed Kursiv", 16, 3, 1, 0x409),
            ("Rough Tëst", 4, 1, 0, 0),
            ("  Blank  ", 2, 3, 1, 0x40C),
        ):
            table.setName(text, number, platform, encoding, language)

    def make_symbol(builder: FontBuilder) -> None:
        for subtable in builder.font["cmap"].tables:
            subtable.platformID, subtable.platEncID = 3, 0
        builder.font["cmap"].tables = builder.font["cmap"].tables[:1]

    def forget_names(builder: FontBuilder) -> None:
        builder.font["name"].names = []

    latin = {code: f"g{code}" for code in (*range(0x20, 0x7F), *range(0xA0, 0x180), 0x1F600, 0x20AC)}
    controls = {0x09: "tab", 0x0D: "cr", 0x1F: "us", **latin}
    return {
        "a-plain.ttf": make_font(),
        "b-names.ttf": make_font(
            adjust=add_names, windows={"achVendID": "\0\0\0\0"}, names={"trademark": "of Bitstream"}
        ),
        "c-controls.ttf": make_font(characters=controls, empty=("tab", "us")),
        "d-postscript.otf": make_font(
            family="Test Serif",
            style="Bold Oblique",
            postscript=True,
            characters=controls,
            empty=("tab", "us"),
            windows={"achVendID": "\0\0\0\0", "usWeightClass": 750, "usWidthClass": 3},
        ),
        "e-mono.ttf": make_font(
            family="Test Mono",
            characters=latin,
            advances=dict.fromkeys((".notdef", *latin.values()), 600),
        ),
        "f-dual.ttf": make_font(advances={"space": 500, "A": 1000, "B": 500}),
        "g-symbol.ttf": make_font(family="Test Symbol", characters={0xF020: "space", 0xF041: "A"}, adjust=make_symbol),
        "h-nameless.ttf": make_font(
            adjust=forget_names, windows={"version": 5, "usLowerOpticalPointSize": 120, "usUpperOpticalPointSize": 240}
        ),
        "i-exclusive.ttf": make_font(windows={"ulCodePageRange1": 1 << 17}),
        "j-notes.txt": b"Not a font.\n",
    }
