"""Sets of characters, as fontconfig keeps them."""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CharacterSet"]

_PAGE_BITS = 8


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """A set of Unicode characters in pages of 256, each a mask whose bit n is the page's character n.

    ``pages`` are sorted by number; fontconfig calls them leaves.
    """

    pages: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, characters: Iterable[int]) -> "CharacterSet":
        """The set of these characters."""
        pages: dict[int, int] = {}
        for character in characters:
            page = character >> _PAGE_BITS
            pages[page] = pages.get(page, 0) | 1 << (character & 0xFF)
        return cls(tuple(sorted(pages.items())))

    def __len__(self) -> int:
        return sum(mask.bit_count() for _, mask in self.pages)

    def covers(self, other: "CharacterSet", *, pages: dict[int, int] | None = None) -> bool:
        """Whether every character of ``other`` is in this set; ``pages`` saves making a dictionary each time."""
        own = dict(self.pages) if pages is None else pages
        return all(not mask & ~own.get(number, 0) for number, mask in other.pages)
