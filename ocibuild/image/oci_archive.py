"""An OCI image layout in one tar file (``oci-archive:`` of skopeo and podman)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ocibuild.core.atomic import replacing
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, discard
from ocibuild.image.archive import Archive
from ocibuild.image.document import LARGEST_DOCUMENT_BYTES, Document
from ocibuild.image.layout import (
    DEFAULT_TAG,
    INDEX_FILE,
    LAYOUT_FILE,
    LAYOUT_MARK,
    LayoutTarget,
    blob_name,
    chosen_descriptor,
    layout_index,
)
from ocibuild.image.source import ImageSource, Member, copied_chunks, members, read_document
from ocibuild.image.translation import OciTypedSource
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.tar import END_OF_ARCHIVE, write_entries

__all__ = ["OciArchiveSource", "write_oci_archive"]


class OciArchiveSource:
    """An image in an OCI archive; satisfies :class:`~ocibuild.image.source.ImageSource`. Nothing is unpacked."""

    def __init__(self, target: LayoutTarget) -> None:
        self._tag = target.tag
        self.name = f"oci-archive:{target}"
        self._archive = Archive(target.path, name=self.name)
        if LAYOUT_FILE not in self._archive:
            raise ImageError(f"{self.name}: no OCI archive: it has no file {LAYOUT_FILE!r}")

    def root(self) -> Document:
        """See :class:`ImageSource`."""
        with self._archive.open(INDEX_FILE) as stream:
            content = stream.read(LARGEST_DOCUMENT_BYTES + 1)
        return self.document(chosen_descriptor(content, self._tag, where=self.name))

    def document(self, descriptor: Descriptor) -> Document:
        """See :class:`ImageSource`."""
        return read_document(self.open_blob(descriptor), descriptor, where=self.name)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """See :class:`ImageSource`."""
        return self._archive.open(blob_name(descriptor.digest))

    def blob_path(self, descriptor: Descriptor) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """See :class:`ImageSource`: the blobs are not files of their own."""
        return None


def write_oci_archive(source: ImageSource, target: LayoutTarget, *, events: EventSink = discard) -> Descriptor:
    """Write the source's image, with every platform of an index, as one tar file in place of what is there.

    The same image gives the same bytes. Returns the descriptor of the manifest or index. Errors as
    :func:`~ocibuild.image.layout.write_layout`; the file appears whole or not at all.
    """
    source = OciTypedSource(source)
    root = source.root()
    with replacing(target.path) as file:
        file.writelines(write_entries(_entries(source, root, target.tag or DEFAULT_TAG, events)))
        file.write(END_OF_ARCHIVE)
    return root.descriptor


def _entries(source: ImageSource, root: Document, tag: str, events: EventSink) -> Iterator[Entry]:
    yield Entry.file(LAYOUT_FILE, LAYOUT_MARK)
    yield Entry.directory("blobs")
    algorithms: set[str] = set()
    for member in members(source, root):
        algorithm = member.descriptor.digest.algorithm
        if algorithm not in algorithms:
            algorithms.add(algorithm)
            yield Entry.directory(f"blobs/{algorithm}")
        yield _blob(source, member, events)
    yield Entry.file(INDEX_FILE, layout_index(root.descriptor, tag))


def _blob(source: ImageSource, member: Member, events: EventSink) -> Entry:
    name, descriptor = blob_name(member.descriptor.digest), member.descriptor
    if member.document is not None:
        return Entry.file(name, member.document.content)

    def chunks() -> Iterable[bytes]:
        return copied_chunks(source, descriptor, events=events)

    return Entry(name, EntryKind.FILE, 0o644, size_bytes=descriptor.size_bytes, content=chunks)
