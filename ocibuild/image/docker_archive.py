"""The archives of ``docker save`` and ``docker load`` (moby, "Docker Image Specification v1.2")."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from ocibuild.core.atomic import replacing
from ocibuild.core.descriptor import OCI_CONFIG, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, discard
from ocibuild.core.platform import Platform
from ocibuild.core.reference import Reference
from ocibuild.image.archive import Archive
from ocibuild.image.document import LARGEST_DOCUMENT_BYTES, Document, canonical_json, parse_json
from ocibuild.image.hashing import HashingReader
from ocibuild.image.image import ImageLayer, read_image
from ocibuild.image.layer_reader import open_layer
from ocibuild.image.manifest import Manifest
from ocibuild.image.source import ImageSource, read_document
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.tar import END_OF_ARCHIVE, encode_header, padding, write_entries

__all__ = ["DockerArchiveSource", "write_docker_archive"]

_MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 20
_MAGIC = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}


@dataclass(frozen=True, slots=True)
class _Saved:
    """One image of an archive's manifest.json, and which member holds the blob of each digest."""

    manifest: Document
    member_of: dict[Digest, str]


class DockerArchiveSource:
    """An image in a docker archive; satisfies :class:`~ocibuild.image.source.ImageSource`.

    Such an archive holds no manifest, so one is made, with the layers as they are stored: to name them they are read
    once, when the root is asked for first. ``reference`` chooses among several images; without one the archive must
    hold a single one.
    """

    def __init__(self, path: Path, reference: Reference | None = None) -> None:
        self.name = f"docker-archive:{path}" + (f":{reference}" if reference else "")
        self._reference = reference
        self._archive = Archive(path, name=self.name)
        self._saved: _Saved | None = None

    def root(self) -> Document:
        """See :class:`ImageSource`; the manifest is this program's own."""
        return self._read().manifest

    def document(self, descriptor: Descriptor) -> Document:
        """See :class:`ImageSource`."""
        if descriptor == self._read().manifest.descriptor:
            return self._read().manifest
        return read_document(self.open_blob(descriptor), descriptor, where=self.name)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """See :class:`ImageSource`."""
        member = self._read().member_of.get(descriptor.digest)
        if member is None:
            raise ImageError(f"{self.name}: the blob {descriptor.digest} is missing")
        return self._archive.open(member)

    def blob_path(self, descriptor: Descriptor) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """See :class:`ImageSource`: the blobs are not files of their own."""
        return None

    def _read(self) -> _Saved:
        if self._saved is None:
            image = self._chosen()
            member_of: dict[Digest, str] = {}
            config = self._blob(str(image.get("Config")), member_of)
            layers = tuple(self._blob(str(name), member_of) for name in image.get("Layers") or ())
            manifest = Manifest(replace(config, media_type=OCI_CONFIG), layers).document()
            self._saved = _Saved(manifest, member_of)
        return self._saved

    def _chosen(self) -> dict[str, Any]:
        with self._archive.open(_MANIFEST) as stream:
            images = parse_json(stream.read(LARGEST_DOCUMENT_BYTES + 1), where=f"{self.name}: {_MANIFEST}")
        if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
            raise ImageError(f"{self.name}: {_MANIFEST} is no list of images")
        if self._reference is not None:
            found = [image for image in images if self._reference in map(Reference.parse, image.get("RepoTags") or ())]
        else:
            found = images if len(images) == 1 else []
        if not found:
            there = ", ".join(str(tag) for image in images for tag in image.get("RepoTags") or ("one without a tag",))
            raise ImageError(f"{self.name}: which image? There is {there or 'none at all'}")
        return dict(found[0])

    def _blob(self, member: str, member_of: dict[Digest, str]) -> Descriptor:
        """The descriptor of a member, read to its end; its type is a layer's with the codec of its first bytes."""
        with self._archive.open(member) as stream:
            blob = HashingReader(stream)
            start = blob.read(_CHUNK_BYTES) or b""
            blob.drain()
        compression = next((codec for magic, codec in _MAGIC.items() if start.startswith(magic)), Compression.NONE)
        member_of[blob.digest] = member
        return Descriptor(compression.media_type, blob.digest, blob.size_bytes)


def write_docker_archive(
    source: ImageSource,
    path: Path,
    *,
    tags: Sequence[Reference] = (),
    platform: Platform | None = None,
    events: EventSink = discard,
) -> Digest:
    """Write one image as ``docker load`` reads it, in place of what is at ``path``; returns the image's ID.

    The layers are plain tars, as every version of docker reads them; the same image gives the same bytes. ``platform``
    chooses from an index. Layers whose content is not what the configuration says are an ImageError; the file appears
    whole or not at all.
    """
    image = read_image(source, platform)
    config_name = f"{image.config_document.descriptor.digest.hex}.json"
    value = [
        {
            "Config": config_name,
            "RepoTags": [f"{tag.registry}/{tag.repository}:{tag.tag}" for tag in tags if tag.tag],
            "Layers": [_layer_name(layer) for layer in image.layers],
        }
    ]
    with replacing(path) as file:
        for layer in {layer.diff_id: layer for layer in image.layers}.values():
            _write_layer(file, source, layer, events)
        documents = [
            Entry.file(config_name, image.config_document.content),
            Entry.file(_MANIFEST, canonical_json(value)),
        ]
        file.writelines(write_entries(documents))
        file.write(END_OF_ARCHIVE)
    return image.config_document.descriptor.digest


def _layer_name(layer: ImageLayer) -> str:
    return f"{layer.diff_id.hex}.tar"


def _write_layer(file: BinaryIO, source: ImageSource, layer: ImageLayer, events: EventSink) -> None:
    """Write the plain tar as one member of the archive. Its size is known at its end, so the header is put right then.

    From 8 GiB on the header needs a second block, and the layer is copied a second time behind the longer header.
    """
    start = file.tell()
    written, size_bytes = b"", 0
    header = _header(layer, size_bytes)
    while len(written) != len(header):
        written = header
        file.seek(start)
        file.truncate()
        file.write(written)
        size_bytes = _copy_raw(file, source, layer, events)
        header = _header(layer, size_bytes)
    file.write(padding(size_bytes))
    end = file.tell()
    file.seek(start)
    file.write(header)
    file.seek(end)


def _header(layer: ImageLayer, size_bytes: int) -> bytes:
    return encode_header(Entry(_layer_name(layer), EntryKind.FILE, 0o644, size_bytes=size_bytes))


def _copy_raw(file: BinaryIO, source: ImageSource, layer: ImageLayer, events: EventSink) -> int:
    with open_layer(source, layer, verb="writing", events=events) as reader:
        while chunk := reader.raw.read(_CHUNK_BYTES):
            file.write(chunk)
    return reader.raw_bytes
