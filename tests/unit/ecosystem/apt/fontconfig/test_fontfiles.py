"""Fonts that are damaged, hostile or of an odd make: they are named, or read as FreeType reads them."""

import random
import struct
from collections.abc import Callable, Iterable

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.ttLib.tables.DefaultTable import DefaultTable

from ocibuild.ecosystem.apt.configure.fontconfig.fontfile import query_file
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern, Property
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError
from tests.support.fonts import make_collection, make_font, make_type1, make_woff

RELEASE = Release("2.15.0", 9, 279, describes_wrapper=True, retries_as_utf16=True, repairs_postscript_names=True)
OLD = Release("2.14.1", 8, 246, describes_wrapper=False, retries_as_utf16=False)
PATH = "/usr/share/fonts/a.ttf"


def query(data: bytes, *, release: Release = RELEASE) -> tuple[Pattern, ...]:
    return query_file(data, path=PATH, release=release)


def table_of(font: bytes, tag: bytes) -> int:
    """Where a table begins in the file."""
    count = int.from_bytes(font[4:6], "big")
    entries = (font[at : at + 16] for at in range(12, 12 + 16 * count, 16))
    return next(int.from_bytes(entry[8:12], "big") for entry in entries if entry[:4] == tag)


def changed(font: bytes, tag: bytes, offset: int, content: bytes) -> bytes:
    start = table_of(font, tag) + offset
    return font[:start] + content + font[start + len(content) :]


def renamed(font: bytes, tag: bytes, to: bytes) -> bytes:
    return font.replace(tag, to, 1)


def characters(pattern: Pattern) -> set[int]:
    (found,) = pattern.values[Property.CHARACTER_SET]
    return {page << 8 | bit for page, mask in found.pages for bit in range(256) if mask >> bit & 1}  # type: ignore[union-attr]


def with_map(subtable: bytes, *, platform: int = 3, encoding: int = 1) -> Callable[[FontBuilder], None]:
    def adjust(builder: FontBuilder) -> None:
        table = DefaultTable("cmap")
        table.data = struct.pack(">HHHHI", 0, 1, platform, encoding, 12) + subtable
        builder.font["cmap"] = table

    return adjust


def segment_map(segments: Iterable[tuple[int, int, int, int]], glyphs: tuple[int, ...] = ()) -> bytes:
    """Format 4 of segments (first, last, delta, offset)."""
    rows = list(segments)
    count = len(rows)
    content = struct.pack(">4H", 2 * count, 0, 0, 0)
    content += struct.pack(f">{count}H2x{count}H", *(row[1] for row in rows), *(row[0] for row in rows))
    content += struct.pack(f">{2 * count}H", *(row[2] & 0xFFFF for row in rows), *(row[3] for row in rows))
    content += struct.pack(f">{len(glyphs)}H", *glyphs)
    return struct.pack(">HHH", 4, 6 + len(content), 0) + content


LAST = (0xFFFF, 0xFFFF, 1, 0)


@pytest.mark.parametrize(
    ("subtable", "expected"),
    [
        (segment_map([(0x41, 0x42, 1 - 0x41, 0), LAST]), {0x41, 0x42}),
        (segment_map([(0x41, 0x43, 0, 4), LAST], (1, 0, 2)), {0x41, 0x43}),  # glyph 0 is none
        (segment_map([(0x41, 0x49, 1 - 0x41, 0), LAST]), {0x41, 0x42, 0x43}),  # glyphs that are not there
        (segment_map([(0x41, 0x41, 1 - 0x41, 0), (0xFFFF, 0xFFFF, 0, 0xFFFF)]), {0x41}),
        (struct.pack(">HHH", 0, 262, 0) + bytes(0x41) + b"\1\2" + bytes(189), {0x41, 0x42}),
        (struct.pack(">HHHHH3H", 6, 16, 0, 0x41, 3, 1, 0, 3), {0x41, 0x43}),
        (struct.pack(">HHIIIIII", 12, 0, 28, 0, 1, 0x1F600, 0x1F601, 1), {0x1F600, 0x1F601}),
        (struct.pack(">HII", 14, 10, 0), set()),
    ],
)
def test_character_maps(subtable: bytes, expected: set[int]) -> None:
    (pattern,) = query(make_font(adjust=with_map(subtable)))
    assert characters(pattern) == expected


@pytest.mark.parametrize(
    "subtable",
    [
        segment_map([(0x42, 0x41, 0, 0), LAST]),
        segment_map([(0x41, 0x43, 0, 0), (0x42, 0x44, 0, 0), LAST]),
        segment_map([(0x41, 0x49, 0, 400), LAST]),
        segment_map([(0x41, 0x42, 0, 0)])[:20],
        struct.pack(">HHIIIIII", 12, 0, 28, 0, 1, 0x41, 0x40, 1),
        struct.pack(">HHIIIIII", 12, 0, 28, 0, 1, 0, 0xFFFFFFFF, 1),
        struct.pack(">HHIIIIII", 12, 0, 28, 0, 0xFFFFFFF, 0, 0, 1),
        struct.pack(">HH", 2, 4),
        struct.pack(">HH", 99, 4),
    ],
)
def test_a_character_map_that_is_damaged_or_unknown_is_named(subtable: bytes) -> None:
    with pytest.raises(UnmodelledError, match=PATH):
        query(make_font(adjust=with_map(subtable)))


def test_a_map_of_all_of_unicode_is_preferred() -> None:
    (pattern,) = query(make_font(characters={0x41: "A", 0x1F600: "B"}))
    assert characters(pattern) == {0x41, 0x1F600}


@pytest.mark.parametrize(
    "tag", [b"head", b"hhea", b"hmtx", b"maxp", b"cmap"], ids=["head", "hhea", "hmtx", "maxp", "cmap"]
)
def test_a_font_without_a_table_that_freetype_needs_is_named(tag: bytes) -> None:
    with pytest.raises(UnmodelledError, match=PATH):
        query(renamed(make_font(), tag, b"none"))


@pytest.mark.parametrize("tag", [b"sbix", b"bhed", b"CFF2", b"fvar"], ids=["sbix", "bhed", "CFF2", "fvar"])
def test_a_font_with_a_table_that_is_not_modelled_is_named(tag: bytes) -> None:
    with pytest.raises(UnmodelledError, match=tag.decode() if tag != b"fvar" else "variable"):
        query(renamed(make_font(), b"post", tag))


@pytest.mark.parametrize(
    ("tag", "offset", "content"),
    [
        (b"head", 18, b"\0\0"),  # units per em
        (b"hhea", 34, b"\xff\xff"),  # metrics
        (b"OS/2", 0, b"\xff\xff"),
        (b"cmap", 2, b"\xff\xff"),
        (b"name", 0, b"\0\2"),
        (b"name", 2, b"\xff\xff"),
    ],
)
def test_a_table_that_is_damaged_is_named(tag: bytes, offset: int, content: bytes) -> None:
    with pytest.raises(UnmodelledError, match=PATH):
        query(changed(make_font(), tag, offset, content))


def test_a_composite_glyph_that_contains_itself_is_named() -> None:
    font = make_font(characters={0x0D: "cr", 0x41: "A"})
    start = table_of(font, b"glyf")
    glyph = struct.unpack_from(">H", font, table_of(font, b"loca") + 2)[0] * 2
    assert start + glyph < len(font)
    itself = struct.pack(">h4hHHbb", -1, 0, 0, 0, 0, 0x0020, 1, 0, 0)
    with pytest.raises(UnmodelledError, match="followed"):
        query(changed(font, b"glyf", glyph, itself))


def test_random_damage_is_never_more_than_an_unmodelled_font() -> None:
    dice = random.Random(20221101)
    letters = {".notdef": 250, "space": 300, "A": 600}
    fonts = [
        make_font(),
        make_font(postscript=True, characters={0x0D: "cr", 0x41: "A"}),
        make_collection(make_font(), make_font()),
        make_woff(make_font()),
        make_type1(letters, info="/FamilyName (Test) def", segments=True),
        make_type1(letters, info="/FamilyName (Test) def", hexadecimal=True),
    ]
    refused = 0
    for _ in range(600):
        font = bytearray(dice.choice(fonts))
        for _ in range(dice.randint(1, 4)):
            font[dice.randrange(len(font) if dice.random() < 0.5 else min(400, len(font)))] = dice.randrange(256)
        cut = len(font) if dice.random() < 0.7 else dice.randrange(len(font))
        try:
            query(bytes(font[:cut]))
        except UnmodelledError as error:
            refused += 1
            assert str(error).startswith(PATH)  # noqa: PT017 - only some of them raise
    assert refused > 100


def test_a_web_font_says_what_it_is_wrapped_in() -> None:
    (pattern,) = query(make_woff(make_font()))
    assert pattern.values[Property.WRAPPER] == (b"WOFF",)
    assert Property.WRAPPER not in query(make_woff(make_font()), release=OLD)[0].values


def test_a_web_font_whose_table_grows_beyond_what_it_says_is_named() -> None:
    font = make_woff(make_font())
    shrunk = font[:44] + font[44:].replace(font[52:60], struct.pack(">II", 10, 11), 1)
    with pytest.raises(UnmodelledError, match=PATH):
        query(shrunk)


def test_the_faces_of_a_collection_are_numbered() -> None:
    patterns = query(make_collection(make_font(family="One"), make_font(family="Two")))
    assert [(p.strings(Property.FAMILY), p.values[Property.INDEX]) for p in patterns] == [
        ((b"One",), (0,)),
        ((b"Two",), (1,)),
    ]


@pytest.mark.parametrize(("release", "expected"), [(OLD, b"Test-Sans"), (RELEASE, b"TestSansOdd")])
def test_a_postscript_name_with_what_is_not_allowed(release: Release, expected: bytes) -> None:
    def adjust(builder: FontBuilder) -> None:
        builder.font["name"].setName("Test (Sans) Odd", 6, 3, 1, 0x409)

    (pattern,) = query(make_font(adjust=adjust), release=release)
    assert pattern.values[Property.POSTSCRIPT_NAME] == (expected,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"info": "/FamilyName (A) def\n/BlendAxisTypes [/Weight] def"}, "multiple master"),
        ({"info": "/FamilyName (A) def\n/Notice (see eexec) def"}, "eexec"),
        ({"before": "% currentfile eexec\n"}, "eexec"),
        ({"info": "/FamilyName <41> def"}, "FamilyName"),
    ],
)
def test_a_type1_font_that_is_not_modelled_is_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(UnmodelledError, match=words):
        query(make_type1({".notdef": 250, "A": 600}, **changes))  # type: ignore[arg-type]


def test_a_type1_font_without_characters_is_named() -> None:
    with pytest.raises(UnmodelledError, match="no characters"):
        query(make_type1({".notdef": 250, "g12": 600}))


def test_glyphs_of_one_character_that_differ_in_width_are_named_where_that_matters() -> None:
    same = {".notdef": 600, "Delta": 600, "increment": 300}
    with pytest.raises(UnmodelledError, match="differ in width"):
        query(make_type1(same))
    (pattern,) = query(make_type1({**same, "A": 100, "B": 200, "C": 400, "D": 800}))
    assert Property.SPACING not in pattern.values
