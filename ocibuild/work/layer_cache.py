"""What the maker of layers asks of those who may have made a layer before."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

__all__ = ["LayerCache", "near_key", "parts_key"]


class LayerCache(Protocol):
    """Others who may have made a layer before; what they know is in the store's records after asking."""

    def ask_all(self, questions: Iterable[tuple[str, str]]) -> Sequence[bool]:
        """Ask for entries by kind and key; which of them there are."""


def parts_key(fragments: Iterable[str]) -> str:
    """The key of a layer by its fragments' keys alone, whatever folders it has."""
    return hashlib.sha256("\n".join(("parts", *fragments)).encode()).hexdigest()


def near_key(packages: Iterable[str]) -> str:
    """The key of a layer by the names of its packages: what holds most of its fragments when a version changes.

    ``packages`` are as a made layer names them: ``pip requests=2.32.3``.
    """
    names = sorted(package.partition("=")[0] for package in packages)
    return hashlib.sha256("\n".join(("near", *names)).encode()).hexdigest()
