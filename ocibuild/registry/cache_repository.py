"""A repository of a registry as a cache: reading, writing, listing and removing its entries."""

from collections.abc import Sequence

from ocibuild.core.clock import rfc3339
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, RegistryError
from ocibuild.image.document import Document
from ocibuild.registry.cache_entry import (
    LARGEST_BUNDLE_BYTES,
    Bundle,
    CacheEntry,
    entry_documents,
    entry_tag,
    parse_entry,
    parse_manifest,
)
from ocibuild.registry.content import BlobContent
from ocibuild.registry.repository import Repository
from ocibuild.registry.source import RegistrySource

__all__ = ["read_entry", "write_entry"]

_NOT_FOUND = 404


def read_entry(source: RegistrySource, *, kind: str, key: str) -> tuple[CacheEntry, Bundle, Digest] | None:
    """The entry that ``source`` (a reference with its tag) names, its bundle, and its manifest's digest.

    None where the registry has none. An ImageError or IntegrityError where it is not what it says, or not of this kind
    and key; a NetworkError where the registry cannot be asked.
    """
    where = source.name
    try:
        document = source.root()
    except RegistryError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    manifest = parse_manifest(document.content, where=where)
    content = manifest.inline
    if content is None:
        content = source.document(manifest.config).content
    entry = parse_entry(content, manifest, kind=kind, key=key, where=where)
    return entry, Bundle.decode(_read(source, manifest.bundle), where=where), document.descriptor.digest


def _read(source: RegistrySource, descriptor: Descriptor) -> bytes:
    """A small blob, verified."""
    with source.open_blob(descriptor) as stream:
        content = stream.read(LARGEST_BUNDLE_BYTES + 1)
        if stream.read(1):  # what is behind its end is never there, and its end is where it is verified
            raise ImageError(f"{source.name}: the bundle is larger than it says")
    return Document.verified(descriptor, content, where=source.name).content


def write_entry(
    repository: Repository, entry: CacheEntry, bundle: Bundle, *, also: Sequence[tuple[str, str]] = ()
) -> None:
    """Write an entry under its tag, and under those of ``also`` (kinds and keys) as entries of their own.

    Its layers must be in the repository. Raises what writing to a registry raises.
    """
    for kind, key in ((entry.kind, entry.key), *also):
        named = CacheEntry(kind, key, entry.program, entry.created, entry.layers, entry.inputs)
        manifest, config, packed = entry_documents(named, bundle, created=rfc3339(int(entry.created)))
        for blob in (packed, config):
            repository.put_blob(BlobContent(blob.descriptor, blob.content))
        repository.put_manifest(manifest, entry_tag(kind, key))
