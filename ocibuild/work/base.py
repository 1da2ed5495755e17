"""The image that a build starts from, as a view of its files and a configuration to go on with."""

from dataclasses import dataclass

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink
from ocibuild.core.platform import Platform
from ocibuild.image.config import ImageConfig
from ocibuild.image.image import read_image
from ocibuild.image.manifest import oci_layer
from ocibuild.image.scan import read_layer_file
from ocibuild.image.source import ImageSource
from ocibuild.image.view import View, ViewEntry
from ocibuild.sandbox.chain import Piece
from ocibuild.store.store import Store
from ocibuild.work.image_layers import fetch_layer, layer_table, read_pieces

__all__ = ["Base", "empty_base", "image_base", "recorded_name"]


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

    def pieces(self, *, store: Store, events: EventSink) -> list[Piece]:
        """The layers as what a root is made of; their blobs are in the store then."""
        layers = list(zip(self.layers, self.config.diff_ids, strict=True))
        return read_pieces(self.source, layers, store=store, events=events, where=self.name)


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
    tables = [
        layer_table(source, layer.descriptor, layer.diff_id, store=store, events=events, where=source.name)
        for layer in image.layers
    ]
    by_digest = {str(layer.descriptor.digest): layer.descriptor for layer in image.layers}

    def read_content(path: str, entry: ViewEntry) -> bytes:
        layer = by_digest.get(entry.layer)
        if layer is None:
            raise ImageError(f"{name}: no layer holds /{path}")
        fetch_layer(source, layer, store=store, events=events, where=name)
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
