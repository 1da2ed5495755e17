"""How often Python looks for objects that only refer to each other."""

import gc

__all__ = ["collect_seldom"]

_MADE_BETWEEN = 100_000
_YOUNG_BETWEEN = 20


def collect_seldom() -> None:
    """Have this process look seldom: for programs that end soon.

    A table of an image's files is a hundred thousand objects that stay, and Python looked through all of them again and
    again while one was made: a third of the processor time of a build that changes one file. Cycles are few here, and
    what is in none is freed at once as ever.
    """
    gc.set_threshold(_MADE_BETWEEN, _YOUNG_BETWEEN, _YOUNG_BETWEEN)
