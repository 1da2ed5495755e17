"""Registries, as the conductors use them. Importing this costs HTTP: do it only where a registry is talked to."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink
from ocibuild.core.reference import Reference
from ocibuild.image.source import ImageSource, verified_chunks
from ocibuild.net.client import HttpClient
from ocibuild.net.policy import HttpPolicy
from ocibuild.registry.push import copy_image
from ocibuild.registry.registries import Registries
from ocibuild.registry.source import RegistrySource
from ocibuild.store.store import Store
from ocibuild.work.access import RegistryAccess

__all__ = ["Remote", "open_remote"]


@dataclass(frozen=True, slots=True)
class Remote:
    """This run's connections: to registries, and to whatever else is fetched by HTTP."""

    http: HttpClient
    registries: Registries
    store: Store

    def source(self, reference: Reference) -> RegistrySource:
        """The image of this reference to read."""
        return self.registries.source(reference)

    def push(
        self,
        source: ImageSource,
        reference: Reference,
        *,
        mount_from: Callable[[Digest], Sequence[str]] = lambda _: (),
        present: Collection[Digest] = (),
    ) -> Descriptor:
        """Copy an image to the reference, byte for byte; the tag is written last.

        ``mount_from`` names repositories of the same registry that may have a layer; ``present`` are layers that the
        repository has. Raises what :func:`ocibuild.registry.push.copy_image` raises.
        """

        def fetch(descriptor: Descriptor) -> Path:
            path = source.blob_path(descriptor)
            return path or _fetched(source, descriptor, self.store)

        return copy_image(
            source,
            self.registries.repository(reference),
            reference,
            fetch_blob=fetch,
            mount_from=mount_from,
            present=present,
        )


@contextlib.contextmanager
def open_remote(
    *,
    environment: Mapping[str, str],
    store: Store,
    events: EventSink,
    access: RegistryAccess | None = None,
    policy: HttpPolicy | None = None,
) -> Iterator[Remote]:
    """Connections with this machine's proxies, certificates, credentials and registry settings, closed at the end."""
    access = access or RegistryAccess()
    with HttpClient(policy or HttpPolicy(), environment=environment, ca_file=access.ca_file, events=events) as http:
        registries = Registries(
            http=http,
            credentials=access.credentials(environment, events=events),
            locations=access.locations(environment),
            store=store,
            events=events,
        )
        yield Remote(http, registries, store)


def _fetched(source: ImageSource, descriptor: Descriptor, store: Store) -> Path:
    """Bring a blob of an archive or of another registry into the store, so that it can be sent, and sent again."""
    if isinstance(source, RegistrySource):
        return source.fetch_blob(descriptor)
    with source.open_blob(descriptor) as blob:
        there = source.blob_path(descriptor)
        if there is not None:  # a shared cache had it, and opening it brought it
            return there
        with store.blobs.writer(expected=descriptor.digest, where=source.name) as writer:
            for chunk in verified_chunks(blob, descriptor, where=source.name):
                writer.write(chunk)
    path = store.blobs.path(descriptor.digest)
    if not path.is_file():
        raise ImageError(f"{source.name}: the store could not keep {descriptor.digest}")
    return path
