"""Made-up images in memory, for tests of whatever reads images.

For every test that needs an image of its own: ::

    image = MadeImage([[Entry.file("etc/motd", b"hello")]])
    source = image.source()           # an ImageSource

What a test wants wrong it changes in ``source.blobs`` (digest text -> bytes), or in the documents through
:func:`replace_config` and :func:`replace_manifest`.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.platform import Platform
from ocibuild.image.config import History, ImageConfig
from ocibuild.image.document import Document, canonical_json, parse_object
from ocibuild.image.manifest import Manifest
from ocibuild.image.source import read_document
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.layer.entry import Entry
from ocibuild.layer.tar import END_OF_ARCHIVE, write_entries

__all__ = ["MadeImage", "MemorySource", "compressed", "raw_tar", "replace_config", "replace_manifest"]


class MemorySource:
    """An image source whose blobs are in a dictionary."""

    def __init__(self, root: Document, blobs: dict[str, bytes], name: str = "memory") -> None:
        self.name = name
        self.blobs = blobs
        self.top = root
        self.opened: list[str] = []
        blobs[str(root.descriptor.digest)] = root.content

    def root(self) -> Document:
        return self.top

    def document(self, descriptor: Descriptor) -> Document:
        return read_document(self.open_blob(descriptor), descriptor, where=self.name)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        self.opened.append(str(descriptor.digest))
        if str(descriptor.digest) not in self.blobs:
            raise ImageError(f"{self.name}: the blob {descriptor.digest} is missing")
        return io.BytesIO(self.blobs[str(descriptor.digest)])

    def blob_path(self, descriptor: Descriptor) -> Path | None:
        return None


def raw_tar(entries: Iterable[Entry]) -> bytes:
    """The plain tar of a layer."""
    return b"".join(write_entries(entries)) + END_OF_ARCHIVE


def compressed(raw: bytes, compression: Compression, *, cut_bytes: int = 4096) -> bytes:
    """The same in frames or members of ``cut_bytes`` each, which do not end where tar entries end."""
    compress = compressor_for(compression).compress
    return b"".join(compress(raw[start : start + cut_bytes]) for start in range(0, len(raw), cut_bytes))


@dataclass
class MadeImage:
    """Layers as lists of entries, the lowest first; ``raw`` replaces a layer's plain tar by number."""

    layers: Sequence[Sequence[Entry]]
    compression: Compression = Compression.ZSTD
    platform: Platform = field(default_factory=Platform)
    config: ImageConfig | None = None
    raw: dict[int, bytes] = field(default_factory=dict)

    def blobs(self) -> list[tuple[Descriptor, Digest, bytes]]:
        made = []
        for number, entries in enumerate(self.layers):
            raw = self.raw.get(number) or raw_tar(entries)
            blob = compressed(raw, self.compression)
            made.append((Descriptor(self.compression.media_type, Digest.of(blob), len(blob)), Digest.of(raw), blob))
        return made

    def documents(self) -> tuple[Document, Document]:
        """Manifest and configuration."""
        made = self.blobs()
        history = [History(created_by=f"layer {n}", created="2024-05-06T07:08:09Z") for n in range(len(made))]
        config = (self.config or ImageConfig(self.platform, command=("/bin/sh",))).appended(
            (diff_id, entry) for (_, diff_id, _), entry in zip(made, history, strict=True)
        )
        document = config.document()
        return Manifest(document.descriptor, tuple(layer for layer, _, _ in made)).document(), document

    def source(self) -> MemorySource:
        manifest, config = self.documents()
        blobs = {str(layer.digest): blob for layer, _, blob in self.blobs()}
        return MemorySource(manifest, {**blobs, str(config.descriptor.digest): config.content})


def replace_manifest(source: MemorySource, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the source's manifest be the one that ``change`` makes of its JSON value."""
    value = parse_object(source.top.content, where="test")
    change(value)
    source.top = Document.of(value["mediaType"], canonical_json(value))
    source.blobs[str(source.top.descriptor.digest)] = source.top.content


def replace_config(source: MemorySource, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the source's configuration be the one that ``change`` makes of its JSON value, and its manifest name it."""
    manifest = parse_object(source.top.content, where="test")
    value = parse_object(source.blobs[manifest["config"]["digest"]], where="test")
    change(value)
    document = Document.of(manifest["config"]["mediaType"], canonical_json(value))
    source.blobs[str(document.descriptor.digest)] = document.content
    replace_manifest(source, lambda manifest: manifest.update(config=document.descriptor.to_json()))
