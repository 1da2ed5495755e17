"""How a file's content shows its type: ``<magic>`` and ``<treemagic>``.

Source: the Shared MIME-info Database specification 0.21, section 2.4, and shared-mime-info 2.2's
``src/update-mime-database.c``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.mime.element import Element

__all__ = ["Magic", "Match", "TreeMagic", "TreeMatch", "number_attribute", "read_magic", "read_tree_magic"]

_NUMBER_BYTES = {"byte": 1, "big16": 2, "little16": 2, "host16": 2, "big32": 4, "little32": 4, "host32": 4}
_OFFSET = re.compile(r"([0-9]+)(?::([0-9]+))?")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.|\Z)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"b": b"\b", b"t": b"\t", b"f": b"\f", b"v": b"\v"}
_LARGEST_OFFSET = 2**31 - 1
_LONGEST_VALUE_BYTES = 0xFFFF
_TREE_KINDS = (None, "file", "directory", "link")
_HIGHEST_PRIORITY, _USUAL_PRIORITY = 100, 50


@dataclass(frozen=True, slots=True)
class Match:
    """Bytes that a file holds somewhere from ``start`` on, in ``length`` places, and one of ``matches`` too if any."""

    data: bytes
    mask: bytes | None = None
    start: int = 0
    length: int = 1
    word_bytes: int = 1
    matches: "tuple[Match, ...]" = ()


@dataclass(frozen=True, slots=True)
class Magic:
    """A type's matches; ``is_reset`` stands for ``<magic-deleteall>``."""

    type: str
    priority: int
    matches: tuple[Match, ...]
    is_reset: bool = False


@dataclass(frozen=True, slots=True)
class TreeMatch:
    """A path that a volume holds. ``kind`` and ``options`` are written as the file ``treemagic`` has them."""

    path: str
    kind: str
    options: tuple[str, ...]
    matches: "tuple[TreeMatch, ...]"


@dataclass(frozen=True, slots=True)
class TreeMagic:
    """A type's paths."""

    type: str
    priority: int
    matches: tuple[TreeMatch, ...]


def number_attribute(element: Element, name: str) -> int:
    """A priority or weight: 0 to 100, and 50 where it is not given."""
    text = element.attributes.get(name, str(_USUAL_PRIORITY))
    if not text.isascii() or not text.isdigit() or int(text) > _HIGHEST_PRIORITY:
        raise ImageError(f"{name}={text!r} of <{element.name}> is not between 0 and {_HIGHEST_PRIORITY}")
    return int(text)


def read_magic(element: Element, mime_type: str) -> Magic:
    """What a ``<magic>`` says."""
    matches = tuple(_matches(element))
    if not matches:
        raise ImageError(f"<magic> of {mime_type} without <match>")
    return Magic(mime_type, number_attribute(element, "priority"), matches)


def _matches(element: Element) -> Iterator[Match]:
    for child in element.children:
        if child.name != "match":
            raise ImageError(f"<{child.name}> where <match> belongs")
        place = _OFFSET.fullmatch(child.attributes.get("offset", ""))
        start = int(place[1]) if place else -1
        last = int(place[2]) if place and place[2] else start
        if not 0 <= start <= last < _LARGEST_OFFSET:
            raise ImageError(f"offset={child.attributes.get('offset')!r} of <match> is none")
        kind, value = child.attributes.get("type", ""), child.attributes.get("value", "")
        mask = child.attributes.get("mask")
        if not value or (kind != "string" and kind not in _NUMBER_BYTES):
            raise ImageError(f"<match> of type {kind!r} with the value {value!r}")
        data = _string(value) if kind == "string" else _number(value, kind)
        if len(data) > _LONGEST_VALUE_BYTES:
            raise ImageError("a <match> of more than 65535 bytes")
        masked = None if mask is None else _string_mask(mask, len(data)) if kind == "string" else _number(mask, kind)
        word_bytes = _NUMBER_BYTES[kind] if kind.startswith("host") else 1
        yield Match(data, masked, start, last - start + 1, word_bytes, tuple(_matches(child)))


def _string(text: str) -> bytes:
    """A string with the escapes of file(1)."""

    def unescaped(found: re.Match[bytes]) -> bytes:
        code = found[1]
        if code[:1] == b"x" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        if code[:1].isdigit() and code[:1] < b"8":
            return bytes([int(code, 8) & 0xFF])
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(unescaped, text.encode("utf-8", "surrogateescape"))


def _number(text: str, kind: str) -> bytes:
    """``strtoul`` with base 0; a host's order is written as big endian, which readers know how to swap."""
    if not _NUMBER.fullmatch(text):
        raise ImageError(f"{text!r} in a <match> is no number")
    base = 16 if text[:2] in ("0x", "0X") else 8 if text.startswith("0") else 10
    try:
        return int(text, base).to_bytes(_NUMBER_BYTES[kind], "little" if kind[0] == "l" else "big")
    except OverflowError as error:
        raise ImageError(f"{text!r} in a <match> is too large for {kind}") from error


def _string_mask(text: str, size: int) -> bytes:
    digits = text.removeprefix("0x")
    if not text.startswith("0x") or not re.fullmatch("[0-9a-fA-F]*", digits) or len(digits) > 2 * size:
        raise ImageError(f"the mask {text!r} in a <match> is none for {size} bytes")
    return bytes.fromhex(digits.ljust(2 * size, "0"))


def read_tree_magic(element: Element, mime_type: str) -> TreeMagic:
    """What a ``<treemagic>`` says."""
    return TreeMagic(mime_type, number_attribute(element, "priority"), tuple(_tree_matches(element)))


def _tree_matches(element: Element) -> Iterator[TreeMatch]:
    for child in element.children:
        kind = child.attributes.get("type")
        if child.name != "treematch" or "path" not in child.attributes or kind not in _TREE_KINDS:
            raise ImageError(f"<{child.name}> in <treemagic> is no <treematch> with a path and a known type")
        options = [name for name in ("match-case", "executable", "non-empty") if child.attributes.get(name) == "true"]
        options += [child.attributes["mimetype"]] if "mimetype" in child.attributes else []
        yield TreeMatch(child.attributes["path"], kind or "any", tuple(options), tuple(_tree_matches(child)))
