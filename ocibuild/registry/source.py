"""An image in a registry as a source to read from: mirrors first, each blob verified (``image/source.py``)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from ocibuild.core.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import NetworkError
from ocibuild.core.reference import Reference
from ocibuild.image.document import Document
from ocibuild.image.source import read_document
from ocibuild.net.client import HttpClient
from ocibuild.net.download import Downloader
from ocibuild.net.transfer import Opener
from ocibuild.registry.blob_reader import open_verified
from ocibuild.registry.repository import Repository, verified_manifest
from ocibuild.store.blobs import BlobStore

__all__ = ["RegistrySource"]

_NOT_FOUND = 404
_Result = TypeVar("_Result")


class RegistrySource:
    """One image of a registry, read from the first of several servers that gives it; an ``ImageSource``.

    Documents and blobs that the store has already are not asked for again. :meth:`fetch_blob` brings a layer into the
    store; :meth:`open_blob` streams one without keeping it.
    """

    def __init__(
        self,
        reference: Reference,
        repositories: Sequence[Repository],
        *,
        http: HttpClient,
        blobs: BlobStore,
        downloader: Downloader,
    ) -> None:
        self.reference = reference
        self._repositories = list(repositories)
        self._http = http
        self._blobs = blobs
        self._downloader = downloader
        self._root: Document | None = None

    @property
    def name(self) -> str:
        """The reference."""
        return str(self.reference)

    def root(self) -> Document:
        """The manifest or index that the reference names; the registry is asked once. Raises NetworkError."""
        if self._root is None:
            digest = self.reference.digest
            if digest is not None and digest in self._blobs:
                # The type stands in the document; an index of the store was verified when it was written.
                self._root = verified_manifest(self._blobs.read(digest), "", digest, where=self.name)
            else:
                target = digest or self.reference.target
                self._root = self._first(lambda repository: repository.get_manifest(target))
        return self._root

    def document(self, descriptor: Descriptor) -> Document:
        """The manifest, index or configuration of this descriptor, verified. Raises NetworkError and ImageError."""
        if descriptor.digest in self._blobs:
            return read_document(self._blobs.open(descriptor.digest), descriptor, where=self.name)
        if descriptor.media_type in MANIFEST_TYPES | INDEX_TYPES:
            found = self._first(lambda repository: repository.get_manifest(descriptor.digest))
            return Document.verified(descriptor, found.content, where=self.name)
        return read_document(self.open_blob(descriptor), descriptor, where=self.name)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """The layer's bytes, from the store or streamed and verified (:func:`open_verified`)."""
        if descriptor.digest in self._blobs:
            return self._blobs.open(descriptor.digest)
        return open_verified(self._openers(descriptor.digest), descriptor, http=self._http, where=self.name)

    def blob_path(self, descriptor: Descriptor) -> Path | None:
        """The blob's file in the store, where it is there."""
        return self._blobs.path(descriptor.digest) if descriptor.digest in self._blobs else None

    def fetch_blob(self, descriptor: Descriptor) -> Path:
        """Bring the blob into the store, resuming what broke off earlier, and return its place."""
        return self._downloader.fetch_from(
            self._openers(descriptor.digest),
            digest=descriptor.digest,
            size_bytes=descriptor.size_bytes,
            subject=f"{self.reference.repository} {descriptor.digest.hex[:12]}",
        )

    def _openers(self, digest: Digest) -> list[Opener]:
        def opener(repository: Repository) -> Opener:
            return lambda headers: repository.open_blob(digest, headers=headers)

        return [opener(repository) for repository in self._repositories]

    def _first(self, ask: Callable[[Repository], _Result]) -> _Result:
        """The first answer; the registry's own error where none gives one: mirrors may lack what they like.

        A mirror that fails in any other way is not asked again.
        """
        *mirrors, primary = self._repositories
        for mirror in mirrors:
            try:
                return ask(mirror)
            except NetworkError as error:
                if error.status != _NOT_FOUND:
                    self._repositories = [other for other in self._repositories if other is not mirror]
        return ask(primary)
