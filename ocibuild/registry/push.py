"""Sending and copying many blobs at once; the caller writes manifests afterwards, children first, the tag last."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

from ocibuild.core.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import RegistryError
from ocibuild.core.reference import Reference
from ocibuild.image.document import Document
from ocibuild.image.manifest import is_foreign
from ocibuild.image.source import ImageSource, members
from ocibuild.registry.content import BlobContent
from ocibuild.registry.repository import PushOutcome, Repository

__all__ = ["MOST_AT_ONCE", "copy_image", "upload_blobs"]

_BLOB_UNKNOWN = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})
MOST_AT_ONCE = 4  # more made ECR reset connections


def upload_blobs(
    repository: Repository,
    blobs: Iterable[BlobContent],
    *,
    mount_from: Callable[[Digest], Sequence[str]] = lambda _: (),
    most_at_once: int = MOST_AT_ONCE,
) -> Iterator[tuple[Descriptor, PushOutcome]]:
    """See to it that these blobs are in the repository, several at a time; yields each as it is done, in any order.

    A digest that occurs twice is sent once. ``mount_from`` names repositories of the same registry that may have a
    blob. The first error ends the others and is raised; closing the iterator ends them too.
    """
    stopped = threading.Event()
    unique = {blob.descriptor.digest: blob for blob in blobs}
    with ThreadPoolExecutor(most_at_once, thread_name_prefix="push") as pool:
        pending: dict[Future[PushOutcome], Descriptor] = {
            pool.submit(repository.put_blob, blob, mount_from=mount_from(digest), stopped=stopped): blob.descriptor
            for digest, blob in unique.items()
        }
        try:
            while pending:
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield pending.pop(future), future.result()
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)


def copy_image(
    source: ImageSource,
    target: Repository,
    reference: Reference,
    *,
    fetch_blob: Callable[[Descriptor], Path],
    mount_from: Callable[[Digest], Sequence[str]] = lambda _: (),
    present: Collection[Digest] = (),
) -> Descriptor:
    """Copy an image or index byte for byte to the tag or digest of ``reference`` in ``target``; its descriptor.

    Layers that the target lacks are mounted where they can be, else sent from the file that ``fetch_blob`` gives; those
    that are ``present`` are not asked for. Where the target lacks one of them after all, everything is asked for.
    What is needed is written first and the reference last, so that it never names an incomplete image.
    """
    root = source.root()
    blobs, manifests = [], []
    for member in members(source, root):
        document = member.document
        if document is None:
            if not is_foreign(member.descriptor):  # such layers stay on their vendor's server
                blobs.append(BlobContent(member.descriptor, partial(fetch_blob, member.descriptor)))
        elif document.descriptor.media_type in MANIFEST_TYPES | INDEX_TYPES:
            manifests.append(document)
        else:
            blobs.append(BlobContent(document.descriptor, document.content))
    try:
        _write(
            target, [blob for blob in blobs if blob.descriptor.digest not in present], manifests, reference, mount_from
        )
    except RegistryError as error:
        if not present or not _BLOB_UNKNOWN.intersection(error.codes):
            raise
        _write(target, blobs, manifests, reference, mount_from)
    return root.descriptor


def _write(
    target: Repository,
    blobs: Sequence[BlobContent],
    manifests: Sequence[Document],
    reference: Reference,
    mount_from: Callable[[Digest], Sequence[str]],
) -> None:
    """Write blobs, then manifests in their order, the last one under the reference."""
    for _ in upload_blobs(target, blobs, mount_from=mount_from):
        pass
    *children, root = manifests
    for manifest in children:
        target.put_manifest(manifest, manifest.descriptor.digest)
    target.put_manifest(root, reference.tag or root.descriptor.digest)
