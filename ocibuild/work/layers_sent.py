"""Where layers go while others are still made: to a shared cache, and to the registry that the image is pushed to."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ocibuild.core.digest import Digest
from ocibuild.core.platform import Platform
from ocibuild.lock import Lock
from ocibuild.store.store import Store
from ocibuild.work.layers import MadeLayer
from ocibuild.work.platform_build import PlatformBuild
from ocibuild.work.push_ahead import PushAhead
from ocibuild.work.recall import state_key
from ocibuild.work.remote import Remote

if TYPE_CHECKING:
    from ocibuild.work.build import BuildRequest
    from ocibuild.work.shared_cache import SharedCache

__all__ = ["layers_sent", "lock_key"]


def lock_key(request: "BuildRequest", platform: Platform, plan: PlatformBuild) -> str:
    """The key of the layers of a lock on its base, as far as they do not depend on the repository's files."""
    options = request.options
    return state_key(
        "lock",
        Lock({platform: plan.lock}).to_text(),
        str(plan.base.digest),
        [repr(layer.accounts) for layer in request.asks.layers],
        [str(options.compression), options.max_layers],
    )


@contextlib.contextmanager
def layers_sent(
    request: "BuildRequest", remote: Remote, store: Store, cache: "SharedCache | None"
) -> Iterator[Callable[[MadeLayer], None]]:
    """Where each layer goes as soon as it is made: to the cache that is written to, and to the first image's registry.

    From one repository of a registry to another it is mounted.
    """
    written = cache.made if cache is not None else lambda _: None
    if not request.options.push:

        def noted(layer: MadeLayer) -> None:
            written(layer)

        yield noted
        return
    image = request.images[0]

    def mounts(digest: Digest) -> Sequence[str]:
        return cache.mounts(digest, image.registry) if cache is not None else ()

    with PushAhead(remote.registries.repository(image), store, mount_from=mounts) as ahead:

        def made(layer: MadeLayer) -> None:
            ahead.add(layer, after=written(layer))

        yield made
