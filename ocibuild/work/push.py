"""Pushing an image of the store, and finding out at little cost that there is nothing to push."""

import json
from collections.abc import Callable, Mapping, Sequence

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import OcibuildError, UsageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.reference import Reference
from ocibuild.image.source import ImageSource
from ocibuild.registry.freshness import probe_tag
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store
from ocibuild.work.access import RegistryAccess
from ocibuild.work.recall import needed_blobs

__all__ = ["base_reference", "push_image"]

_LOCAL_KINDS = ("oci", "oci-archive", "docker-archive")


def base_reference(base: str) -> Reference | None:
    """The registry reference that a base is, or None for a base of packages, a layout or ``scratch``."""
    if base == "scratch" or base.partition(":")[0] in ("apt", *_LOCAL_KINDS):
        return None
    try:
        return Reference.parse(base)
    except UsageError:
        return None


def push_image(
    store: Store,
    descriptor: Descriptor,
    image: Reference,
    *,
    base: str,
    environment: Mapping[str, str],
    events: EventSink,
    access: RegistryAccess | None = None,
    mounts: Callable[[Digest, str], Sequence[str]] = lambda *_: (),
) -> None:
    """See to it that the tag names this image. Where it does already, one light question is all that is sent.

    Layers of a base in the same registry are mounted, and those that ``mounts`` (of a digest and the registry) names
    other repositories for; those of another one are copied. What an image of this store
    needs that the tag names now is there already. The tag is written last.
    """
    access = access or RegistryAccess()
    answer = probe_tag(
        image,
        credentials=access.credentials(environment, events=events),
        locations=access.locations(environment),
        environment=environment,
        ca_file=access.ca_file,
    )
    if answer.digest == descriptor.digest:
        events(Notice(f"{image} is up to date"))
        return
    from ocibuild.work.remote import open_remote  # noqa: PLC0415 - only a push that has work to do pays for HTTP

    with open_remote(environment=environment, store=store, events=events, access=access) as remote:
        reference = base_reference(base)
        elsewhere = remote.source(reference) if reference is not None else _local_base(base, store)
        same = reference is not None and reference.registry == image.registry
        of_base = (reference.repository,) if reference is not None and same else ()
        source = StoreSource(store, descriptor, name=str(image), elsewhere=elsewhere)
        remote.push(
            source,
            image,
            mount_from=lambda digest: (*mounts(digest, image.registry), *of_base),
            present=_named(store, answer.digest),
        )


def _local_base(base: str, store: Store) -> ImageSource | None:
    """A base that is a layout or archive on this machine: with shared caches its layers need not be in the store."""
    if base.partition(":")[0] not in _LOCAL_KINDS:
        return None
    from ocibuild.work.places import open_local_source  # noqa: PLC0415 - few images have such a base

    return open_local_source(base, store)


def _named(store: Store, digest: Digest | None) -> frozenset[Digest]:
    """The blobs that this image needs, if the store knows it; nothing otherwise."""
    if digest is None:
        return frozenset()
    try:
        content = store.blobs.read(digest)
        named = Descriptor(json.loads(content)["mediaType"], digest, len(content))
        return frozenset(map(Digest.sha256, needed_blobs(store, named)))
    except (OSError, ValueError, KeyError, TypeError, OcibuildError):
        return frozenset()
