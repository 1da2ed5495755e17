"""Looking after a cache in a registry: what it holds, and what leaves it when it grows."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, RegistryError
from ocibuild.core.reference import Reference
from ocibuild.image.document import parse_object
from ocibuild.registry.cache_entry import parse_manifest
from ocibuild.work.cache_settings import cache_name
from ocibuild.work.remote import Remote

__all__ = ["CacheSurvey", "RegistryEntry", "entries_to_remove", "prune_cache", "survey"]

_MOST_AT_ONCE = 8
_NOT_FOUND = 404
_CREATED = "org.opencontainers.image.created"
_GRACE_SECONDS = 3600
"""Entries written within this time stay: a build that runs now may be writing what belongs to them."""


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """An entry: its tags, the digest of its manifest, when it was written (epoch), and its blobs with their sizes."""

    tags: tuple[str, ...]
    digest: Digest
    written: float
    blobs: tuple[tuple[Digest, int], ...]

    @property
    def kind(self) -> str:
        """What kind of entry it is, as its first tag says."""
        return self.tags[0].rpartition("-")[0]


@dataclass(frozen=True, slots=True)
class CacheSurvey:
    """What a cache holds; ``others`` are tags in its repository that are no entries."""

    name: str
    entries: tuple[RegistryEntry, ...]
    others: tuple[str, ...] = field(default=())

    @property
    def size_bytes(self) -> int:
        """The size of all blobs, each counted once."""
        return _size_bytes(self.entries)

    @property
    def kinds(self) -> dict[str, int]:
        """How many entries there are of each kind."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            counts[entry.kind] = counts.get(entry.kind, 0) + 1
        return dict(sorted(counts.items()))


def survey(place: Reference, remote: Remote) -> CacheSurvey:
    """Ask for every tag of the cache's repository. Raises what reading a registry raises; an empty one is no error."""
    repository = remote.registries.repository(place)
    try:
        tags = list(repository.tags())
    except RegistryError as error:
        if error.status != _NOT_FOUND:
            raise
        tags = []
    with ThreadPoolExecutor(_MOST_AT_ONCE, "survey") as pool:
        found = list(pool.map(lambda tag: _entry(place, remote, tag), tags))
    by_digest: dict[Digest, RegistryEntry] = {}
    for entry in found:
        if entry is not None:
            known = by_digest.get(entry.digest)
            by_digest[entry.digest] = replace(entry, tags=(*known.tags, *entry.tags)) if known else entry
    others = tuple(tag for tag, entry in zip(tags, found, strict=True) if entry is None)
    return CacheSurvey(cache_name(place), tuple(by_digest.values()), others)


def _entry(place: Reference, remote: Remote, tag: str) -> RegistryEntry | None:
    """The entry of a tag; None where it is none, or is gone meanwhile."""
    try:
        document = remote.registries.repository(place).get_manifest(tag)
        manifest = parse_manifest(document.content, where=f"{place.repository}:{tag}")
        annotations = parse_object(document.content, where=tag).get("annotations") or {}
        written = datetime.fromisoformat(annotations[_CREATED]).timestamp()
    except (ImageError, KeyError, TypeError, ValueError):
        return None
    except RegistryError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    blobs = [(each.digest, each.size_bytes) for each in (manifest.config, manifest.bundle, *manifest.layers)]
    return RegistryEntry((tag,), document.descriptor.digest, written, tuple(blobs))


def entries_to_remove(
    entries: Iterable[RegistryEntry], *, now: float, limit_bytes: int | None, most_age_seconds: float | None
) -> list[RegistryEntry]:
    """Those written too long ago, and as many as bring the rest under the limit, the oldest first.

    A blob that another entry needs is not saved by removing one, and counts until the last of them goes.
    """
    left = sorted(entries, key=lambda entry: entry.written)
    needed: dict[Digest, int] = {}
    for entry in left:
        for digest, _ in entry.blobs:
            needed[digest] = needed.get(digest, 0) + 1
    remaining, removed = _size_bytes(left), []
    for entry in left:
        age_seconds = now - entry.written
        if age_seconds < _GRACE_SECONDS:
            break
        too_old = most_age_seconds is not None and age_seconds > most_age_seconds
        if too_old or (limit_bytes is not None and remaining > limit_bytes):
            removed.append(entry)
            for digest, size_bytes in dict(entry.blobs).items():
                needed[digest] -= 1
                remaining -= size_bytes if needed[digest] == 0 else 0
    return removed


def prune_cache(
    place: Reference, remote: Remote, *, limit_bytes: int | None, most_age_seconds: float | None
) -> tuple[Sequence[RegistryEntry], int]:
    """Remove what :func:`entries_to_remove` names, and return it with the bytes that nothing in the cache needs then.

    The registry frees their blobs when it collects its garbage. A RegistryError where it lets nobody remove manifests.
    """
    found = survey(place, remote)
    removed = entries_to_remove(
        found.entries, now=time.time(), limit_bytes=limit_bytes, most_age_seconds=most_age_seconds
    )
    repository = remote.registries.repository(place)
    for entry in removed:
        try:
            repository.delete_manifest(entry.digest)
        except RegistryError as error:
            if error.status != _NOT_FOUND:
                raise
    gone = {entry.digest for entry in removed}
    return removed, found.size_bytes - _size_bytes(each for each in found.entries if each.digest not in gone)


def _size_bytes(entries: Iterable[RegistryEntry]) -> int:
    return sum({digest: size for entry in entries for digest, size in entry.blobs}.values())
