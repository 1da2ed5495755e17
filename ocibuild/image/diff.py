"""How two images differ: in configuration, layers, packages and files. Times of files are not compared."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.events import EventSink, discard
from ocibuild.image.config import ImageConfig
from ocibuild.image.image import Image, ImageLayer
from ocibuild.image.layer_reader import open_layer
from ocibuild.image.source import ImageSource
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.reader import read_entries
from ocibuild.lock import PlatformLock

__all__ = [
    "FileChange",
    "ImageDifference",
    "TreeReader",
    "ValueChange",
    "compare_files",
    "compare_images",
    "compare_locks",
]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A field, layer or package by name; None where one of the images does not have it."""

    name: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """The change as ``ocibuild diff --json`` writes it."""
        return {"name": self.name, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path that is in one image only, or differs. A hard link is compared as the file that it is."""

    path: str
    before: ViewEntry | None
    after: ViewEntry | None

    @property
    def aspects(self) -> tuple[str, ...]:
        """What differs: ``added``, ``removed``, or some of ``kind``, ``mode``, ``owner``, ``link`` and ``content``."""
        if self.before is None or self.after is None:
            return ("added",) if self.before is None else ("removed",)
        before, after = self.before, self.after
        differs = {
            "kind": before.kind != after.kind,
            "mode": before.mode != after.mode,
            "owner": (before.uid, before.gid) != (after.uid, after.gid),
            "link": before.link != after.link,
            "content": before.layer != after.layer,
        }
        return tuple(aspect for aspect, is_so in differs.items() if is_so)

    def to_json(self) -> dict[str, Any]:
        """The change as ``ocibuild diff --json`` writes it."""
        return {
            "path": f"/{self.path}",
            "aspects": list(self.aspects),
            "before": _entry_json(self.before),
            "after": _entry_json(self.after),
        }


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """Everything in which two images differ; ``files`` is None where they were not compared."""

    configuration: tuple[ValueChange, ...]
    layers: tuple[ValueChange, ...]
    files: tuple[FileChange, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """True where nothing that was compared differs."""
        return not self.configuration and not self.layers and not self.files

    def to_json(self) -> dict[str, Any]:
        """The difference as ``ocibuild diff --json`` writes it."""
        return {
            "configuration": [change.to_json() for change in self.configuration],
            "layers": [change.to_json() for change in self.layers],
            "files": None if self.files is None else [change.to_json() for change in self.files],
        }


class TreeReader:
    """Reads the trees of images with the digest of every file. A layer that several images share is read once."""

    def __init__(self, *, events: EventSink = discard) -> None:
        self._events = events
        self._tables: dict[Digest, LayerTable] = {}

    def read(self, source: ImageSource, image: Image) -> View:
        """The image's tree, in whose entries ``layer`` is the SHA-256 of a file's content.

        The digest goes where a view keeps the key of what holds the content, so that merging layers carries it along.
        An ImageError for layers that are not what their digests say.
        """
        return View().extended(self._table(source, layer) for layer in image.layers)

    def _table(self, source: ImageSource, layer: ImageLayer) -> LayerTable:
        table = self._tables.get(layer.diff_id)
        if table is not None:
            return table
        entries: dict[str, ViewEntry] = {}
        with open_layer(source, layer, events=self._events) as reader:
            for entry in read_entries(reader.raw, where=f"{source.name}: layer {layer.descriptor.digest}"):
                entries[entry.path] = _view_entry(entry)
        return self._tables.setdefault(layer.diff_id, LayerTable(entries))


def compare_images(before: Image, after: Image) -> ImageDifference:
    """The difference of the documents alone: no layer is read."""
    return ImageDifference(
        tuple(_changes(_config_values(before.config), _config_values(after.config))),
        tuple(_changes(_layer_values(before), _layer_values(after))),
    )


def compare_files(before: View, after: View) -> tuple[FileChange, ...]:
    """The difference of two trees that a :class:`TreeReader` read, in the order of the paths."""
    changes = []
    for path in sorted({*before, *after}):
        pair = _resolved(before, path), _resolved(after, path)
        if pair[0] != pair[1]:
            changes.append(FileChange(path, *pair))
    return tuple(changes)


def compare_locks(before: PlatformLock, after: PlatformLock) -> tuple[ValueChange, ...]:
    """The packages that are in one image only, or in another version: ``apt git`` with the versions as values."""
    return tuple(_changes(_package_values(before), _package_values(after)))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[ValueChange]:
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            yield ValueChange(name, before.get(name), after.get(name))


def _config_values(config: ImageConfig) -> dict[str, Any]:
    """The configuration's fields by dotted name, so that one variable or label that changed is one change."""
    value = config.to_json()
    run: dict[str, Any] = value.pop("config")
    for name in ("rootfs", "history"):  # layers are compared as such
        value.pop(name)
    run.pop("Env", None)
    run.pop("Labels", None)
    return {
        **value,
        **{f"config.{name}": item for name, item in run.items()},
        **{f"config.Env.{name}": text for name, text in config.environment.items()},
        **{f"config.Labels.{name}": text for name, text in config.labels.items()},
    }


def _layer_values(image: Image) -> dict[str, Any]:
    return {
        str(layer.diff_id): {
            "digest": str(layer.descriptor.digest),
            "size_bytes": layer.descriptor.size_bytes,
            "created_by": layer.history.created_by if layer.history else "",
        }
        for layer in image.layers
    }


def _package_values(lock: PlatformLock) -> dict[str, str]:
    """Versions by ecosystem and name; a package of two architectures stands under both."""
    return {
        f"{package.ecosystem.value} {package.name}:{package.architecture}": package.version
        for package in (*lock.base_packages, *lock.packages)
    }


def _view_entry(entry: Entry) -> ViewEntry:
    content = ""
    if entry.kind is EntryKind.FILE:
        state = hashlib.sha256()
        for chunk in entry.chunks():
            state.update(chunk)
        content = state.hexdigest()
    return ViewEntry(entry.kind.value, entry.mode, entry.uid, entry.gid, entry.size_bytes, entry.link, content)


def _resolved(view: View, path: str) -> ViewEntry | None:
    entry = view.get(path)
    if entry is not None and entry.kind == "hardlink":
        target = view.get(entry.link)
        return entry if target is None or target.kind == "hardlink" else target
    return entry


def _entry_json(entry: ViewEntry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    value: dict[str, Any] = {"kind": entry.kind, "mode": f"{entry.mode:04o}", "uid": entry.uid, "gid": entry.gid}
    if entry.kind == "file":
        value |= {"size_bytes": entry.size_bytes, "sha256": entry.layer}
    return value | ({"link": entry.link} if entry.link else {})
