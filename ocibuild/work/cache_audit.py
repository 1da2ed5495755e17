"""Checking the claims of a cache: against its own layers, and against layers that are made again from the packages."""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, OcibuildError
from ocibuild.core.reference import Reference
from ocibuild.image.manifest import layer_compression
from ocibuild.image.recording import Recorder
from ocibuild.image.table import decode_table
from ocibuild.layer.compression import open_decompressed
from ocibuild.layer.limited import limited
from ocibuild.layer.reader import read_entries
from ocibuild.registry.cache_entry import Bundle, CachedLayer, CacheEntry, entry_tag
from ocibuild.registry.cache_repository import read_entry
from ocibuild.store.store import Store
from ocibuild.work.cache_admin import CacheSurvey
from ocibuild.work.cache_records import LAYER_KINDS
from ocibuild.work.fragments import TABLE_KIND
from ocibuild.work.remote import Remote

__all__ = ["AuditFinding", "audit_content", "audit_made"]

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """An entry that was looked at, and what is wrong with it; nothing where it is what it says."""

    tag: str
    layer: str
    problems: tuple[str, ...]


def audit_content(
    place: Reference, remote: Remote, found: CacheSurvey, *, sample: int | None, seed: int | None = None
) -> Iterator[AuditFinding]:
    """Read entries of layers, all or as many as ``sample`` by chance, and compare each with what it says of itself.

    The layer's digest, size and diff_id, the hash of every fragment, and every file's type, mode, owner, size and link.
    """
    tags = sorted(tag for entry in found.entries for tag in entry.tags if _parted(tag)[0] in LAYER_KINDS)
    if sample is not None and sample < len(tags):
        tags = sorted(random.Random(seed).sample(tags, sample))  # noqa: S311 - which are looked at is no secret
    for tag in tags:
        kind, key = _parted(tag)
        yield _finding(place, remote, kind, key, partial(_own_problems, place, remote))


def audit_made(place: Reference, remote: Remote, made: Store, *, sample: int | None) -> Iterator[AuditFinding]:
    """Compare every layer that ``made`` holds, a store in which one was made from packages, with the cache's entry.

    Layers that the cache does not have are not among the findings; of the others ``sample`` are, by chance.
    """
    seen = 0
    for kind in LAYER_KINDS:
        keys = sorted(made.records.keys(kind))
        for key in random.sample(keys, len(keys)):
            value = made.records.get(kind, key)
            found = _finding(place, remote, kind, key, partial(_differences, made, value))
            if found.problems == (_ABSENT,):
                continue
            yield found
            seen += 1
            if seen == sample:
                return


_ABSENT = "it is not there"


def _finding(
    place: Reference, remote: Remote, kind: str, key: str, look: Callable[[CacheEntry, Bundle], Sequence[str]]
) -> AuditFinding:
    tag = entry_tag(kind, key)
    try:
        read = read_entry(remote.source(replace(place, tag=tag)), kind=kind, key=key)
        if read is None:
            return AuditFinding(tag, "", (_ABSENT,))
        entry, bundle, _ = read
        name = entry.layers[0].name if entry.layers else ""
        return AuditFinding(tag, name, tuple(look(entry, bundle)))
    except OcibuildError as error:
        return AuditFinding(tag, "", (error.message,))


def _parted(tag: str) -> tuple[str, str]:
    kind, _, key = tag.rpartition("-")
    return kind, key


def _own_problems(place: Reference, remote: Remote, entry: CacheEntry, bundle: Bundle) -> list[str]:
    problems: list[str] = []
    source = remote.source(place)
    for layer in entry.layers:
        path = source.fetch_blob(layer.descriptor)  # verified
        problems += _content_problems(path, layer)
        for key, (offset, size_bytes, sha256) in layer.fragments.items():
            with path.open("rb") as file:
                file.seek(offset)
                part = file.read(size_bytes)
            if hashlib.sha256(part).hexdigest() != sha256:
                problems.append(f"the fragment {key[:12]} has another hash")
                continue
            problems += _table_problems(path, layer, bundle, key)
    return problems


def _content_problems(path: Path, layer: CachedLayer) -> list[str]:
    where = f"layer {layer.descriptor.digest}"
    state, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        raw = open_decompressed(file, layer_compression(layer.descriptor, where=where), where=where)
        while block := raw.read(_BLOCK_BYTES):
            state.update(block)
            size_bytes += len(block)
    problems = []
    if state.hexdigest() != layer.diff_id.hex:
        problems.append(f"its diff_id is sha256:{state.hexdigest()[:12]}, and {str(layer.diff_id)[:19]} is said")
    if size_bytes != layer.raw_bytes:
        problems.append(f"it has {size_bytes} bytes when decompressed, and {layer.raw_bytes} are said")
    return problems


def _table_problems(path: Path, layer: CachedLayer, bundle: Bundle, key: str) -> list[str]:
    """What the table of a fragment says that its bytes do not; folders stand in the layer's skeleton."""
    record: Any = bundle.records.get((TABLE_KIND, key))
    if record is None:  # written by another version, whose tables have another form
        return []
    table = decode_table(bundle.blobs[record["table"]])
    offset, size_bytes, _ = layer.fragments[key]
    recorder = Recorder(key)
    with path.open("rb") as file:
        file.seek(offset)
        where = f"layer {layer.descriptor.digest}"
        raw = open_decompressed(
            limited(file, size_bytes), layer_compression(layer.descriptor, where=where), where=where
        )
        for entry in recorder.passing(read_entries(raw, where=where)):
            for _ in entry.chunks() if entry.kind.value == "file" else ():
                pass
    actual = recorder.table()
    said = {path: entry for path, entry in table.entries.items() if entry.kind != "directory"}
    real = {path: entry for path, entry in actual.entries.items() if entry.kind != "directory"}
    wrong = sorted(path for path in said.keys() | real.keys() if said.get(path) != real.get(path))
    wrong += sorted(path for path in actual.kept if table.kept.get(path) != actual.kept[path])
    return (
        [f"its table is wrong about /{wrong[0]}" + (f" and {len(wrong) - 1} more" if wrong[1:] else "")]
        if wrong
        else []
    )


def _differences(made: Store, value: Any, entry: CacheEntry, bundle: Bundle) -> list[str]:
    """In what the layer that was made differs from the one that the cache has under its key."""
    layer = entry.layers[0]
    problems = []
    if layer.diff_id.hex != value["diff_id"]:
        problems.append(
            f"made again its diff_id is sha256:{value['diff_id'][:12]}, the cache's {str(layer.diff_id)[:19]}"
        )
    if layer.compressor == value["compressor"] and layer.descriptor.digest.hex != value["digest"]:
        problems.append(f"made again its digest is sha256:{value['digest'][:12]}")
    for (kind, key), record in bundle.records.items():
        own: Any = made.records.get(kind, key) if kind == TABLE_KIND else None
        if own is None or own == record:
            continue
        if own.get("notes") != record.get("notes"):
            problems.append(f"the notes of the fragment {key[:12]} are others")
        elif _table(made.blobs.read(Digest.sha256(own["table"]))) != _table(bundle.blobs[record["table"]]):
            problems.append(f"the table of the fragment {key[:12]} is another one")
    return problems


def _table(content: bytes) -> object:
    try:
        table = decode_table(content)
    except ImageError:
        return None
    return dict(table.entries), dict(table.kept), dict(table.libraries)
