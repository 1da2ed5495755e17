"""Image indexes (image-spec, image-index.md) and Docker's manifest lists: one image for several platforms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ocibuild.core.descriptor import INDEX_TYPES, OCI_INDEX, Descriptor
from ocibuild.core.errors import BuildError, ImageError
from ocibuild.core.platform import Platform
from ocibuild.image.document import Document, canonical_json, parse_object, text_mapping

__all__ = ["DEEPEST_INDEX", "ImageIndex", "IndexMember"]

DEEPEST_INDEX = 4
"""Indexes may name indexes. Nobody nests them deeper; a chain made to exhaust a reader ends here."""

_SCHEMA_VERSION = 2
# Which spellings serve a platform, the best first: containerd's order (platforms, "Default"), without arm/v5, whose
# binaries are of another ABI (Debian's armel), and without amd64/v2 and above, which not every amd64 machine runs.
_SPELLINGS = {
    "amd64": ("amd64", "amd64/v1", "x86_64"),
    "arm64": ("arm64", "arm64/v8", "aarch64"),
    "arm/v7": ("arm/v7", "arm", "armhf", "arm/v6"),
    "386": ("386", "i386"),
}


@dataclass(frozen=True, slots=True)
class IndexMember:
    """One manifest that an index names; ``platform`` is as written: ``linux/arm/v6``, or empty where none is."""

    descriptor: Descriptor
    platform: str = ""

    @property
    def is_image(self) -> bool:
        """False for what buildkit stores beside images: attestations have the platform ``unknown/unknown``."""
        return not self.platform.startswith("unknown")


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """The manifests that one name stands for, in the order of the document."""

    members: tuple[IndexMember, ...]
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, content: bytes, *, where: str) -> "ImageIndex":
        """Read an OCI index or a Docker manifest list; ``where`` names it in the ImageError for anything else."""
        value = parse_object(content, where=where)
        media_type, members = value.get("mediaType"), value.get("manifests")
        if "layers" in value or "config" in value:  # CVE-2021-41190
            raise ImageError(f"{where}: a manifest, or something between an index and a manifest, not an index")
        if value.get("schemaVersion") != _SCHEMA_VERSION or media_type not in (None, *INDEX_TYPES):
            raise ImageError(
                f"{where}: not an image index (schemaVersion {value.get('schemaVersion')!r}, mediaType {media_type!r})"
            )
        if not isinstance(members, list):
            raise ImageError(f"{where}: an index without manifests")
        return cls(
            tuple(
                IndexMember(Descriptor.from_json(member, where=f"{where}: manifest {n}"), _platform_text(member))
                for n, member in enumerate(members)
            ),
            MappingProxyType(text_mapping(value.get("annotations"), where=f"{where}: annotations")),
        )

    @classmethod
    def of(cls, images: Mapping[Platform, Descriptor], *, platforms: Sequence[Platform]) -> "ImageIndex":
        """The index of one image for each of ``platforms``, in their order: all or nothing.

        A BuildError names the platforms for which there is no image, so that no index is written that lacks one.
        """
        missing = [str(platform) for platform in platforms if platform not in images]
        if missing:
            raise BuildError(f"no image for {', '.join(missing)}: an index holds every platform or is not written")
        return cls(
            tuple(
                IndexMember(replace(images[platform], platform=platform), str(platform))
                for platform in dict.fromkeys(platforms)
            )
        )

    def choose(self, platform: Platform, *, where: str) -> Descriptor:
        """The manifest (or nested index) for ``platform``: the first of its best spelling.

        An index of one image that names no platform serves every platform: its configuration tells. An ImageError
        lists what there is where nothing fits.
        """
        images = [member for member in self.members if member.is_image]
        key = str(platform).partition("/")[2]
        for spelling in _SPELLINGS.get(key, (key,)):
            for member in images:
                if member.platform == f"{platform.os}/{spelling}":
                    return member.descriptor
        if len(images) == 1 and not images[0].platform:
            return images[0].descriptor
        there = ", ".join(dict.fromkeys(member.platform or "one without a platform" for member in images))
        raise ImageError(
            f"{where}: no image for {platform}; there is {there or 'none at all'}",
            hint="choose one of these with --platform, or another base",
        )

    def document(self) -> Document:
        """The index as an OCI document; deterministic."""
        value: dict[str, Any] = {
            "schemaVersion": _SCHEMA_VERSION,
            "mediaType": OCI_INDEX,
            "manifests": [member.descriptor.to_json() for member in self.members],
        }
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return Document.of(OCI_INDEX, canonical_json(value))


def _platform_text(member: Any) -> str:
    platform = member.get("platform")
    if not isinstance(platform, dict):
        return ""
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    return "/".join(str(part).lower() for part in parts if part)
