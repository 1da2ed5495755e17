"""Where an image can be read from, by the text that a user writes."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ocibuild.core.errors import ImageError, NetworkError
from ocibuild.core.events import EventSink
from ocibuild.core.reference import Reference
from ocibuild.image.docker_archive import DockerArchiveSource
from ocibuild.image.layout import LayoutSource, LayoutTarget
from ocibuild.image.oci_archive import OciArchiveSource
from ocibuild.image.source import ImageSource
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store

if TYPE_CHECKING:
    from ocibuild.work.access import RegistryAccess

__all__ = ["open_local_source", "open_source", "registry_reference", "unknown_to_store"]


def registry_reference(text: str) -> Reference | None:
    """The registry reference that the text is, or None where it names a place on this machine."""
    return None if text.partition(":")[0] in ("oci", "oci-archive", "docker-archive") else Reference.parse(text)


def open_local_source(text: str, store: Store) -> ImageSource | None:
    """The image at ``oci:DIR[:TAG]``, ``oci-archive:FILE`` or ``docker-archive:FILE``, or the store's of that name.

    None where the text is a reference that the store does not hold. An ImageError where there is no such image.
    """
    kind, _, place = text.partition(":")
    if kind == "oci":
        return LayoutSource(LayoutTarget.parse(place))
    if kind == "oci-archive":
        return OciArchiveSource(LayoutTarget.parse(place))
    if kind == "docker-archive":
        return DockerArchiveSource(Path(place))
    for name in dict.fromkeys((text, str(Reference.parse(text)))):
        descriptor = store.images.get(name)
        if descriptor is not None:
            return StoreSource(store, descriptor, name=name)
    return None


@contextlib.contextmanager
def open_source(
    text: str, *, environment: Mapping[str, str], events: EventSink, access: "RegistryAccess | None" = None
) -> Iterator[ImageSource]:
    """The image that the text names: a place on this machine, an image in the store, or one in a registry."""
    store = Store.of_environment(environment)
    source = open_local_source(text, store)
    if source is not None:
        yield source
        return
    from ocibuild.work.remote import open_remote  # noqa: PLC0415 - only a registry needs HTTP

    reference = registry_reference(text)
    if reference is None:
        raise ImageError(f"{text}: no such image")
    with (
        open_remote(environment=environment, store=store, events=events, access=access) as remote,
        unknown_to_store(text, reference),
    ):
        yield remote.source(reference)


@contextlib.contextmanager
def unknown_to_store(text: str, reference: Reference) -> Iterator[None]:
    """Say of errors in the block that a name without a registry was meant for the store, perhaps, which lacks it."""
    try:
        yield
    except NetworkError as error:
        if not text.startswith(reference.registry):
            error.hint = f"no image in the store is called {text!r}, so {reference.registry} was asked"
        raise
