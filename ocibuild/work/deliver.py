"""Bringing an image of the store to where a build was asked to bring it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.events import EventSink
from ocibuild.image.source import ImageSource, members
from ocibuild.store.image_source import StoreSource, import_image
from ocibuild.store.store import Store
from ocibuild.work.outputs import write_output
from ocibuild.work.phase import Phase

if TYPE_CHECKING:
    from ocibuild.work.build import BuildRequest
    from ocibuild.work.shared_cache import SharedCache

__all__ = ["deliver"]

_MOST_AT_ONCE = 4


def deliver(
    request: "BuildRequest",
    descriptor: Descriptor,
    base: str,
    cache: "SharedCache | None",
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
) -> None:
    """Write the outputs, push, and name the image in the store, in this order: a name never comes first.

    Layers that a shared cache has are brought here only where something needs their bytes. An image that is not pushed
    is whole in the store afterwards, whatever caches had of it.
    """
    name = str(request.images[0]) if request.images else _as_text(request.name)
    platform = request.platforms[0] if len(request.platforms) == 1 else None

    def write(source: ImageSource) -> None:
        for output in request.outputs:
            write_output(source, output, tags=request.images, platform=platform, events=events)
        if cache is not None and not request.options.push:
            import_image(source, store)

    local = StoreSource(store, descriptor, name=name)
    if request.outputs or (cache is not None and not request.options.push):
        _bring(local, store)
        if _is_complete(store, local):
            write(local)
        else:
            from ocibuild.work.places import open_source  # noqa: PLC0415 - only where a base's layers are not here

            with open_source(base, environment=environment, events=events, access=request.access) as elsewhere:
                write(StoreSource(store, descriptor, name=name, elsewhere=elsewhere))
    if request.options.push:
        from ocibuild.work.push import push_image  # noqa: PLC0415 - as above

        for image in request.images:
            with Phase(events, "pushing", str(image)):
                push_image(
                    store,
                    descriptor,
                    image,
                    base=base,
                    environment=environment,
                    events=events,
                    access=request.access,
                    mounts=cache.mounts if cache is not None else lambda *_: (),
                )
    if cache is not None:
        cache.note_use(lambda: [each.descriptor for each in members(local)])
    for tag in map(str, request.images or (name,)):
        store.images.put(tag, descriptor)


def _bring(source: StoreSource, store: Store) -> None:
    """Have the layers that shared caches have in the store, several at a time."""
    missing = [each.descriptor.digest for each in members(source) if each.descriptor.digest not in store.blobs]
    wanted = [digest for digest in missing if store.elsewhere(digest) is not None]
    if wanted:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a build with nothing to do must start quickly

        with ThreadPoolExecutor(_MOST_AT_ONCE, "bring") as pool:
            for _ in pool.map(store.blobs.bring, wanted):
                pass


def _as_text(name: str) -> str:
    """A folder's name, as far as it is text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_complete(store: Store, source: StoreSource) -> bool:
    """Whether every layer is in the store."""
    return all(member.descriptor.digest in store.blobs for member in members(source))
