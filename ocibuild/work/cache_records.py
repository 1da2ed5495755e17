"""Which records of a store are shared, and which blobs they need."""

from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import UsageError
from ocibuild.layer.compression import Compression
from ocibuild.store.store import Store

__all__ = [
    "LAYER_KINDS",
    "LOCATION_KINDS",
    "PUBLISHED_KIND",
    "SINGLE_KINDS",
    "WHEEL_KIND",
    "blobs_of",
    "is_better",
    "is_published",
    "is_shared",
    "published_key",
    "record_key",
]

LAYER_KINDS = tuple(f"layer-{compression.value}" for compression in Compression)
LOCATION_KINDS = tuple(f"fragment-in-{compression.value}" for compression in Compression)
WHEEL_KIND = "python-wheel-"
SINGLE_KINDS = ("resolution-", "base-table-", "python-1", "libc-", WHEEL_KIND)
"""Records that are worth an entry each: what resolving found, what a base's layers hold, wheels that were built."""

_SHARED = ("fragment-table-", "frame-", *LAYER_KINDS, *LOCATION_KINDS, *SINGLE_KINDS)
_SKEW_SECONDS = 300
PUBLISHED_KIND = "cache-published-1"
_PUBLISHED_SECONDS = 86400
"""How long an entry that was written is taken to be there without looking."""


def is_shared(kind: str) -> bool:
    """Whether records of this kind may be in an entry: what they say is true on every machine."""
    return kind.startswith(_SHARED)


def published_key(cache: str, *words: str) -> str:
    """The key of the record that tells that an entry of these words was written to the cache."""
    return Digest.of(" ".join((cache, *words)).encode()).hex


def is_published(store: Store, key: str, *, now: float) -> bool:
    """Whether the entry of this key was written from here a while ago."""
    value = store.records.get(PUBLISHED_KIND, key)
    return isinstance(value, dict) and now - float(value.get("time", 0)) < _PUBLISHED_SECONDS


def record_key(kind: str, key: str) -> str:
    """The key of the entry of a single record."""
    return Digest.of(f"{kind} {key}".encode()).hex


def blobs_of(kind: str, value: Any, layers: frozenset[str]) -> list[str]:
    """The small blobs that a record needs, as hexadecimal digests; ``layers`` are those that are layers."""
    if "-table-" in kind:
        return [str(value["table"])]
    if kind.startswith(WHEEL_KIND):
        return [str(value[name]) for name in ("wheel", "changes") if value[name]]
    if kind.startswith("frame-"):
        pieces = [piece for ground in value["grounds"] for piece in (ground.get("steps") or {}).get("pieces", ())]
        folders = [str(place) for _, kind, place in pieces if kind == "folders"]
        return [*folders, *(str(blob) for blob in value["blobs"] if blob not in layers)]
    return []


def is_better(kind: str, known: Any, offered: Any, store: Store, *, now: float) -> bool:
    """Whether a record that a cache offers is to be written down, where ``known`` is what there is already (or None).

    Never where it is dated later than now: such an answer would be fresh for ever.
    """
    if not isinstance(offered, dict):
        return False
    dated = offered.get("resolved")
    if dated is not None and (not isinstance(dated, int | float) or dated > now + _SKEW_SECONDS):
        return False
    if known is None:
        return True
    if dated is not None:
        return not isinstance(known.get("resolved"), int | float) or dated > known["resolved"]
    name = "digest" if kind in LAYER_KINDS else "blob" if kind in LOCATION_KINDS else "table"
    name = "wheel" if kind.startswith(WHEEL_KIND) else name
    try:
        return name in offered and not store.holds(Digest.sha256(known[name]))
    except (KeyError, TypeError, UsageError):
        return True
