"""fontconfig's scales of weight, width and slant, and the words in style names that stand on them."""

import re
from itertools import pairwise
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.names import folded

__all__ = [
    "BOLD",
    "ITALIC",
    "MEDIUM",
    "NORMAL_WIDTH",
    "ROMAN",
    "WIDTH_CLASSES",
    "is_decorative",
    "slant_of_style",
    "weight_named",
    "weight_of_class",
    "weight_of_style",
    "width_of_style",
]

ROMAN, ITALIC, OBLIQUE = 0, 100, 110
MEDIUM, BOLD = 100, 200
NORMAL_WIDTH: Final = 100

WIDTH_CLASSES: Final = {1: 50, 2: 63, 3: 75, 4: 87, 5: 100, 6: 113, 7: 125, 8: 150, 9: 200}
"""OS/2's usWidthClass -> fontconfig's width."""

_WEIGHT_CLASSES: Final = (
    (0, 0), (100, 0), (200, 40), (300, 50), (350, 55), (380, 75), (400, 80), (500, 100), (600, 180), (700, 200),
    (800, 205), (900, 210), (1000, 215),
)  # fmt: skip
"""OS/2's usWeightClass -> fontconfig's weight, linear between two of them (fontconfig's fcweight.c)."""

_ULTRA_ALONE: Final = "<ultra"  # only as a word
_WEIGHTS: Final = {
    "thin": 0, "extralight": 40, "ultralight": 40, "demilight": 55, "semilight": 55, "light": 50, "book": 75,
    "regular": 80, "normal": 80, "medium": 100, "demibold": 180, "demi": 180, "semibold": 180, "extrabold": 205,
    "superbold": 205, "ultrabold": 205, "bold": 200, "ultrablack": 215, "superblack": 215, "extrablack": 215,
    _ULTRA_ALONE: 205, "black": 210, "heavy": 210,
}  # fmt: skip
_WIDTHS: Final = {
    "ultracondensed": 50, "extracondensed": 63, "semicondensed": 87, "condensed": 75, "normal": 100,
    "semiexpanded": 113, "extraexpanded": 150, "ultraexpanded": 200, "expanded": 125, "extended": 125,
}  # fmt: skip
_SLANTS: Final = {"italic": ITALIC, "kursiv": ITALIC, "oblique": OBLIQUE}
_DECORATIONS: Final = ("shadow", "caps", "antiqua", "romansc", "embosed", "dunhill")


def weight_of_class(weight_class: float) -> float:
    """The weight on fontconfig's scale of an OpenType weight class; -1 for a negative one."""
    if weight_class < 0:
        return -1.0
    weight_class = min(weight_class, float(_WEIGHT_CLASSES[-1][0]))
    for (low, low_weight), (high, high_weight) in pairwise(_WEIGHT_CLASSES):
        if weight_class == high:
            return float(high_weight)
        if weight_class < high:
            return low_weight + (weight_class - low) * (high_weight - low_weight) / (high - low)
    raise AssertionError(weight_class)


def _first_word(style: bytes, words: dict[str, int]) -> int | None:
    """The value of the first of the words, in their order, that the style contains; blanks and case do not count."""
    text = folded(style)
    for word, value in words.items():
        if word == _ULTRA_ALONE:
            if re.search(rb"(?:^|[^0-9A-Za-z\x7f-\xff])ultra(?![0-9A-Za-z\x7f-\xff])", style, re.IGNORECASE):
                return value
        elif word.encode() in text:
            return value
    return None


def weight_named(text: bytes) -> int | None:
    """The weight that a text names, if it says nothing else; blanks and case do not count."""
    return _WEIGHTS.get(folded(text).decode("utf-8", "replace"))


def weight_of_style(style: bytes) -> int | None:
    """The weight that a style name tells."""
    return _first_word(style, _WEIGHTS)


def width_of_style(style: bytes) -> int | None:
    """The width that a style name tells."""
    return _first_word(style, _WIDTHS)


def slant_of_style(style: bytes) -> int | None:
    """The slant that a style name tells."""
    return _first_word(style, _SLANTS)


def is_decorative(style: bytes) -> bool:
    """Whether a style name tells of a face that is not for text."""
    return _first_word(style, dict.fromkeys(_DECORATIONS, 1)) is not None
