"""GVariant values and their serialised form.

Source: the GVariant specification 1.0 (Ryan Lortie), sections 2.3 "Types" and 2.5 "Serialisation Format". All is
little endian.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["INTEGER_RANGES", "Variant", "element_type", "is_type", "member_types", "serialised"]

INTEGER_RANGES = {
    "y": (0, 2**8 - 1),
    "n": (-(2**15), 2**15 - 1),
    "q": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "u": (0, 2**32 - 1),
    "h": (-(2**31), 2**31 - 1),
    "x": (-(2**63), 2**63 - 1),
    "t": (0, 2**64 - 1),
}
_FIXED = {"y": "<B", "b": "<B", "n": "<h", "q": "<H", "i": "<i", "u": "<I", "h": "<i", "x": "<q", "t": "<Q", "d": "<d"}
_STRINGS = "sog"
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Variant:
    """A value with its type string.

    ``value`` is an int, float, bool or str; for an array, tuple or dictionary entry a sequence of such; for a maybe a
    sequence of none or one; for a variant (``v``) a Variant.
    """

    type: str
    value: Any


def _first_type_end(text: str, start: int, depth: int = 0) -> int:
    """Where the complete type ends that begins at ``start``; -1 where there is none."""
    if start >= len(text) or depth > _DEEPEST:
        return -1
    first = text[start]
    if first in _FIXED or first in _STRINGS or first == "v":
        return start + 1
    if first in "am":
        return _first_type_end(text, start + 1, depth + 1)
    return _container_end(text, start, depth) if first in "({" else -1


def _container_end(text: str, start: int, depth: int) -> int:
    """The same for a tuple or dictionary entry."""
    first = text[start]
    end, count = start + 1, 0
    while end < len(text) and text[end] not in ")}":
        end = _first_type_end(text, end, depth + 1)
        if end < 0:
            return -1
        count += 1
    if end >= len(text) or text[end] != {"(": ")", "{": "}"}[first]:
        return -1
    is_entry = count == 2 and (text[start + 1] in _FIXED or text[start + 1] in _STRINGS)  # noqa: PLR2004 - key, value
    return end + 1 if first == "(" or is_entry else -1


def is_type(text: str) -> bool:
    """Whether this is one complete type."""
    return _first_type_end(text, 0) == len(text)


def element_type(array_or_maybe: str) -> str:
    """The type of what an array or maybe holds."""
    return array_or_maybe[1:]


def member_types(tuple_or_entry: str) -> list[str]:
    """The types of a tuple's or dictionary entry's members."""
    types, start = [], 1
    while start < len(tuple_or_entry) - 1:
        end = _first_type_end(tuple_or_entry, start)
        types.append(tuple_or_entry[start:end])
        start = end
    return types


def _alignment(kind: str) -> int:
    if kind[0] in _FIXED:
        return struct.calcsize(_FIXED[kind[0]])
    if kind[0] in "am":
        return _alignment(kind[1:])
    if kind[0] in "({":
        return max((_alignment(member) for member in member_types(kind)), default=1)
    return 8 if kind == "v" else 1


def _padding(size: int, alignment: int) -> int:
    return -size % alignment


def _fixed_size(kind: str) -> int | None:
    """The size of every value of this type; None where it differs from value to value."""
    if kind[0] in _FIXED:
        return struct.calcsize(_FIXED[kind[0]])
    if kind[0] not in "({":
        return None
    size = 0
    for member in member_types(kind):
        member_size = _fixed_size(member)
        if member_size is None:
            return None
        size += _padding(size, _alignment(member)) + member_size
    return size + _padding(size, _alignment(kind)) or 1


def _with_offsets(body: bytes, offsets: Sequence[int]) -> bytes:
    for code, size in (("B", 1), ("H", 2), ("I", 4), ("Q", 8)):
        if not offsets or len(body) + len(offsets) * size < 1 << (8 * size):
            return body + struct.pack(f"<{len(offsets)}{code}", *offsets)
    raise AssertionError("no value in memory needs offsets of more than eight bytes")


def serialised(kind: str, value: Any) -> bytes:
    """The bytes of a value in normal form, to be placed at an address of its type's alignment."""
    first = kind[0]
    if first in _FIXED:
        return struct.pack(_FIXED[first], value)
    if first in _STRINGS:
        return str(value).encode("utf-8", "surrogateescape") + b"\0"
    if first == "v":
        return serialised(value.type, value.value) + b"\0" + str(value.type).encode()
    if first == "m":
        content = serialised(kind[1:], value[0]) if value else b""
        return content + b"\0" if value and _fixed_size(kind[1:]) is None else content
    return _serialised_array(kind[1:], value) if first == "a" else _serialised_tuple(kind, value)


def _serialised_array(kind: str, values: Sequence[Any]) -> bytes:
    body, ends = bytearray(), []
    for value in values:
        body += bytes(_padding(len(body), _alignment(kind)))
        body += serialised(kind, value)
        ends.append(len(body))
    return _with_offsets(bytes(body), ends if _fixed_size(kind) is None else ())


def _serialised_tuple(kind: str, values: Sequence[Any]) -> bytes:
    types = member_types(kind)
    size = _fixed_size(kind)
    body, ends = bytearray(), []
    for number, (member, value) in enumerate(zip(types, values, strict=True), 1):
        body += bytes(_padding(len(body), _alignment(member)))
        body += serialised(member, value)
        if _fixed_size(member) is None and number < len(types):
            ends.append(len(body))
    if size is not None:
        return bytes(body).ljust(size, b"\0")
    return _with_offsets(bytes(body), ends[::-1])
