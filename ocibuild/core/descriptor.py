"""Content descriptors and media types (image-spec, descriptor.md and media-types.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.core.platform import Platform

__all__ = [
    "CONFIG_TYPES",
    "DOCKER_CONFIG",
    "DOCKER_LAYER_GZIP",
    "DOCKER_MANIFEST",
    "DOCKER_MANIFEST_LIST",
    "INDEX_TYPES",
    "LAYER_TYPES",
    "MANIFEST_TYPES",
    "OCI_CONFIG",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_LAYER_GZIP",
    "OCI_LAYER_ZSTD",
    "OCI_MANIFEST",
    "Descriptor",
]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIG_TYPES = frozenset({OCI_CONFIG, DOCKER_CONFIG})
# media type -> compression, as ocibuild.layer.compression names it
LAYER_TYPES: Mapping[str, str] = MappingProxyType(
    {
        OCI_LAYER: "none",
        OCI_LAYER_GZIP: "gzip",
        OCI_LAYER_ZSTD: "zstd",
        DOCKER_LAYER: "none",
        DOCKER_LAYER_GZIP: "gzip",
    }
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is: its type, digest and size; for a member of an index, also its platform."""

    media_type: str
    digest: Digest
    size_bytes: int
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    platform: Platform | None = None

    @classmethod
    def from_json(cls, value: Any, *, where: str) -> "Descriptor":
        """Read a descriptor object; ``where`` names the document in the ImageError raised for a malformed one.

        A platform that this program has no name for (another operating system, an attestation's "unknown") reads as
        None.
        """
        try:
            media_type, digest, size_bytes = value["mediaType"], Digest.parse(value["digest"]), value["size"]
            annotations = value.get("annotations") or {}
            platform_value = value.get("platform")
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise ImageError(f"{where}: not a descriptor: {str(value)[:200]}") from error
        if not isinstance(media_type, str) or type(size_bytes) is not int or size_bytes < 0:
            raise ImageError(f"{where}: a descriptor with a wrong media type or size: {str(value)[:200]}")
        if not isinstance(annotations, dict):
            raise ImageError(f"{where}: a descriptor whose annotations are no object: {str(value)[:200]}")
        return cls(media_type, digest, size_bytes, MappingProxyType(annotations), _platform(platform_value))

    def to_json(self) -> dict[str, Any]:
        """The descriptor object, with keys in the order of the specification's examples."""
        value: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size_bytes,
        }
        if self.platform is not None:
            platform = {"architecture": self.platform.architecture, "os": self.platform.os}
            value["platform"] = platform | ({"variant": self.platform.variant} if self.platform.variant else {})
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        return value


def _platform(value: Any) -> Platform | None:
    if not isinstance(value, dict):
        return None
    parts = [value.get("os", ""), value.get("architecture", ""), value.get("variant", "")]
    try:
        return Platform.parse("/".join(str(part) for part in parts if part))
    except UsageError:
        return None
