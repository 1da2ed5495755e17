"""The map of strings to numbers in a compiled schema: what an enumeration, flags or a list of choices allows.

Source: GLib 2.74's ``gio/strinfo.c``: an array of 32-bit words, each item a number and a string between marks.
"""

import struct

from ocibuild.core.errors import ImageError

__all__ = ["WordMap"]

_STRING_MARK, _ALIAS_MARK, _END_MARK = b"\xff", b"\xfe", b"\xff"
_MOST_WORDS = 17
_FEWEST_WORDS = 2
_WORD_BYTES = 4


class WordMap:
    """An enumeration's nicks with their values, or choices (value 0), and aliases of either."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._numbers: dict[str, int] = {}
        self._values: set[int] = set()
        self._aliases: set[str] = set()

    def _append(self, number: int, text: str, mark: bytes) -> None:
        data = text.encode("utf-8", "surrogateescape")
        words = max(_FEWEST_WORDS, (len(data) + 6) // _WORD_BYTES)
        if words > _MOST_WORDS:
            raise ImageError(f"the name {text[:100]!r} is too long for a settings schema")
        self._data += struct.pack("<I", number & 0xFFFFFFFF)
        self._data += (mark + data).ljust(words * _WORD_BYTES - 1, b"\0") + _END_MARK

    def add(self, text: str, number: int = 0, *, is_unique: bool = False) -> None:
        """Allow a string; an ImageError where it, or with ``is_unique`` the number, is there already."""
        if text in self._numbers or text in self._aliases or (is_unique and number in self._values):
            raise ImageError(f"{text!r} or its value is given twice")
        self._numbers[text] = len(self._data) // _WORD_BYTES
        self._values.add(number)
        self._append(number, text, _STRING_MARK)

    def add_alias(self, alias: str, target: str) -> None:
        """Allow another word for an allowed string."""
        if alias in self._numbers or alias in self._aliases or target not in self._numbers:
            raise ImageError(f"the alias {alias!r} is given twice, or {target!r} does not exist")
        self._aliases.add(alias)
        # strinfo_scan skips the first number: the place it gives is that of the number before the target's string
        self._append(self._numbers[target], alias, _ALIAS_MARK)

    def __contains__(self, text: object) -> bool:
        return text in self._numbers

    def __bool__(self) -> bool:
        return bool(self._data)

    def words(self) -> tuple[int, ...]:
        """The array."""
        return struct.unpack(f"<{len(self._data) // _WORD_BYTES}I", self._data)
