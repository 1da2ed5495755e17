"""What every kind of font's pattern says of style and characters."""

from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.coverage import Coverage
from ocibuild.ecosystem.apt.configure.fontconfig.languages import LanguageSet, covered_languages
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import PatternBuilder, Property
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release
from ocibuild.ecosystem.apt.configure.fontconfig.spacing import PROPORTIONAL
from ocibuild.ecosystem.apt.configure.fontconfig.style import (
    BOLD,
    ITALIC,
    MEDIUM,
    NORMAL_WIDTH,
    ROMAN,
    is_decorative,
    slant_of_style,
    weight_of_style,
    width_of_style,
)
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError

__all__ = ["add_coverage", "add_full_name", "add_style", "english_name"]

_EN: Final = b"en"


def english_name(pattern: PatternBuilder, name: Property, language: Property) -> bytes:
    """The name in English, else the first."""
    names, languages = pattern.strings(name), pattern.strings(language)
    return names[languages.index(_EN)] if _EN in languages else names[0]


def add_full_name(pattern: PatternBuilder, *, where: str) -> None:
    """Add the full name of a face that has none: family and style. ``where`` names the file in messages."""
    family = english_name(pattern, Property.FAMILY, Property.FAMILY_LANGUAGE)
    style = english_name(pattern, Property.STYLE, Property.STYLE_LANGUAGE)
    if family != family.rstrip() or style != style.lstrip():
        # fontconfig takes them away from the family itself, and 2.14 copies the style over itself wrongly.
        raise UnmodelledError(f"{where}: names with blanks around them, and no full name")
    pattern.add(Property.FULL_NAME, family + b" " + style)
    pattern.add(Property.FULL_NAME_LANGUAGE, _EN)


def add_style(
    pattern: PatternBuilder, *, weight: float | None, width: float | None, is_bold: bool, is_italic: bool
) -> None:
    """Add weight, width, slant and decoration: as given, else as the style's names tell, else as the flags do."""
    styles = pattern.strings(Property.STYLE)
    slant: int | None = None
    for style in styles:
        weight = weight_of_style(style) if weight is None else weight
        width = width_of_style(style) if width is None else width
        slant = slant_of_style(style) if slant is None else slant
    if weight is None:
        weight = BOLD if is_bold else MEDIUM
    if slant is None:
        slant = ITALIC if is_italic else ROMAN
    pattern.add(Property.SLANT, slant)
    pattern.add(Property.WEIGHT, float(weight))
    pattern.add(Property.WIDTH, float(NORMAL_WIDTH if width is None else width))
    pattern.add(Property.DECORATIVE, any(is_decorative(style) for style in styles))


def add_coverage(pattern: PatternBuilder, coverage: Coverage, *, exclusive: str | None, release: Release) -> None:
    """Add the characters, their languages and spacing; ``exclusive`` as :func:`covered_languages` takes it.

    A face of symbols has no languages, though it claims Latin characters.
    """
    if coverage.is_symbol:
        languages = LanguageSet(0, release.languages)
    else:
        languages = covered_languages(coverage.characters, exclusive=exclusive, count=release.languages)
    pattern.add(Property.SYMBOL, coverage.is_symbol)
    pattern.add(Property.CHARACTER_SET, coverage.characters)
    pattern.add(Property.LANGUAGES, languages)
    if coverage.spacing != PROPORTIONAL:
        pattern.add(Property.SPACING, coverage.spacing)
