"""An entry of a cache that is kept in a registry, as the documents that it consists of.

An entry is a manifest (image-spec, "Guidelines for Artifact Usage") of this program's ``artifactType``, tagged by kind
and key. Its configuration tells the kind, the key and of what the key was made, the program's version and the time,
and of each layer its diff_id, size, compressor and fragments with offsets and hashes. Its first blob is a bundle:
records of a store, and the small blobs that they name. The others are the layers themselves, so that a registry keeps
them as long as the entry. The configuration stands in the manifest too (``data`` of its descriptor), which saves a
request.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ocibuild.core.descriptor import LAYER_TYPES, OCI_MANIFEST, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.image.document import Document, canonical_json, parse_object

__all__ = [
    "ARTIFACT_TYPE",
    "LARGEST_BUNDLE_BYTES",
    "Bundle",
    "CacheEntry",
    "CachedLayer",
    "EntryManifest",
    "entry_documents",
    "entry_tag",
    "parse_entry",
    "parse_manifest",
]

ARTIFACT_TYPE = "application/vnd.ocibuild.cache.v1"
CONFIG_TYPE = "application/vnd.ocibuild.cache.config.v1+json"
BUNDLE_TYPE = "application/vnd.ocibuild.cache.bundle.v1"
LARGEST_BUNDLE_BYTES = 64 << 20
"""Of a bundle as it is sent; a real one of some 300 packages has 3 MB."""

_VERSION = 1
_LARGEST_HEAD_BYTES = 256 << 20
_LARGEST_INLINE_BYTES = 256 << 10
_LENGTH_BYTES = 8
_CREATED = "org.opencontainers.image.created"


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """A layer that an entry names. ``fragments`` are, by key, offset, size and SHA-256 of their compressed bytes."""

    descriptor: Descriptor
    diff_id: Digest
    raw_bytes: int
    compressor: str
    name: str = ""
    packages: tuple[str, ...] = ()
    fragments: Mapping[str, tuple[int, int, str]] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, Any]:
        """The layer as the configuration holds it."""
        return {
            "descriptor": self.descriptor.to_json(),
            "diff_id": str(self.diff_id),
            "raw_bytes": self.raw_bytes,
            "compressor": self.compressor,
            "name": self.name,
            "packages": list(self.packages),
            "fragments": {key: list(place) for key, place in self.fragments.items()},
        }

    @classmethod
    def from_json(cls, value: Any, *, where: str) -> "CachedLayer":
        """What :meth:`to_json` wrote; an ImageError for anything else."""
        try:
            descriptor = Descriptor.from_json(value["descriptor"], where=where)
            fragments = {
                str(key): (int(offset), int(size_bytes), Digest.sha256(sha256).hex)
                for key, (offset, size_bytes, sha256) in value["fragments"].items()
            }
            layer = cls(
                descriptor,
                Digest.parse(value["diff_id"]),
                int(value["raw_bytes"]),
                str(value["compressor"]),
                str(value["name"]),
                tuple(map(str, value["packages"])),
                MappingProxyType(fragments),
            )
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise ImageError(f"{where}: not a layer of a cache: {str(value)[:200]}") from error
        if descriptor.media_type not in LAYER_TYPES:
            raise ImageError(f"{where}: {descriptor.digest} is of the type {descriptor.media_type!r}, no layer's")
        return layer


@dataclass(frozen=True, slots=True)
class Bundle:
    """Records of a store by kind and key, and the blobs that they name, by hexadecimal digest."""

    records: Mapping[tuple[str, str], Any] = field(default_factory=lambda: MappingProxyType({}))
    blobs: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def encode(self) -> bytes:
        """The bundle as bytes: a compressed head (JSON) and, behind it, the blobs, which are compressed already."""
        head = {
            "records": [[kind, key, value] for (kind, key), value in sorted(self.records.items())],
            "blobs": [[name, len(content)] for name, content in sorted(self.blobs.items())],
        }
        packed = zlib.compress(canonical_json(head))
        blobs = (content for _, content in sorted(self.blobs.items()))
        return b"".join((len(packed).to_bytes(_LENGTH_BYTES, "big"), packed, *blobs))

    @classmethod
    def decode(cls, content: bytes, *, where: str) -> "Bundle":
        """What :meth:`encode` wrote, each blob with its own digest; an ImageError for anything else."""
        size_bytes = int.from_bytes(content[:_LENGTH_BYTES], "big")
        rest = memoryview(content)[_LENGTH_BYTES:]
        try:
            unpacker = zlib.decompressobj()
            head = json.loads(unpacker.decompress(rest[:size_bytes], _LARGEST_HEAD_BYTES))
            records = {(str(kind), str(key)): value for kind, key, value in head["records"]}
            rest = rest[size_bytes:]
            blobs: dict[str, bytes] = {}
            for name, length in head["blobs"]:
                blobs[Digest.sha256(name).hex] = bytes(rest[: int(length)])
                rest = rest[int(length) :]
        except (zlib.error, ValueError, KeyError, TypeError, RecursionError, UsageError) as error:
            raise ImageError(f"{where}: a damaged bundle: {error!r}") from error
        for name, blob in blobs.items():
            if Digest.of(blob).hex != name:
                raise ImageError(f"{where}: a blob of the bundle has not the digest {name}")
        return cls(records, blobs)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What an entry says. ``inputs`` are, for people, what its key was made of; ``created`` is in seconds (epoch)."""

    kind: str
    key: str
    program: str
    created: float
    layers: tuple[CachedLayer, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class EntryManifest:
    """A manifest that was read. ``inline`` is the configuration, where it stands in the manifest itself."""

    config: Descriptor
    bundle: Descriptor
    layers: tuple[Descriptor, ...]
    inline: bytes | None


def entry_tag(kind: str, key: str) -> str:
    """The tag of an entry: what may be asked of a cache."""
    return f"{kind}-{key}"


def entry_documents(entry: CacheEntry, bundle: Bundle, *, created: str) -> tuple[Document, Document, Document]:
    """The entry's manifest, configuration and bundle. ``created`` is its time as RFC 3339 has it."""
    config = Document.of(
        CONFIG_TYPE,
        canonical_json(
            {
                "version": _VERSION,
                "kind": entry.kind,
                "key": entry.key,
                "program": entry.program,
                "created": entry.created,
                "inputs": dict(entry.inputs),
                "layers": [layer.to_json() for layer in entry.layers],
            }
        ),
    )
    packed = Document.of(BUNDLE_TYPE, bundle.encode())
    config_value = config.descriptor.to_json()
    if len(config.content) <= _LARGEST_INLINE_BYTES:
        config_value["data"] = base64.b64encode(config.content).decode()
    unique = {layer.descriptor.digest: layer.descriptor for layer in entry.layers}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": config_value,
        "layers": [packed.descriptor.to_json(), *(descriptor.to_json() for descriptor in unique.values())],
        "annotations": {_CREATED: created},
    }
    return Document.of(OCI_MANIFEST, canonical_json(manifest)), config, packed


def parse_manifest(content: bytes, *, where: str) -> EntryManifest:
    """An entry's manifest; an ImageError for what is none (an image, another artifact, a bundle that is too large)."""
    value = parse_object(content, where=where)
    if value.get("artifactType") != ARTIFACT_TYPE or not isinstance(value.get("layers"), list) or not value["layers"]:
        raise ImageError(f"{where}: no entry of a cache, but {str(value.get('artifactType') or 'an image')[:100]!r}")
    config = Descriptor.from_json(value.get("config"), where=f"{where}: config")
    bundle, *layers = (Descriptor.from_json(layer, where=where) for layer in value["layers"])
    if config.media_type != CONFIG_TYPE or bundle.media_type != BUNDLE_TYPE:
        raise ImageError(f"{where}: an entry with blobs of the types {config.media_type!r} and {bundle.media_type!r}")
    if bundle.size_bytes > LARGEST_BUNDLE_BYTES:
        raise ImageError(f"{where}: a bundle of {bundle.size_bytes} bytes, where {LARGEST_BUNDLE_BYTES} are the most")
    return EntryManifest(config, bundle, tuple(layers), _inline(value["config"], config, where=where))


def _inline(value: Mapping[str, Any], config: Descriptor, *, where: str) -> bytes | None:
    data = value.get("data")
    if not isinstance(data, str):
        return None
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"{where}: its configuration is not base64") from error
    return Document.verified(config, content, where=f"{where}: configuration").content


def parse_entry(content: bytes, manifest: EntryManifest, *, kind: str, key: str, where: str) -> CacheEntry:
    """What the configuration says, which must be of this kind and key, and of the layers that the manifest names.

    An ImageError otherwise: a tag that points at something else is never believed.
    """
    value = parse_object(content, where=where)
    if value.get("version") != _VERSION or (value.get("kind"), value.get("key")) != (kind, key):
        raise ImageError(f"{where}: the entry is of {str(value.get('kind'))[:40]} {str(value.get('key'))[:80]}")
    listed = value.get("layers")
    if not isinstance(listed, list) or not isinstance(value.get("created"), int | float):
        raise ImageError(f"{where}: an entry without layers or time")
    layers = tuple(CachedLayer.from_json(layer, where=where) for layer in listed)
    named = {(each.media_type, each.digest, each.size_bytes) for each in manifest.layers}
    for layer in layers:
        if (layer.descriptor.media_type, layer.descriptor.digest, layer.descriptor.size_bytes) not in named:
            raise ImageError(f"{where}: its manifest does not name the layer {layer.descriptor.digest}")
    inputs = value.get("inputs")
    return CacheEntry(
        kind, key, str(value.get("program")), value["created"], layers, inputs if isinstance(inputs, dict) else {}
    )
