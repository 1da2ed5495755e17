"""Reading one layer's plain tar while its blob is verified."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, TaskAdvanced, TaskFinished, TaskStarted, discard
from ocibuild.image.hashing import HashingReader
from ocibuild.image.image import ImageLayer
from ocibuild.image.manifest import layer_compression
from ocibuild.image.source import ImageSource
from ocibuild.layer.compression import open_decompressed

__all__ = ["LayerReader", "open_layer"]


class LayerReader:
    """The plain tar of a layer as ``raw``, decompressed in constant memory; the caller closes ``stream``.

    What was read counts only after :meth:`finish`: before, it may be anything. ``where`` names the layer in errors.
    """

    def __init__(
        self, stream: BinaryIO, layer: Descriptor, *, diff_id: Digest | None, where: str, events: EventSink = discard
    ) -> None:
        self._layer = layer
        self._diff_id = diff_id
        self._where = where
        self._blob = HashingReader(
            stream, algorithm=layer.digest.algorithm, on_read=lambda count: events(TaskAdvanced(where, count))
        )
        self._plain = HashingReader(
            open_decompressed(self._blob.buffered(), layer_compression(layer, where=where), where=where),
            algorithm=diff_id.algorithm if diff_id else "sha256",
        )
        self.raw = self._plain.buffered()

    @property
    def raw_bytes(self) -> int:
        """The size of what has been decompressed so far: of the whole tar after :meth:`finish`."""
        return self._plain.size_bytes

    def finish(self) -> None:
        """Read the rest; an ImageError unless the blob has its digest and size, and the tar its diff_id, if given."""
        self._plain.drain()
        self._blob.drain()
        blob, layer = self._blob, self._layer
        if (blob.digest, blob.size_bytes) != (layer.digest, layer.size_bytes):
            raise ImageError(
                f"{self._where}: expected {layer.digest} of {layer.size_bytes} bytes, "
                f"got {blob.digest} of {blob.size_bytes} bytes"
            )
        if self._diff_id is not None and self._plain.digest != self._diff_id:
            raise ImageError(
                f"{self._where}: its diff_id is {self._plain.digest}, the configuration says {self._diff_id}"
            )


@contextmanager
def open_layer(
    source: ImageSource, layer: ImageLayer, *, verb: str = "reading", events: EventSink = discard
) -> Iterator[LayerReader]:
    """A reader of one of the source's layers, verified when the block ends well. ``verb`` is for progress."""
    where = f"{source.name}: layer {layer.descriptor.digest}"
    events(TaskStarted(where, verb, f"layer {layer.descriptor.digest.hex[:12]}", layer.descriptor.size_bytes))
    with source.open_blob(layer.descriptor) as stream:
        reader = LayerReader(stream, layer.descriptor, diff_id=layer.diff_id, where=where, events=events)
        yield reader
        reader.finish()
    events(TaskFinished(where))
