"""Which languages a set of characters can write, and the languages of a font's names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.characters import CharacterSet

__all__ = ["LanguageSet", "covered_languages", "name_languages"]

_EXCLUSIVE: Final = frozenset({"ja", "zh-cn", "ko", "zh-tw"})
"""Languages that share characters: a font that names one of them in OS/2 is not taken to support the others."""


@dataclass(frozen=True, slots=True)
class LanguageSet:
    """A set of languages: bit n of ``mask`` is the n-th of ``count`` languages in fontconfig's own order."""

    mask: int
    count: int


def _data(name: str) -> str:
    return (files("ocibuild.ecosystem.apt.configure.fontconfig") / "data" / name).read_text(encoding="ascii")


def _characters(ranges: str) -> Iterator[int]:
    """The characters of a line of data/orthographies.txt (data/README.md describes it)."""
    end = 0
    for word in ranges.split():
        distance, _, rest = word.partition("+")
        first = end + int(distance, 16)
        end = first + int(rest or "0", 16)
        yield from range(first, end + 1)


@cache
def _orthographies() -> tuple[tuple[str, CharacterSet], ...]:
    lines = (line.partition(": ") for line in _data("orthographies.txt").splitlines())
    return tuple((language, CharacterSet.of(_characters(ranges))) for language, _, ranges in lines)


@cache
def name_languages() -> Mapping[tuple[int, int], str]:
    """(platform, language number) of a name table's record -> language; what is not in it has none."""
    words = (line.split() for line in _data("name_languages.txt").splitlines())
    return MappingProxyType({(int(platform), int(number, 16)): language for platform, number, language in words})


@cache
def covered_languages(characters: CharacterSet, *, exclusive: str | None, count: int) -> LanguageSet:
    """The first ``count`` languages all of whose characters are in the set.

    Of the languages that share Han characters, only those count whose orthography has as many pages as that of
    ``exclusive``, if it is given. (fontconfig's FcFreeTypeLangSet; it means to compare the pages themselves, but its
    loop only compares their number.)
    """
    orthographies = _orthographies()[:count]
    exclusive_pages = next((len(needed.pages) for name, needed in orthographies if name == exclusive), None)
    pages = dict(characters.pages)
    mask = 0
    for number, (name, needed) in enumerate(orthographies):
        if exclusive_pages is not None and name in _EXCLUSIVE and len(needed.pages) != exclusive_pages:
            continue
        if characters.covers(needed, pages=pages):
            mask |= 1 << number
    return LanguageSet(mask, count)
