"""One image for one platform, its documents read and verified."""

from dataclasses import dataclass

from ocibuild.core.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.platform import Platform
from ocibuild.image.config import History, ImageConfig
from ocibuild.image.document import Document
from ocibuild.image.index import DEEPEST_INDEX, ImageIndex
from ocibuild.image.manifest import Manifest
from ocibuild.image.source import ImageSource

__all__ = ["Image", "ImageLayer", "read_image", "read_images"]


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """A layer: its blob, the digest of its plain tar, and how it was made (None where that is not recorded)."""

    descriptor: Descriptor
    diff_id: Digest
    history: History | None


@dataclass(frozen=True, slots=True)
class Image:
    """Manifest and configuration of one image, with the bytes that they were read from."""

    name: str
    manifest_document: Document
    config_document: Document
    manifest: Manifest
    config: ImageConfig

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """The layers, lowest first; an ImageError where manifest and configuration disagree on their number."""
        if len(self.manifest.layers) != len(self.config.diff_ids):
            raise ImageError(
                f"{self.name}: {len(self.manifest.layers)} layers in the manifest, "
                f"{len(self.config.diff_ids)} diff_ids in the configuration"
            )
        told: list[History | None] = [entry for entry in self.config.history if not entry.empty_layer]
        if len(told) != len(self.manifest.layers):
            told = [None] * len(self.manifest.layers)  # which tells of which is anybody's guess
        return tuple(ImageLayer(*layer) for layer in zip(self.manifest.layers, self.config.diff_ids, told, strict=True))


def read_image(source: ImageSource, platform: Platform | None = None) -> Image:
    """The image for ``platform``, found through indexes; without one, the only image that there is.

    An ImageError lists the platforms where none or several fit, and names an image whose configuration says that it is
    for another platform than asked.
    """
    document = source.root()
    for _ in range(DEEPEST_INDEX):
        if document.descriptor.media_type not in INDEX_TYPES:
            break
        index = ImageIndex.parse(document.content, where=source.name)
        document = source.document(_chosen(index, platform, source.name))
    image = _image(source, document)
    if platform is not None and image.config.platform != platform and not _serves(image.config.platform, platform):
        raise ImageError(
            f"{source.name}: the image is for {image.config.platform}, not for {platform}",
            hint=f"choose it with --platform {image.config.platform}, or another base",
        )
    return image


def read_images(source: ImageSource) -> tuple[Image, ...]:
    """Every image that the source's name stands for, in the order of its index; attestations are left out."""
    return tuple(_images(source, source.root(), DEEPEST_INDEX))


def _images(source: ImageSource, document: Document, depth: int) -> list[Image]:
    if document.descriptor.media_type not in INDEX_TYPES:
        return [_image(source, document)]
    if depth == 0:
        raise ImageError(f"{source.name}: indexes nested too deeply")
    index = ImageIndex.parse(document.content, where=source.name)
    return [
        image
        for member in index.members
        if member.is_image
        for image in _images(source, source.document(member.descriptor), depth - 1)
    ]


def _chosen(index: ImageIndex, platform: Platform | None, where: str) -> Descriptor:
    if platform is not None:
        return index.choose(platform, where=where)
    images = [member for member in index.members if member.is_image]
    if len(images) != 1:
        there = ", ".join(member.platform or "one without a platform" for member in images)
        raise ImageError(f"{where}: an index of {len(images)} images: {there}", hint="choose one with --platform")
    return images[0].descriptor


def _serves(image: Platform, wanted: Platform) -> bool:
    """Whether the difference is only a variant that the index's choice already judged (arm/v6 for arm/v7)."""
    return (image.os, image.architecture) == (wanted.os, wanted.architecture)


def _image(source: ImageSource, document: Document) -> Image:
    where = f"{source.name}: {document.descriptor.digest}"
    if document.descriptor.media_type not in MANIFEST_TYPES:
        raise ImageError(f"{where}: neither an image nor an index: {document.descriptor.media_type}")
    manifest = Manifest.parse(document.content, where=where)
    config_document = source.document(manifest.config)
    config = ImageConfig.parse(config_document.content, where=f"{source.name}: configuration {manifest.config.digest}")
    return Image(source.name, document, config_document, manifest, config)
