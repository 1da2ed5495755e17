"""An image with Docker's media types, seen as the OCI image of the same layers and configuration.

In an OCI layout skopeo, podman and umoci look for OCI manifests only: one of Docker's type counts as missing.
"""

from pathlib import Path
from typing import Any, BinaryIO

from ocibuild.core.descriptor import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.image.document import Document, canonical_json, parse_object
from ocibuild.image.index import DEEPEST_INDEX
from ocibuild.image.manifest import Manifest
from ocibuild.image.source import ImageSource

__all__ = ["OciTypedSource"]


class OciTypedSource:
    """The same image with OCI documents only; satisfies :class:`~ocibuild.image.source.ImageSource`.

    Documents that are OCI's already keep their bytes and digests, and so does an image that is; a Docker manifest or
    list becomes an OCI document of another digest. Layers and configurations are never changed. An ImageError for
    layers that may not be distributed.
    """

    def __init__(self, source: ImageSource) -> None:
        self.name = source.name
        self._source = source
        self._made: dict[Digest, Document] = {}
        self._root: Document | None = None

    def root(self) -> Document:
        """See :class:`ImageSource`."""
        if self._root is None:
            self._root = self._translated(self._source.root(), DEEPEST_INDEX)
        return self._root

    def document(self, descriptor: Descriptor) -> Document:
        """See :class:`ImageSource`."""
        return self._made.get(descriptor.digest) or self._source.document(descriptor)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """See :class:`ImageSource`."""
        return self._source.open_blob(descriptor)

    def blob_path(self, descriptor: Descriptor) -> Path | None:
        """See :class:`ImageSource`."""
        return self._source.blob_path(descriptor)

    def _translated(self, document: Document, depth: int) -> Document:
        media_type = document.descriptor.media_type
        where = f"{self.name}: {document.descriptor.digest}"
        if media_type == DOCKER_MANIFEST:
            return self._keep(Manifest.parse(document.content, where=where).as_oci(where=where).document())
        if media_type not in (DOCKER_MANIFEST_LIST, OCI_INDEX):
            return document
        if depth == 0:
            raise ImageError(f"{where}: indexes nested too deeply")
        value = parse_object(document.content, where=where)
        # The object is edited, not made anew: it may name platforms that this program has no name for.
        members = [self._translated_member(member, where, depth) for member in value.get("manifests") or ()]
        if media_type == OCI_INDEX and members == value.get("manifests"):
            return document
        return self._keep(
            Document.of(OCI_INDEX, canonical_json(value | {"mediaType": OCI_INDEX, "manifests": members}))
        )

    def _translated_member(self, member: Any, where: str, depth: int) -> Any:
        descriptor = Descriptor.from_json(member, where=where)
        made = self._translated(self._source.document(descriptor), depth - 1).descriptor
        changed = {"mediaType": made.media_type, "digest": str(made.digest), "size": made.size_bytes}
        return member | changed

    def _keep(self, document: Document) -> Document:
        self._made[document.descriptor.digest] = document
        return document
