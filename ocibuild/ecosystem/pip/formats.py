"""Which forms of a package are wanted: wheels, sources, or both.

Source: pip 26.3's ``models/format_control.py`` and "pip install" of its documentation (``--no-binary`` and the like).
"""

from dataclasses import dataclass, replace

__all__ = ["ALL", "Formats"]

ALL = ":all:"
"""Stands for every name that the other set does not hold."""

_NONE = ":none:"


@dataclass(frozen=True, slots=True)
class Formats:
    """Names of packages (or ``:all:``) of which no wheel is taken, and of which nothing but wheels.

    With ``prefer_wheels`` an older version that has a wheel is better than a newer one that has none. No name is in
    both sets; where ``:all:`` is in one, the other has the exceptions.
    """

    no_wheels: frozenset[str] = frozenset()
    only_wheels: frozenset[str] = frozenset()
    prefer_wheels: bool = False

    def told(self, option: str, value: str) -> "Formats":
        """What the formats are after ``no-binary`` or ``only-binary``: a later option wins over those before it."""
        from packaging.utils import canonicalize_name  # noqa: PLC0415 - a build with nothing to do reads settings too

        pair = (set(self.no_wheels), set(self.only_wheels))
        target, other = pair if option == "no-binary" else (pair[1], pair[0])
        names = [name.strip() for name in value.split(",") if name.strip()]
        while ALL in names:
            other.clear()
            target.clear()
            target.add(ALL)
            del names[: names.index(ALL) + 1]
            if _NONE not in names:
                names = []
        for name in names:
            if name == _NONE:
                target.clear()
                continue
            other.discard(canonicalize_name(name))
            target.add(canonicalize_name(name))
        return replace(self, no_wheels=frozenset(pair[0]), only_wheels=frozenset(pair[1]))

    def allows_wheels(self, name: str) -> bool:
        """Whether a wheel of the package may be taken from an index."""
        return name in self.only_wheels or (name not in self.no_wheels and ALL not in self.no_wheels)

    def allows_sources(self, name: str) -> bool:
        """Whether the package may be built from the source that an index has."""
        return name in self.no_wheels or (name not in self.only_wheels and ALL not in self.only_wheels)

    def arguments(self) -> list[str]:
        """The same for uv's command line."""
        return [
            *(f"--no-binary={name}" for name in sorted(self.no_wheels)),
            *(f"--only-binary={name}" for name in sorted(self.only_wheels)),
        ]
