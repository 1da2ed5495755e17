"""The order in which a GHashTable with string keys gives its entries, on which the bytes of GLib's files depend.

Source: GLib 2.74's ``glib/ghash.c`` (unchanged in 2.84): open addressing, triangular probing, growth at 15/16, and
``g_str_hash``. Nothing is ever removed here.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["GHashTable", "string_hash"]

_Value = TypeVar("_Value")

_SMALLEST_SHIFT = 3
_WORD = 0xFFFFFFFF
# The prime by which a table of 1 << n places is indexed.
_PRIMES = (
    1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071, 262139, 524287, 1048573,
    2097143, 4194301, 8388593, 16777213, 33554393, 67108859, 134217689, 268435399, 536870909, 1073741789, 2147483647,
)  # fmt: skip


def string_hash(text: str) -> int:
    """``g_str_hash`` of the text's UTF-8: 32 bits; every byte counts as a signed ``char``, on every architecture."""
    value = 5381
    for byte in text.encode("utf-8", "surrogateescape"):
        value = (value * 33 + byte - (byte & 0x80) * 2) & _WORD
    return value


class GHashTable(Generic[_Value]):
    """A mapping of strings that iterates as GLib's does after the same insertions in the same order."""

    def __init__(self) -> None:
        self._values: dict[str, _Value] = {}
        self._set_shift(_SMALLEST_SHIFT)
        self._places: list[str | None] = [None] * self._size

    def _set_shift(self, shift: int) -> None:
        self._size = 1 << shift
        self._modulus = _PRIMES[shift]

    def _first_place(self, key: str) -> int:
        hashed = string_hash(key)
        return (max(hashed, 2) * 11 & _WORD) % self._modulus  # 0 and 1 mark free places

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> _Value:
        return self._values[key]

    def get(self, key: str) -> _Value | None:
        """The value, or None where the table does not hold the key."""
        return self._values.get(key)

    def __setitem__(self, key: str, value: _Value) -> None:
        is_new = key not in self._values
        self._values[key] = value
        if not is_new:
            return
        place, step = self._first_place(key), 0
        while self._places[place] is not None:
            step += 1
            place = (place + step) & (self._size - 1)
        self._places[place] = key
        if self._size <= len(self) + len(self) // 16:
            self._grow()

    def _grow(self) -> None:
        """Resize in place: an entry moved to a place where one waits to be moved puts that one on its way next."""
        old_size = self._size
        self._set_shift(max(int(len(self) * 1.333).bit_length(), _SMALLEST_SHIFT))
        self._places += [None] * (self._size - old_size)
        moved = bytearray(self._size)
        for number in range(old_size):
            key = self._places[number]
            if key is None or moved[number]:
                continue
            self._places[number] = None
            while key is not None:
                place, step = self._first_place(key), 0
                while moved[place]:
                    step += 1
                    place = (place + step) & (self._size - 1)
                moved[place] = 1
                self._places[place], key = key, self._places[place]

    def items(self) -> Iterator[tuple[str, _Value]]:
        """The entries as ``g_hash_table_foreach`` gives them."""
        for key in self._places:
            if key is not None:
                yield key, self._values[key]
