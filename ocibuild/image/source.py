"""Where an image can be read from: a layout folder, an archive, the store, a registry all answer the same questions."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from ocibuild.core.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, TaskAdvanced, TaskFinished, TaskStarted
from ocibuild.image.document import LARGEST_DOCUMENT_BYTES, Document
from ocibuild.image.index import DEEPEST_INDEX, ImageIndex
from ocibuild.image.manifest import Manifest

__all__ = ["ImageSource", "Member", "copied_chunks", "members", "read_document", "verified_chunks"]

_CHUNK_BYTES = 1 << 20


class ImageSource(Protocol):
    """One named image (or index of images) and the blobs that it needs.

    All methods raise an :class:`~ocibuild.core.errors.OcibuildError` that names the source where they cannot answer.
    """

    @property
    def name(self) -> str:
        """How messages call it: ``oci:out:latest``."""

    def root(self) -> Document:
        """The manifest or index that the name stands for; the digest is that of the bytes."""

    def document(self, descriptor: Descriptor) -> Document:
        """The manifest, index or configuration of this descriptor, verified."""

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """The stored bytes of a layer from the start, to be closed by the caller.

        Not verified here: readers check digest and size while they read (:func:`verified_chunks`).
        """

    def blob_path(self, descriptor: Descriptor) -> Path | None:
        """The file that holds exactly this blob, where there is one: it can be linked or sent without a copy."""


@dataclass(frozen=True, slots=True)
class Member:
    """One blob of an image; ``document`` is there for manifests, indexes and configurations, None for layers."""

    descriptor: Descriptor
    document: Document | None = None


def members(source: ImageSource, root: Document | None = None) -> Iterator[Member]:
    """Everything that ``root`` (the source's own by default) needs, each digest once, what is needed first.

    Layers and configuration come before their manifest, manifests before their index, the root last: written in this
    order, nothing that is there ever points at something that is not.
    """
    yield from _members(source, root or source.root(), set(), DEEPEST_INDEX)


def _members(source: ImageSource, document: Document, seen: set[str], depth: int) -> Iterator[Member]:
    where = f"{source.name}: {document.descriptor.digest}"
    if depth == 0:
        raise ImageError(f"{where}: indexes nested too deeply")
    if document.descriptor.media_type in INDEX_TYPES:
        for member in ImageIndex.parse(document.content, where=where).members:
            if str(member.descriptor.digest) not in seen:
                yield from _members(source, source.document(member.descriptor), seen, depth - 1)
    elif document.descriptor.media_type in MANIFEST_TYPES:
        manifest = Manifest.parse(document.content, where=where)
        for layer in manifest.layers:
            if str(layer.digest) not in seen:
                seen.add(str(layer.digest))
                yield Member(layer)
        if str(manifest.config.digest) not in seen:
            seen.add(str(manifest.config.digest))
            yield Member(manifest.config, source.document(manifest.config))
    else:
        raise ImageError(f"{where}: neither an image nor an index: {document.descriptor.media_type}")
    seen.add(str(document.descriptor.digest))
    yield Member(document.descriptor, document)


def copied_chunks(source: ImageSource, descriptor: Descriptor, *, events: EventSink) -> Iterator[bytes]:
    """The verified bytes of one of the source's blobs, with progress; the blob is closed at the end."""
    task = f"{source.name}: blob {descriptor.digest}"
    events(TaskStarted(task, "writing", f"blob {descriptor.digest.hex[:12]}", descriptor.size_bytes))
    with source.open_blob(descriptor) as stream:
        for chunk in verified_chunks(stream, descriptor, where=source.name):
            yield chunk
            events(TaskAdvanced(task, len(chunk)))
    events(TaskFinished(task))


def verified_chunks(stream: BinaryIO, descriptor: Descriptor, *, where: str) -> Iterator[bytes]:
    """The bytes of ``stream`` in pieces of at most 1 MiB; an ImageError at its end unless size and digest are right.

    Not one byte more than the descriptor's size is handed out.
    """
    state = hashlib.new(descriptor.digest.algorithm)
    left_bytes = descriptor.size_bytes
    while data := stream.read(min(_CHUNK_BYTES, left_bytes + 1)):
        left_bytes -= len(data)
        if left_bytes < 0:
            raise ImageError(f"{where}: blob {descriptor.digest} is longer than its {descriptor.size_bytes} bytes")
        state.update(data)
        yield data
    if left_bytes:
        raise ImageError(f"{where}: blob {descriptor.digest} lacks {left_bytes} of its {descriptor.size_bytes} bytes")
    if state.hexdigest() != descriptor.digest.hex:
        raise ImageError(f"{where}: blob {descriptor.digest} holds other bytes, of digest {state.hexdigest()}")


def read_document(stream: BinaryIO, descriptor: Descriptor, *, where: str) -> Document:
    """The verified document in ``stream``, which is closed; nothing beyond 4 MiB is read."""
    with stream:
        if descriptor.size_bytes > LARGEST_DOCUMENT_BYTES:
            raise ImageError(f"{where}: document {descriptor.digest} of {descriptor.size_bytes} bytes is too large")
        content = stream.read(descriptor.size_bytes + 1)
    return Document.verified(descriptor, content, where=f"{where}: {descriptor.digest}")
