"""The pattern of a Type 1 font."""

from collections.abc import Iterable
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.characters import CharacterSet
from ocibuild.ecosystem.apt.configure.fontconfig.coverage import Coverage
from ocibuild.ecosystem.apt.configure.fontconfig.describe import add_coverage, add_full_name, add_style
from ocibuild.ecosystem.apt.configure.fontconfig.glyphnames import characters_of_glyphs
from ocibuild.ecosystem.apt.configure.fontconfig.naming import foundry_of_notice
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern, PatternBuilder, Property
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.spacing import spacing
from ocibuild.ecosystem.apt.configure.fontconfig.style import weight_named
from ocibuild.ecosystem.apt.configure.fontconfig.type1 import Type1Font
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["query_type1"]

_FIRST_PRINTABLE: Final = 0x20
_REGULAR: Final = b"Regular"
_BOLD_WEIGHTS: Final = (b"Bold", b"Black")


def query_type1(data: bytes, *, path: str, release: Release) -> Pattern:
    """The pattern of the Type 1 font in the file ``path``; an UnmodelledError as :func:`query_face` raises it."""
    font = Type1Font.parse(data, where=path)
    family = font.family or font.font_name
    if not family or not family.strip(b" ") or not font.font_name:
        raise UnmodelledError(f"{path}: a Type 1 font without a name")
    pattern = PatternBuilder()
    for name, value in ((Property.OUTLINE, True), (Property.COLOR, False), (Property.SCALABLE, True)):
        pattern.add(name, value)
    pattern.add(Property.VARIABLE, value=False)
    pattern.add(Property.FAMILY, family)
    pattern.add(Property.FAMILY_LANGUAGE, b"en")
    pattern.add(Property.STYLE, _style(font))
    pattern.add(Property.STYLE_LANGUAGE, b"en")
    add_full_name(pattern, where=path)
    pattern.add(Property.POSTSCRIPT_NAME, font.font_name[:255])
    pattern.add(Property.FILE, path.encode("utf-8", "surrogateescape"))
    pattern.add(Property.INDEX, 0)
    pattern.add(Property.FONT_VERSION, 0)
    pattern.add(Property.ORDER, 0)
    pattern.add(Property.HAS_HINTS, value=False)
    add_style(
        pattern,
        weight=weight_named(font.weight) if font.weight is not None else None,
        width=None,
        is_bold=font.weight in _BOLD_WEIGHTS,
        is_italic=font.italic_angle != 0,
    )
    pattern.add(Property.FOUNDRY, foundry_of_notice(font.notice) or b"unknown")
    add_coverage(pattern, _coverage(font), exclusive=None, release=release)
    pattern.add(Property.FONT_FORMAT, b"Type 1")
    if release.describes_wrapper:
        pattern.add(Property.NAMED_INSTANCE, value=False)
    return pattern.build()


def _style(font: Type1Font) -> bytes:
    """The style as FreeType makes it: what the full name has behind the family, else the weight, else Regular."""
    rest = _rest_of_full_name(font)
    style = rest if rest is not None else font.weight if font.weight is not None else _REGULAR
    if not style.strip(b" "):
        return _REGULAR
    return style


def _rest_of_full_name(font: Type1Font) -> bytes | None:
    """What the full name says behind the family, blanks and dashes passed over; Regular where it says no more."""
    if font.family is None or font.full_name is None:
        return None
    full, family = font.full_name, font.family
    while full:
        if family and full[0] == family[0]:
            full, family = full[1:], family[1:]
        elif full[:1] in (b" ", b"-"):
            full = full[1:]
        elif family[:1] in (b" ", b"-"):
            family = family[1:]
        else:
            return None if family else full
    return _REGULAR


def _coverage(font: Type1Font) -> Coverage:
    """The characters that the glyphs' names tell, and their spacing."""
    by_character = characters_of_glyphs([name for name, _ in font.glyphs])
    if not by_character or any(character < _FIRST_PRINTABLE for character in by_character):
        raise UnmodelledError(f"{font.where}: no characters, or control characters")

    def advances(chosen: int) -> Iterable[int]:
        return (font.advance(by_character[character][chosen]) for character in sorted(by_character))

    # Of several glyphs for a character FreeType's sorting takes one or the other.
    found = {spacing(advances(0)), spacing(advances(-1))}
    if len(found) != 1:
        raise UnmodelledError(f"{font.where}: glyphs of one character that differ in width")
    return Coverage(CharacterSet.of(by_character), found.pop(), is_symbol=False)
