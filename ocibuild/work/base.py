"""The image that a build starts from, as a view of its files and a configuration to go on with."""

import contextlib
from dataclasses import dataclass

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, TaskFinished, TaskStarted
from ocibuild.core.platform import Platform
from ocibuild.image.config import ImageConfig
from ocibuild.image.image import ImageLayer, read_image
from ocibuild.image.manifest import oci_layer
from ocibuild.image.scan import read_layer_file, scan_layer
from ocibuild.image.source import ImageSource, verified_chunks
from ocibuild.image.table import TABLE_VERSION, decode_table, encode_table
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.layer.observation import OBSERVATION_VERSION
from ocibuild.store.store import Store

__all__ = ["Base", "empty_base", "image_base", "recorded_name"]

_TABLE_KIND = f"base-table-{TABLE_VERSION}-{OBSERVATION_VERSION}"


@dataclass(frozen=True, slots=True)
class Base:
    """What a build stands on. ``layers`` have OCI types; ``digest`` is the manifest's, None for an empty base.

    ``source`` has the layers that the store may lack.
    """

    name: str
    platform: Platform
    view: View
    config: ImageConfig
    layers: tuple[Descriptor, ...] = ()
    digest: Digest | None = None
    source: ImageSource | None = None

    @property
    def recorded_name(self) -> str:
        """The name as an image and a lock record it."""
        return recorded_name(self.name)


def recorded_name(name: str) -> str:
    """A base's name without what is this machine's business: of ``oci:/home/me/base`` the kind alone."""
    kind, colon, _ = name.partition(":")
    return kind if colon and kind in ("oci", "oci-archive", "docker-archive") else name


def empty_base(platform: Platform) -> Base:
    """The base ``scratch``: no files at all."""
    return Base("scratch", platform, View(), ImageConfig(platform))


def image_base(source: ImageSource, platform: Platform, *, name: str, store: Store, events: EventSink) -> Base:
    """The image for ``platform`` of this source as a base.

    Each layer is read at most once for a store: its table is kept under the layer's digest, and its blob stays in the
    store until it is evicted. A second build from the same base reads manifest and configuration only.
    """
    image = read_image(source, platform)
    tables = [_layer_table(source, layer, store=store, events=events) for layer in image.layers]
    by_digest = {str(layer.descriptor.digest): layer.descriptor for layer in image.layers}

    def read_content(path: str, entry: ViewEntry) -> bytes:
        layer = by_digest.get(entry.layer)
        if layer is None:
            raise ImageError(f"{name}: no layer holds /{path}")
        _fetch_layer(source, layer, store=store, events=events)
        with store.blobs.open(layer.digest) as stream:
            content = read_layer_file(stream, layer, path, where=name)
        if content is None:
            raise ImageError(f"{name}: layer {layer.digest} has lost /{path}")
        return content

    return Base(
        name,
        platform,
        View(read_content=read_content).extended(tables),
        image.config,
        tuple(oci_layer(layer.descriptor, where=name) for layer in image.layers),
        image.manifest_document.descriptor.digest,
        source,
    )


def _layer_table(source: ImageSource, layer: ImageLayer, *, store: Store, events: EventSink) -> LayerTable:
    key = layer.descriptor.digest.hex
    value = store.records.get(_TABLE_KIND, key)
    if isinstance(value, dict):
        with contextlib.suppress(FileNotFoundError, ImageError, KeyError):
            return decode_table(store.blobs.read(Digest("sha256", value["table"])))
    _fetch_layer(source, layer.descriptor, store=store, events=events)
    with store.blobs.open(layer.descriptor.digest) as stream:
        table = scan_layer(stream, layer.descriptor, diff_id=layer.diff_id, where=source.name)
    store.records.put(_TABLE_KIND, key, {"table": store.blobs.add(encode_table(table)).hex})
    return table


def _fetch_layer(source: ImageSource, layer: Descriptor, *, store: Store, events: EventSink) -> None:
    """Bring a layer's blob into the store."""
    if layer.digest in store.blobs:
        return
    task = f"base layer {layer.digest.hex[:12]}"
    events(TaskStarted(task, "reading", task, layer.size_bytes))
    with (
        store.blobs.writer(expected=layer.digest, where=source.name) as writer,
        source.open_blob(layer) as stream,
    ):
        for chunk in verified_chunks(stream, layer, where=source.name):
            writer.write(chunk)
    events(TaskFinished(task))
