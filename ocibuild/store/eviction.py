"""What leaves the store when it grows: least recently used first, and never what was used a moment ago."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.atomic import PARTIAL_PREFIX
from ocibuild.store.roots import PreparedRoots, RemoveRoot

__all__ = ["GRACE_SECONDS", "StoreUsage", "StoredFile", "files_to_evict", "prune", "usage"]

GRACE_SECONDS = 3600
"""A file used within this time stays whatever the limit: a build that runs now may have looked at it and need it."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the store, or a prepared root that nobody holds, with its last use in seconds since the epoch."""

    path: Path
    size_bytes: int
    used: float


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """How many files of what size a store holds, and how many prepared roots of about what size that nobody holds."""

    blob_count: int
    blob_bytes: int
    record_count: int
    record_bytes: int
    root_count: int = 0
    root_bytes: int = 0


def _files(folder: Path) -> Iterator[StoredFile]:
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may evict at the same time
            status = path.stat()
            if path.is_file():
                yield StoredFile(path, status.st_size, status.st_mtime)


def usage(folder: Path) -> StoreUsage:
    """What the store in ``folder`` holds."""
    blobs = list(_files(folder / "blobs"))
    records = [*_files(folder / "records"), *_files(folder / "claims")]
    roots = list(PreparedRoots(folder).idle())
    return StoreUsage(
        len(blobs),
        sum(file.size_bytes for file in blobs),
        len(records),
        sum(file.size_bytes for file in records),
        len(roots),
        sum(root.size_bytes for root in roots),
    )


def files_to_evict(
    files: list[StoredFile], *, now: float, limit_bytes: int | None, most_age_seconds: float | None
) -> list[StoredFile]:
    """Which of these files go: those unused for too long, and as many as bring the rest under the limit.

    Oldest use first. Unfinished files of killed processes go with whatever is older than the grace time.
    """
    remaining = sum(file.size_bytes for file in files)
    evicted = []
    for file in sorted(files, key=lambda file: file.used):
        age = now - file.used
        if age < GRACE_SECONDS:
            break
        too_old = most_age_seconds is not None and age > most_age_seconds
        too_much = limit_bytes is not None and remaining > limit_bytes
        if too_old or too_much or file.path.name.startswith(PARTIAL_PREFIX):
            evicted.append(file)
            remaining -= file.size_bytes
    return evicted


def prune(
    folder: Path,
    *,
    now: float,
    limit_bytes: int | None,
    most_age_seconds: float | None,
    remove_root: RemoveRoot | None = None,
) -> list[StoredFile]:
    """Remove what :func:`files_to_evict` names, and return it. Records that miss a blob are made again when needed.

    Prepared roots count and go like files, where ``remove_root`` is given; one that is in use stays.
    """
    roots = PreparedRoots(folder)
    idle = {root.path: root for root in roots.idle()} if remove_root is not None else {}
    files = [file for part in ("blobs", "records", "claims") for file in _files(folder / part)]
    files += [StoredFile(root.path, root.size_bytes, root.used) for root in idle.values()]
    evicted = []
    for file in files_to_evict(files, now=now, limit_bytes=limit_bytes, most_age_seconds=most_age_seconds):
        if remove_root is not None and file.path in idle:
            if not roots.remove(idle[file.path], remove_root):
                continue
        else:
            file.path.unlink(missing_ok=True)
        evicted.append(file)
    return evicted
