"""What an image holds, as a user wants to see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.image.image import Image, ImageLayer
from ocibuild.image.scan import read_layer_file
from ocibuild.image.source import ImageSource
from ocibuild.lock import LOCK_PATH, Lock, PlatformLock

__all__ = [
    "LAYER_NAME",
    "LAYER_PACKAGES",
    "ImageReport",
    "LayerReport",
    "inspect_image",
    "layer_annotations",
    "read_lock",
]

LAYER_NAME = "org.ocibuild.layer.name"
"""Annotation of a layer's descriptor: what the layer is, in a word or two."""

LAYER_PACKAGES = "org.ocibuild.layer.packages"
"""Annotation of a layer's descriptor: the packages in it, one a line, as ``apt git=1:2.39.5-0+deb12u2 amd64``."""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer. ``size_bytes`` is that of the blob; ``name`` and ``packages`` are empty where nothing tells them."""

    digest: Digest
    diff_id: Digest
    media_type: str
    size_bytes: int
    name: str
    created_by: str
    packages: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The layer as ``ocibuild inspect --json`` writes it."""
        return {
            "digest": str(self.digest),
            "diff_id": str(self.diff_id),
            "media_type": self.media_type,
            "size_bytes": self.size_bytes,
            "name": self.name,
            "created_by": self.created_by,
            "packages": list(self.packages),
        }


@dataclass(frozen=True, slots=True)
class ImageReport:
    """An image for one platform; ``size_bytes`` is the sum of its layers' blobs."""

    image: Image
    layers: tuple[LayerReport, ...]

    @property
    def size_bytes(self) -> int:
        """What a puller who has nothing of it downloads, without the two small documents."""
        return sum(layer.size_bytes for layer in {layer.digest: layer for layer in self.layers}.values())

    def to_json(self) -> dict[str, Any]:
        """The image as ``ocibuild inspect --json`` writes it."""
        config = self.image.config
        return {
            "name": self.image.name,
            "digest": str(self.image.manifest_document.descriptor.digest),
            "config_digest": str(self.image.config_document.descriptor.digest),
            "media_type": self.image.manifest_document.descriptor.media_type,
            "platform": str(config.platform),
            "created": config.created,
            "size_bytes": self.size_bytes,
            "user": config.user,
            "working_folder": config.working_folder,
            "entrypoint": list(config.entrypoint or ()),
            "command": list(config.command or ()),
            "environment": dict(config.environment),
            "labels": dict(config.labels),
            "exposed_ports": list(config.exposed_ports),
            "annotations": dict(self.image.manifest.annotations),
            "layers": [layer.to_json() for layer in self.layers],
        }


def layer_annotations(name: str, packages: tuple[str, ...]) -> Mapping[str, str]:
    """The annotations by which a layer's descriptor tells what is in the layer."""
    return {LAYER_NAME: name} | ({LAYER_PACKAGES: "\n".join(packages)} if packages else {})


def inspect_image(image: Image) -> ImageReport:
    """The report on an image, from its two documents alone: no layer is read.

    An ImageError where the documents disagree on the number of layers.
    """
    return ImageReport(image, tuple(_layer(layer) for layer in image.layers))


def read_lock(source: ImageSource, image: Image) -> PlatformLock | None:
    """The lock that the image carries, or None.

    Layers are read from the uppermost down until one holds it, so that of an image which has none every layer is read:
    ask only where one is expected. A RepositoryError for a lock that is malformed.
    """
    for layer in reversed(image.layers):
        content = _lock_in(source, layer.descriptor)
        if content is not None:
            lock = Lock.parse(content, file=f"{source.name}:/{LOCK_PATH}")
            return lock.platforms.get(image.config.platform)
    return None


def _lock_in(source: ImageSource, layer: Descriptor) -> bytes | None:
    with source.open_blob(layer) as stream:
        return read_layer_file(stream, layer, LOCK_PATH, where=f"{source.name}: layer {layer.digest}")


def _layer(layer: ImageLayer) -> LayerReport:
    annotations = layer.descriptor.annotations
    packages = annotations.get(LAYER_PACKAGES, "")
    return LayerReport(
        digest=layer.descriptor.digest,
        diff_id=layer.diff_id,
        media_type=layer.descriptor.media_type,
        size_bytes=layer.descriptor.size_bytes,
        name=annotations.get(LAYER_NAME, ""),
        created_by=layer.history.created_by if layer.history else "",
        packages=tuple(packages.splitlines()),
    )
