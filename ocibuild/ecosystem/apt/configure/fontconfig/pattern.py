"""What fontconfig knows of one face: a pattern of properties and their values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from ocibuild.ecosystem.apt.configure.fontconfig.characters import CharacterSet
from ocibuild.ecosystem.apt.configure.fontconfig.languages import LanguageSet

__all__ = ["Pattern", "PatternBuilder", "Property", "Range", "Value"]


class Property(IntEnum):
    """The properties that a scan sets, by fontconfig's numbers (src/fcobjs.h; they are part of the cache's format)."""

    FAMILY = 1
    FAMILY_LANGUAGE = 2
    STYLE = 3
    STYLE_LANGUAGE = 4
    FULL_NAME = 5
    FULL_NAME_LANGUAGE = 6
    SLANT = 7
    WEIGHT = 8
    WIDTH = 9
    SIZE = 10
    PIXEL_SIZE = 12
    SPACING = 13
    FOUNDRY = 14
    ANTIALIAS = 15
    FILE = 21
    INDEX = 22
    OUTLINE = 24
    SCALABLE = 25
    CHARACTER_SET = 33
    LANGUAGES = 34
    FONT_VERSION = 35
    CAPABILITY = 36
    FONT_FORMAT = 37
    DECORATIVE = 40
    POSTSCRIPT_NAME = 46
    COLOR = 47
    SYMBOL = 48
    VARIABLE = 50
    HAS_HINTS = 51
    ORDER = 52
    NAMED_INSTANCE = 54
    WRAPPER = 55


@dataclass(frozen=True, slots=True)
class Range:
    """An interval of numbers, both ends included."""

    begin: float
    end: float


Value = bool | int | float | bytes | CharacterSet | LanguageSet | Range
"""A value: a string is its bytes, as fontconfig does not decode it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The properties of one face, in the order of their numbers, each with its values in order."""

    values: Mapping[Property, tuple[Value, ...]]

    def strings(self, name: Property) -> tuple[bytes, ...]:
        """The strings among the values of a property."""
        return tuple(value for value in self.values.get(name, ()) if isinstance(value, bytes))


class PatternBuilder:
    """Collects values, in the order in which they are found."""

    def __init__(self) -> None:
        self._values: dict[Property, list[Value]] = {}

    def add(self, name: Property, value: Value) -> None:
        """Add a value after those that the property has. A string ends at its first NUL, as C's do."""
        self._values.setdefault(name, []).append(value.partition(b"\0")[0] if isinstance(value, bytes) else value)

    def strings(self, name: Property) -> list[bytes]:
        """The strings added so far."""
        return [value for value in self._values.get(name, ()) if isinstance(value, bytes)]

    def build(self) -> Pattern:
        """The pattern."""
        return Pattern({name: tuple(self._values[name]) for name in sorted(self._values)})
