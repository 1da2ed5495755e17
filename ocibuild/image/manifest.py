"""Image manifests (image-spec, manifest.md; Docker's "Image Manifest V 2, Schema 2")."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ocibuild.core.descriptor import (
    CONFIG_TYPES,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    LAYER_TYPES,
    MANIFEST_TYPES,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
)
from ocibuild.core.errors import ImageError
from ocibuild.image.document import Document, canonical_json, parse_object, text_mapping
from ocibuild.layer.compression import Compression

__all__ = ["Manifest", "is_foreign", "layer_compression", "oci_layer"]

_OCI_OF_DOCKER = {DOCKER_LAYER: OCI_LAYER, DOCKER_LAYER_GZIP: OCI_LAYER_GZIP}
_FOREIGN = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
)
_SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform: its configuration and its layers, the lowest first.

    What was parsed may hold Docker's media types; what is written never does (:meth:`as_oci`). Fields that an image
    has no use for (``subject``, ``artifactType``) are not kept, so writing what was parsed may give another digest:
    who copies an image copies the document's bytes.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, content: bytes, *, where: str) -> "Manifest":
        """Read an OCI or Docker manifest; ``where`` names it in the ImageError raised for anything else."""
        value = parse_object(content, where=where)
        _refuse_other_kinds(value, where)
        layers = value.get("layers")
        if not isinstance(layers, list):
            raise ImageError(f"{where}: a manifest without layers")
        return cls(
            Descriptor.from_json(value.get("config"), where=f"{where}: config"),
            tuple(Descriptor.from_json(layer, where=f"{where}: layer {n}") for n, layer in enumerate(layers)),
            MappingProxyType(text_mapping(value.get("annotations"), where=f"{where}: annotations")),
        )

    def as_oci(self, *, where: str) -> "Manifest":
        """The same blobs under OCI media types, as a new image names the layers of its base.

        An ImageError for a layer that may not be distributed, for one of an unknown type, and for a configuration that
        is no image's.
        """
        if self.config.media_type not in CONFIG_TYPES:
            raise ImageError(
                f"{where}: not a container image: its configuration is {self.config.media_type!r}",
                hint="an artifact (a chart, a signature, a module) cannot be a base",
            )
        config = Descriptor(OCI_CONFIG, self.config.digest, self.config.size_bytes)
        return Manifest(config, tuple(oci_layer(layer, where=where) for layer in self.layers), self.annotations)

    def document(self) -> Document:
        """The manifest as an OCI document; deterministic. An ImageError where a media type is not OCI's."""
        for descriptor in (self.config, *self.layers):
            if not descriptor.media_type.startswith("application/vnd.oci."):
                raise ImageError(f"cannot write an OCI manifest that holds a blob of type {descriptor.media_type}")
        value: dict[str, Any] = {
            "schemaVersion": _SCHEMA_VERSION,
            "mediaType": OCI_MANIFEST,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return Document.of(OCI_MANIFEST, canonical_json(value))


def is_foreign(layer: Descriptor) -> bool:
    """Whether the layer's type says that registries must not hand it on (layers of Windows images)."""
    return layer.media_type.startswith(_FOREIGN)


def layer_compression(layer: Descriptor, *, where: str) -> Compression:
    """The codec that the layer's media type names; an ImageError for a type that is no layer's."""
    if layer.media_type not in LAYER_TYPES:
        raise ImageError(f"{where}: layer {layer.digest} is of the unknown type {layer.media_type}")
    return Compression(LAYER_TYPES[layer.media_type])


def oci_layer(layer: Descriptor, *, where: str) -> Descriptor:
    """The same blob with the OCI media type of its codec; an ImageError for what cannot be a layer of a new image."""
    if is_foreign(layer):
        raise ImageError(
            f"{where}: layer {layer.digest} is of the non-distributable type {layer.media_type}",
            hint="such layers stay on their vendor's server and cannot be copied; choose another base",
        )
    if layer.media_type not in LAYER_TYPES:
        raise ImageError(
            f"{where}: layer {layer.digest} is of the unknown type {layer.media_type}",
            hint="known are " + ", ".join(LAYER_TYPES),
        )
    media_type = _OCI_OF_DOCKER.get(layer.media_type, layer.media_type)
    return Descriptor(media_type, layer.digest, layer.size_bytes, layer.annotations)


def _refuse_other_kinds(value: Mapping[str, Any], where: str) -> None:
    """Refuse what is no manifest, and what could be read as a manifest and as an index (CVE-2021-41190)."""
    if "manifests" in value:
        raise ImageError(f"{where}: an index, or something between an index and a manifest, not a manifest")
    if value.get("schemaVersion") == 1 or "fsLayers" in value:
        raise ImageError(
            f"{where}: a manifest of Docker's schema 1, which was withdrawn in 2019",
            hint="pull and push the image once with a current tool",
        )
    media_type = value.get("mediaType")
    if value.get("schemaVersion") != _SCHEMA_VERSION or media_type not in (None, *MANIFEST_TYPES):
        raise ImageError(
            f"{where}: not an image manifest (schemaVersion {value.get('schemaVersion')!r}, mediaType {media_type!r})"
        )
