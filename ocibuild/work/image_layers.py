"""Layers of images that exist: brought into the store, their tables kept, each read at most once for a store."""

import contextlib
from collections.abc import Sequence

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, TaskFinished, TaskStarted
from ocibuild.image.manifest import layer_compression
from ocibuild.image.scan import scan_layer
from ocibuild.image.source import ImageSource, verified_chunks
from ocibuild.image.table import TABLE_VERSION, decode_table, encode_table
from ocibuild.image.view import LayerTable
from ocibuild.layer.compression import Compression
from ocibuild.layer.observation import OBSERVATION_VERSION
from ocibuild.sandbox.chain import BlobRange, Piece
from ocibuild.store.store import Store

__all__ = ["fetch_layer", "layer_table", "read_pieces"]

_TABLE_KIND = f"base-table-{TABLE_VERSION}-{OBSERVATION_VERSION}"


def layer_table(
    source: ImageSource | None, layer: Descriptor, diff_id: Digest, *, store: Store, events: EventSink, where: str
) -> LayerTable:
    """What the layer holds. Its table is kept under the layer's digest; its blob stays in the store until evicted."""
    key = layer.digest.hex
    value = store.records.get(_TABLE_KIND, key)
    if isinstance(value, dict):
        with contextlib.suppress(FileNotFoundError, ImageError, KeyError):
            return decode_table(store.blobs.read(Digest("sha256", value["table"])))
    fetch_layer(source, layer, store=store, events=events, where=where)
    with store.blobs.open(layer.digest) as stream:
        table = scan_layer(stream, layer, diff_id=diff_id, where=where)
    store.records.put(_TABLE_KIND, key, {"table": store.blobs.add(encode_table(table)).hex})
    return table


def fetch_layer(source: ImageSource | None, layer: Descriptor, *, store: Store, events: EventSink, where: str) -> None:
    """Bring a layer's blob into the store; an ImageError where it is not there and there is no source to ask."""
    with contextlib.suppress(FileNotFoundError):
        store.blobs.bring(layer.digest)
        return
    if source is None:
        raise ImageError(f"{where}: layer {layer.digest} is not in the store any more", hint="build again")
    task = f"base layer {layer.digest.hex[:12]}"
    events(TaskStarted(task, "reading", task, layer.size_bytes))
    with (
        store.blobs.writer(expected=layer.digest, where=where) as writer,
        source.open_blob(layer) as stream,
    ):
        for chunk in verified_chunks(stream, layer, where=where):
            writer.write(chunk)
    events(TaskFinished(task))


def read_pieces(
    source: ImageSource | None,
    layers: Sequence[tuple[Descriptor, Digest]],
    *,
    store: Store,
    events: EventSink,
    where: str,
) -> list[Piece]:
    """The pieces of a chain that an image's layers (with their diff_ids) are; their blobs are in the store then."""
    pieces = []
    for layer, diff_id in layers:
        table = layer_table(source, layer, diff_id, store=store, events=events, where=where)
        fetch_layer(source, layer, store=store, events=events, where=where)
        compression = Compression(layer_compression(layer, where=where))
        blob = BlobRange(store.blobs.path(layer.digest), 0, layer.size_bytes, compression)
        pieces.append(Piece(str(diff_id), table, (blob,)))
    return pieces
