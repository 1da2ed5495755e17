"""Whether all characters of a face are equally wide."""

from collections.abc import Iterable

__all__ = ["DUAL", "MONOSPACED", "PROPORTIONAL", "spacing"]

PROPORTIONAL, DUAL, MONOSPACED = 0, 90, 100
_MOST_WIDTHS = 3  # more need not be told apart


def _about_equal(first: int, second: int) -> bool:
    """Within a thirty-third of the larger (fontconfig's fc_approximately_equal)."""
    return abs(first - second) * 33 <= max(abs(first), abs(second))


def spacing(advances: Iterable[int]) -> int:
    """The spacing of a face whose encoded glyphs, in the order of their characters, have these advances.

    At most one width is monospaced; two, one of them the double of the other, are dual. Empty advances do not count.
    """
    widths: list[int] = []
    for advance in advances:
        if advance and not any(_about_equal(advance, width) for width in widths):
            widths.append(advance)
            if len(widths) == _MOST_WIDTHS:
                return PROPORTIONAL
    if len(widths) <= 1:
        return MONOSPACED
    return DUAL if _about_equal(2 * min(widths), max(widths)) else PROPORTIONAL
