"""Tiny fonts, and images that hold them, for the tests of fontconfig's caches."""

import io
import struct
from collections.abc import Callable, Mapping

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont, newTable
from fontTools.ttLib.tables.ttProgram import Program

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


def make_woff(font: bytes) -> bytes:
    """The font wrapped for the web."""
    wrapped = TTFont(io.BytesIO(font), recalcTimestamp=False)
    wrapped.flavor = "woff"
    target = io.BytesIO()
    wrapped.save(target)
    return target.getvalue()


def make_collection(*fonts: bytes) -> bytes:
    """The fonts in one file."""
    collection = TTCollection()
    collection.fonts = [TTFont(io.BytesIO(font), recalcTimestamp=False) for font in fonts]
    target = io.BytesIO()
    collection.save(target, shareTables=False)
    return target.getvalue()


def _encrypted(data: bytes, key: int) -> bytes:
    """The cipher of Type 1 fonts (Adobe Type 1 Font Format, section 7.3), behind four bytes of noise."""
    result = bytearray()
    for plain in b"\xaa\xbb\xcc\xdd" + data:
        cipher = plain ^ key >> 8
        result.append(cipher)
        key = (cipher + key) * 52845 + 22719 & 0xFFFF
    return bytes(result)


def make_type1(
    glyphs: Mapping[str, int], *, info: str = "", hexadecimal: bool = False, segments: bool = False, before: str = ""
) -> bytes:
    """A Type 1 font of blank glyphs with these widths. ``info`` is the content of its /FontInfo."""
    text = (
        f"%!PS-AdobeFont-1.0: TestType 1.00\n{before}11 dict begin\n/FontInfo 9 dict dup begin\n{info}\nend readonly def\n"
        "/FontName /TestType-Roman def\n/PaintType 0 def\n/FontType 1 def\n/FontMatrix [0.001 0 0 0.001 0 0] readonly def\n"
        "/Encoding StandardEncoding def\n/FontBBox {0 -200 1000 900} readonly def\ncurrentdict end\ncurrentfile eexec\n"
    )
    program = b"dup /Private 8 dict dup begin\n/RD {string currentfile exch readstring pop} executeonly def\n"
    program += b"/ND {noaccess def} executeonly def\n/BlueValues [] def\n/password 5839 def\n/lenIV 4 def\n"
    program += f"2 index /CharStrings {len(glyphs)} dict dup begin\n".encode()
    for name, width in glyphs.items():
        charstring = b"\x8b\xff" + struct.pack(">i", width) + b"\x0d\x0e"  # 0 width hsbw endchar
        encrypted = _encrypted(charstring, 4330)
        program += f"/{name} {len(encrypted)} RD ".encode() + encrypted + b" ND\n"
    program += (
        b"end\nend\nreadonly put\nnoaccess put\ndup /FontName get exch definefont pop\nmark currentfile closefile\n"
    )
    body = _encrypted(program, 55665)
    trailer = b"\n" + b"0" * 64 + b"\ncleartomark\n"
    if segments:
        parts = [(1, text.encode()), (2, body), (1, trailer)]
        return b"".join(struct.pack("<BBI", 0x80, kind, len(part)) + part for kind, part in parts) + b"\x80\x03"
    return text.encode() + (body.hex().encode() if hexadecimal else body) + trailer


def _add_names(builder: FontBuilder) -> None:
    table = builder.font["name"]
    for text, number, platform, encoding, language in (
        ("Prüfschrift", 1, 3, 1, 0x407),
        ("Test Sans", 1, 3, 1, 0x809),  # as the English one: not repeated
        ("テスト", 1, 3, 1, 0x411),
        ("Test Sans Condensed Kursiv", 16, 3, 1, 0x409),
        ("Rough Tëst", 4, 1, 0, 0),
        ("  Blank  ", 2, 3, 1, 0x40C),
        ("Test Unicode", 1, 0, 3, 0),
        ("PRC", 1, 3, 3, 0x804),
        ("Fake", 4, 1, 0, 0x409),
    ):
        table.setName(text, number, platform, encoding, language)
    table.setName("ゴシック".encode("shift_jis"), 1, 1, 0, 0)  # Japanese that claims to be Roman
    table.setName(b"odd", 1, 3, 1, 0x40A)  # half a UTF-16 unit


def _make_symbol(builder: FontBuilder) -> None:
    for subtable in builder.font["cmap"].tables:
        subtable.platformID, subtable.platEncID = 3, 0
    builder.font["cmap"].tables = builder.font["cmap"].tables[:1]


def _forget_names(builder: FontBuilder) -> None:
    builder.font["name"].names = []


def _add_scripts(builder: FontBuilder) -> None:
    builder.addOpenTypeFeatures(
        "languagesystem DFLT dflt; languagesystem latn dflt; languagesystem grek dflt;"
        "feature liga { sub A by B; } liga; feature kern { pos A B -20; } kern;"
    )
    builder.font["prep"] = table = newTable("prep")
    table.program = Program()
    table.program.fromBytecode(b"")


def _break_postscript_name(builder: FontBuilder) -> None:
    builder.font["name"].setName("Test (Sans) Odd", 6, 3, 1, 0x409)


def golden_fonts() -> dict[str, bytes]:
    """File names and fonts, one a feature, whose real caches lie in tests/unit/ecosystem/apt/fontconfig/golden/.

    tests/oracle/test_fontconfig.py makes those anew and compares.
    """
    latin = {code: f"g{code}" for code in (*range(0x20, 0x7F), *range(0xA0, 0x180), 0x1F600, 0x20AC)}
    controls = {0x09: "tab", 0x0D: "cr", 0x1F: "us", **latin}
    no_vendor = {"achVendID": "\0\0\0\0"}
    type1_info = "/FullName (Test Type Bold Oblique) readonly def\n/FamilyName (Test Type) readonly def\n"
    type1_info += "/Weight (Demi) readonly def\n/ItalicAngle -12.5 def\n/Notice (Copyright \\(URW\\)++) readonly def"
    letters = {".notdef": 250, "space": 300, "A": 600, "a.alt": 450, "uni0416": 700, "Delta": 612, "a12": 800}
    return {
        "a-plain.ttf": make_font(),
        "b-names.ttf": make_font(adjust=_add_names, windows=no_vendor, names={"trademark": "of Bitstream"}),
        "c-controls.ttf": make_font(characters=controls, empty=("tab", "us")),
        "d-postscript.otf": make_font(
            family="Test Serif",
            style="Bold Oblique",
            postscript=True,
            characters=controls,
            empty=("tab", "us"),
            windows={**no_vendor, "usWeightClass": 750, "usWidthClass": 3},
        ),
        "e-mono.ttf": make_font(
            family="Test Mono", characters=latin, advances=dict.fromkeys((".notdef", *latin.values()), 600)
        ),
        "f-dual.ttf": make_font(advances={"space": 500, "A": 1000, "B": 500}),
        "g-symbol.ttf": make_font(family="Test Symbol", characters={0xF020: "space", 0xF041: "A"}, adjust=_make_symbol),
        "h-nameless.ttf": make_font(
            adjust=_forget_names,
            windows={"version": 5, "usLowerOpticalPointSize": 120, "usUpperOpticalPointSize": 240},
        ),
        "i-exclusive.ttf": make_font(windows={"ulCodePageRange1": 1 << 17}),
        "j-notes.txt": b"Not a font.\n",
        "k-wrapped.woff": make_woff(make_font(family="Test Web")),
        "l-collection.ttc": make_collection(make_font(family="Test One"), make_font(family="Test Two", style="Black")),
        "m-scripts.ttf": make_font(adjust=_add_scripts),
        "n-broken.ttf": make_font(adjust=_break_postscript_name, windows={"usWeightClass": 0, "usWidthClass": 0}),
        "o-type1.pfb": make_type1(letters, info=type1_info, segments=True),
        "p-type1.pfa": make_type1(letters, hexadecimal=True),
        "q-type1.t1": make_type1(dict.fromkeys(letters, 600), info="/FamilyName (Test Type) readonly def"),
    }
