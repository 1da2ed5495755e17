"""The conductor of ``ocibuild why``: an image beside the one that had its name before, or another one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ocibuild.core.errors import ImageError, OcibuildError
from ocibuild.core.events import EventSink
from ocibuild.image.image import Image, read_image
from ocibuild.image.inspect import ImageReport, LayerReport, inspect_image, read_lock
from ocibuild.image.layer_reader import open_layer
from ocibuild.image.source import ImageSource
from ocibuild.image.why import LayerReason, explain, weigh
from ocibuild.layer.entry import Entry
from ocibuild.layer.reader import read_entries
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store
from ocibuild.work.frame import SOURCE_LAYER

__all__ = ["Why", "previous_source", "why_image"]

_LARGEST_COMPARED_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Why:
    """An image's layers with their reasons (none where there is nothing to compare with), and by their weight."""

    report: ImageReport
    before: ImageReport | None
    reasons: tuple[LayerReason, ...]
    weights: list[tuple[LayerReport, list[tuple[str, int]]]]


def previous_source(store: Store, name: str) -> StoreSource | None:
    """The image that had this name in the store before the one that has it now; None where none is known or left."""
    descriptor = store.images.previous(name)
    if descriptor is None or descriptor.digest not in store.blobs:
        return None
    return StoreSource(store, descriptor, name=f"{name} before")


def why_image(source: ImageSource, before: ImageSource | None, *, events: EventSink) -> Why:
    """Compare the image with an earlier one, by their documents; of the repository's layers, by their files too."""
    image = read_image(source)
    report = inspect_image(image)
    sizes = _sizes(source, image)
    if before is None:
        return Why(report, None, (), weigh(report, sizes))
    earlier = read_image(before, image.config.platform)
    earlier_report = inspect_image(earlier)
    files = _changed_files(before, earlier, source, image, events=events)
    return Why(report, earlier_report, explain(earlier_report, report, files=files), weigh(report, sizes))


def _sizes(source: ImageSource, image: Image) -> Mapping[str, int]:
    """The sizes of packages as they are downloaded, by the names that annotations have; nothing without a lock."""
    try:
        lock = read_lock(source, image)
    except OcibuildError:  # layers that are not here: the weights of layers are known all the same
        return {}
    packages = (*lock.base_packages, *lock.packages) if lock is not None else ()
    return {f"{each.ecosystem} {each.identity}": each.size_bytes for each in packages if each.size_bytes}


def _changed_files(
    before: ImageSource, earlier: Image, after: ImageSource, image: Image, *, events: EventSink
) -> dict[str, list[str]]:
    """The paths that changed in the layers of the repository's files, by the layer's digest."""
    found: dict[str, list[str]] = {}
    old, new = (dict(_source_layers(inspect_image(each))) for each in (earlier, image))
    for name in old.keys() & new.keys():
        if old[name].digest == new[name].digest:
            continue
        try:
            trees = [
                _contents(source, each, layer, events=events)
                for source, each, layer in ((before, earlier, old[name]), (after, image, new[name]))
            ]
        except OcibuildError:
            continue
        found[str(new[name].digest)] = sorted(
            path for path in trees[0].keys() | trees[1].keys() if trees[0].get(path) != trees[1].get(path)
        )
    return found


def _source_layers(report: ImageReport) -> list[tuple[str, LayerReport]]:
    return [
        (layer.name, layer)
        for layer in report.layers
        if layer.name == SOURCE_LAYER and layer.size_bytes < _LARGEST_COMPARED_BYTES
    ]


def _contents(source: ImageSource, image: Image, layer: LayerReport, *, events: EventSink) -> dict[str, object]:
    member = next((each for each in image.layers if each.descriptor.digest == layer.digest), None)
    if member is None:
        raise ImageError(f"{source.name}: no layer {layer.digest}")
    with open_layer(source, member, events=events) as reader:
        return {entry.path: _facts(entry) for entry in read_entries(reader.raw, where=source.name)}


def _facts(entry: Entry) -> object:
    state = hashlib.sha256()
    for chunk in entry.chunks() if entry.kind.value == "file" else ():
        state.update(chunk)
    return entry.kind, entry.mode, entry.uid, entry.gid, entry.link, state.hexdigest()
