"""What leaves a cache when it grows."""

from ocibuild.core.digest import Digest
from ocibuild.work.cache_admin import CacheSurvey, RegistryEntry, entries_to_remove

_NOW = 1_000_000.0


def entry(name: str, hours: float, *blobs: tuple[str, int]) -> RegistryEntry:
    named = tuple((Digest.of(blob.encode()), size) for blob, size in blobs)
    return RegistryEntry((f"layer-zstd-{name}",), Digest.of(name.encode()), _NOW - hours * 3600, named)


def removed(entries: list[RegistryEntry], *, limit: int | None = None, hours: float | None = None) -> list[str]:
    age = hours * 3600 if hours is not None else None
    found = entries_to_remove(entries, now=_NOW, limit_bytes=limit, most_age_seconds=age)
    return [each.tags[0].rpartition("-")[2] for each in found]


def test_what_is_too_old_goes_and_what_was_just_written_stays() -> None:
    entries = [entry("new", 0.5, ("a", 1)), entry("old", 50, ("b", 1)), entry("older", 60, ("c", 1))]
    assert removed(entries, hours=55) == ["older"]
    assert removed(entries, hours=0) == ["older", "old"]
    assert removed(entries) == []


def test_the_oldest_go_until_the_rest_is_small_enough() -> None:
    entries = [entry("1", 30, ("a", 100)), entry("2", 20, ("b", 100)), entry("3", 10, ("c", 100))]
    assert removed(entries, limit=200) == ["1"]
    assert removed(entries, limit=199) == ["1", "2"]
    assert removed(entries, limit=300) == []


def test_a_blob_counts_until_nobody_needs_it() -> None:
    entries = [entry("1", 30, ("a", 100)), entry("2", 20, ("a", 100)), entry("3", 10, ("b", 100))]
    assert CacheSurvey("", tuple(entries)).size_bytes == 200
    assert removed(entries, limit=150) == ["1", "2"]
    assert CacheSurvey("", tuple(entries)).kinds == {"layer-zstd": 3}
