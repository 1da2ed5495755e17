"""Images in the store, as every other place of images shows them."""

from pathlib import Path
from typing import BinaryIO

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.errors import ImageError
from ocibuild.image.document import Document
from ocibuild.image.source import ImageSource, members, read_document, verified_chunks
from ocibuild.store.store import Store

__all__ = ["StoreSource", "import_image"]


class StoreSource:
    """One image of a store; satisfies :class:`~ocibuild.image.source.ImageSource`.

    ``elsewhere`` is asked for layers that the store lacks: those of a base that stayed in its registry.
    """

    def __init__(self, store: Store, root: Descriptor, *, name: str, elsewhere: ImageSource | None = None) -> None:
        self._store = store
        self._root = root
        self._elsewhere = elsewhere
        self.name = name

    def root(self) -> Document:
        """See :class:`ImageSource`."""
        return self.document(self._root)

    def document(self, descriptor: Descriptor) -> Document:
        """See :class:`ImageSource`."""
        return read_document(self.open_blob(descriptor), descriptor, where=self.name)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """See :class:`ImageSource`."""
        try:
            return self._store.blobs.open(descriptor.digest)
        except FileNotFoundError as error:
            if self._elsewhere is not None:
                return self._elsewhere.open_blob(descriptor)
            raise ImageError(
                f"{self.name}: the store has lost the blob {descriptor.digest}", hint="build or pull the image again"
            ) from error

    def blob_path(self, descriptor: Descriptor) -> Path | None:
        """See :class:`ImageSource`."""
        path = self._store.blobs.path(descriptor.digest)
        return path if path.is_file() else None


def import_image(source: ImageSource, store: Store, *, name: str | None = None) -> Descriptor:
    """Copy an image with all its platforms into the store, verified, and let ``name`` stand for it when all is there.

    Returns the descriptor of its manifest or index. An ImageError where a blob is not what the image says.
    """
    root = source.root()
    for member in members(source, root):
        descriptor = member.descriptor
        if descriptor.digest in store.blobs:
            continue
        if member.document is not None:
            store.blobs.add(member.document.content)
            continue
        with (
            store.blobs.writer(expected=descriptor.digest, where=source.name) as writer,
            source.open_blob(descriptor) as stream,
        ):
            for chunk in verified_chunks(stream, descriptor, where=source.name):
                writer.write(chunk)
    if name is not None:
        store.images.put(name, root.descriptor)
    return root.descriptor
