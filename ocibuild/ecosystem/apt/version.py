"""Debian package versions and their order (deb-version(7); Debian Policy 5.6.12)."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

__all__ = ["OPERATORS", "compare", "satisfies", "sort_key", "source_text", "upstream_version"]

_PART = re.compile(r"([^0-9]*)([0-9]*)")

Fragment = tuple[tuple[int, ...] | int, ...]
Key = tuple[Fragment, Fragment, Fragment]

OPERATORS: Mapping[str, Callable[[Key, Key], bool]] = MappingProxyType(
    {
        "<<": lambda have, wanted: have < wanted,
        "<=": lambda have, wanted: have <= wanted,
        "=": lambda have, wanted: have == wanted,
        ">=": lambda have, wanted: have >= wanted,
        ">>": lambda have, wanted: have > wanted,
    }
)
"""The relations of Policy 7.1, over two sort keys."""


def _order(character: str) -> int:
    if character == "~":
        return -1  # before everything, even the end of a part (which is 0)
    if character.isascii() and character.isalpha():
        return ord(character)
    return ord(character) + 256  # behind every letter


@lru_cache(maxsize=65536)
def _fragment(text: str) -> Fragment:
    """Alternating non-digit and digit parts. Each non-digit part, and the whole, end in the value of "nothing"."""
    key: list[tuple[int, ...] | int] = []
    for letters, digits in _PART.findall(text or "0"):
        if letters or digits:
            key.append((*map(_order, letters), 0))
            key.append(int(digits or "0"))
    key.append((0,))
    return tuple(key)


@lru_cache(maxsize=65536)
def sort_key(version: str) -> Key:
    """A key whose order is the order of versions, for ``sorted`` and ``max``.

    Any text has a key: a malformed version is ordered as apt orders it, part by part.
    """
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        upstream, revision = rest, "0"
    return _fragment(epoch), _fragment(upstream), _fragment(revision)


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as ``a`` is older than, equal to or newer than ``b``; equals ``dpkg --compare-versions``."""
    if a == b:
        return 0
    key_a, key_b = sort_key(a), sort_key(b)
    return (key_a > key_b) - (key_a < key_b)


def satisfies(version: str, operator: str, wanted: str) -> bool:
    """Whether ``version`` stands in the relation ``operator`` (a key of :data:`OPERATORS`) to ``wanted``."""
    return OPERATORS[operator](sort_key(version), sort_key(wanted))


def upstream_version(version: str) -> str:
    """The version without epoch and Debian revision."""
    rest = version.partition(":")[2] if ":" in version else version
    return rest.rpartition("-")[0] if "-" in rest else rest


def source_text(version: str) -> str:
    """The version without its epoch, as it stands in the name of a .deb file in a pool."""
    return version.partition(":")[2] if ":" in version else version
