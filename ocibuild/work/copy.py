"""Copying finished images: into registries and out of them."""

from collections.abc import Mapping, Sequence

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink
from ocibuild.core.platform import Platform
from ocibuild.core.reference import Reference
from ocibuild.store.image_source import StoreSource, import_image
from ocibuild.store.store import Store
from ocibuild.work.access import RegistryAccess
from ocibuild.work.outputs import Output, check_outputs, write_output
from ocibuild.work.places import open_local_source, registry_reference, unknown_to_store
from ocibuild.work.remote import open_remote

__all__ = ["pull_image", "push_source"]


def push_source(
    text: str,
    image: Reference,
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    access: RegistryAccess | None = None,
) -> Digest:
    """Copy the image that ``text`` names to a registry; its digest.

    Between two repositories of one registry layers are mounted, not sent.
    """
    source = open_local_source(text, store)
    with open_remote(environment=environment, store=store, events=events, access=access) as remote:
        if source is not None:
            return remote.push(source, image).digest
        origin = registry_reference(text)
        if origin is None:
            raise ImageError(f"{text}: no such image")
        mount_from = (origin.repository,) if origin.registry == image.registry else ()
        found = remote.source(origin)
        with unknown_to_store(text, origin):
            found.root()
        return remote.push(found, image, mount_from=lambda _: mount_from).digest


def pull_image(
    image: Reference,
    outputs: Sequence[Output],
    *,
    platform: Platform | None,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    access: RegistryAccess | None = None,
) -> Digest:
    """Copy an image of a registry into the store, under its name, and to each output; its digest."""
    check_outputs(outputs, platforms=(platform,) if platform else ())
    with open_remote(environment=environment, store=store, events=events, access=access) as remote:
        descriptor = import_image(remote.source(image), store)
    source = StoreSource(store, descriptor, name=str(image))
    for output in outputs:
        write_output(source, output, tags=(image,), platform=platform, events=events)
    store.images.put(str(image), descriptor)
    return descriptor.digest
