"""The conductor of ``ocibuild build``: from what is to be built to an image that is written and pushed."""

import contextlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.store.store import Store
from ocibuild.work.build import DEFAULT_LOCK, BuildRequest
from ocibuild.work.deliver import deliver
from ocibuild.work.frame import Frame, recall_frame, remember_frame
from ocibuild.work.outputs import check_outputs
from ocibuild.work.recall import DEFAULT_MAX_AGE_SECONDS, RememberedBuild, recall_build, remember_build

if TYPE_CHECKING:
    from ocibuild.work.cache_settings import CacheSettings
    from ocibuild.work.shared_cache import SharedCache

__all__ = ["BuildOutcome", "build", "open_cache"]


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """The image that was made or found; ``is_new`` is False where there was nothing to do."""

    descriptor: Descriptor
    is_new: bool


def build(request: BuildRequest, *, store: Store, environment: Mapping[str, str], events: EventSink) -> BuildOutcome:
    """Make the image, write and push it where the request says, and name it in the store.

    What the store has, or a shared cache, is not made again; with nothing to make, nothing heavy is even imported. An
    output that cannot be written is refused before anything is fetched.
    """
    check_outputs(request.outputs, platforms=request.platforms)
    if request.has_unused_lock:
        events(Notice(f"{DEFAULT_LOCK} is not used: what is asked is resolved (--locked takes every version from it)"))
    if request.cache is None:
        return _built(request, None, store=store, environment=environment, events=events)
    from ocibuild.store.claims import ClaimError, forget_claims  # noqa: PLC0415 - only where there is a cache

    try:
        with open_cache(request, request.cache, store=store, environment=environment, events=events) as cache:
            return _built(request, cache, store=cache.store, environment=environment, events=events)
    except ClaimError as error:
        events(Notice(f"{error.message}: the image is made without shared caches", warning=True))
    forget_claims(store.folder, request.cache.names)
    return _built(request, None, store=store, environment=environment, events=events)


def open_cache(
    request: BuildRequest,
    settings: "CacheSettings",
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
) -> "SharedCache":
    """The shared caches of these settings for this build; nothing is asked yet."""
    from ocibuild.work.shared_cache import SharedCache  # noqa: PLC0415 - only where there is a cache

    return SharedCache(
        settings,
        request.frame_key,
        store=store,
        max_age_seconds=_max_age_seconds(request),
        environment=environment,
        events=events,
        access=request.access,
    )


def _max_age_seconds(request: BuildRequest) -> float:
    """How old a resolution may be; what is locked does not age."""
    if request.options.locked:
        return sys.maxsize
    most = request.options.max_age_seconds
    return DEFAULT_MAX_AGE_SECONDS if most is None else most


def _built(
    request: BuildRequest,
    cache: "SharedCache | None",
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
) -> BuildOutcome:
    known, is_new = _recalled(request, cache, store=store, environment=environment, events=events)
    if known is None:
        waiting = Notice("another build of the same runs: waiting for what it makes")
        with store.turn("build", request.key, on_wait=lambda: events(waiting)) as waited:
            if waited:
                known, _ = _recalled(request, cache, store=store, environment=environment, events=events)
            if known is None:
                known = _made_in_turn(request, cache, store=store, environment=environment, events=events)
    _keep_lock(request, store.blobs.read(known.lock))
    deliver(request, known.descriptor, known.base, cache, store=store, environment=environment, events=events)
    return BuildOutcome(known.descriptor, is_new=is_new)


def _recalled(
    request: BuildRequest,
    cache: "SharedCache | None",
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
) -> tuple[RememberedBuild | None, bool]:
    """What is known of exactly this build, or made of another one by putting in the files; and whether it is new."""
    max_age = _max_age_seconds(request)
    if request.options.refresh or (cache is not None and cache.wants_all()):
        return None, True
    known = recall_build(store, request.key, now=time.time(), max_age_seconds=max_age)
    if known is not None:
        return known, False
    again = partial(
        _refilled, request, cache, store=store, environment=environment, max_age_seconds=max_age, events=events
    )
    known = again()
    if known is None and cache is not None and cache.ask_image():
        known = again()
    return known, True


def _made_in_turn(
    request: BuildRequest,
    cache: "SharedCache | None",
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
) -> RememberedBuild:
    """Make the image, or take what another machine has made for the cache that both write to."""
    with cache.turn() if cache is not None else contextlib.nullcontext(False) as is_made:
        known = None
        if is_made:
            known, _ = _recalled(request, cache, store=store, environment=environment, events=events)
        return known or _made(request, cache, store=store, environment=environment, events=events)


def _made(
    request: BuildRequest,
    cache: "SharedCache | None",
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
) -> RememberedBuild:
    """Make the image, and remember it."""
    from ocibuild.work.make import make_image  # noqa: PLC0415 - a build with nothing to do must not pay for it

    made = make_image(request, store=store, environment=environment, events=events, cache=cache)
    lock_text = made.lock.to_text()
    remember_build(
        store,
        request.key,
        made.descriptor,
        base=made.base,
        base_layers=made.base_layers,
        resolved=made.resolved,
        lock_text=lock_text,
    )
    lock = Digest.of(lock_text.encode())
    if made.grounds:
        frame = Frame(made.descriptor, made.grounds, made.base, made.base_layers, made.resolved, lock)
        remember_frame(store, request.frame_key, frame)
    if cache is not None:
        cache.finished()
    return RememberedBuild(made.descriptor, made.base, time.time() - made.resolved, lock)


def _refilled(
    request: BuildRequest,
    cache: "SharedCache | None",
    *,
    store: Store,
    environment: Mapping[str, str],
    max_age_seconds: float,
    events: EventSink,
) -> RememberedBuild | None:
    """The image of an earlier build with the repository's files as they are now, where nothing else has changed."""
    frame = recall_frame(store, request.frame_key, now=time.time(), max_age_seconds=max_age_seconds)
    if frame is None:
        return None
    from ocibuild.work.refill import refill  # noqa: PLC0415 - a build with nothing to do must not pay for it

    tree, options = request.image_tree, request.options
    try:
        image = refill(
            frame,
            tree,
            source_time=request.source_time,
            options=options,
            store=store,
            environment=environment,
            events=events,
            cache=cache,
        )
    except ImageError:  # something was evicted: it is made again
        return None
    if image is None:
        return None
    lock_text = store.blobs.read(frame.lock).decode()
    remember_build(
        store,
        request.key,
        image,
        base=frame.base,
        base_layers=frame.base_layers,
        resolved=frame.resolved,
        lock_text=lock_text,
    )
    return RememberedBuild(image, frame.base, time.time() - frame.resolved, frame.lock)


def _keep_lock(request: BuildRequest, text: bytes) -> None:
    """Write the lock where the user wants it, and nothing where it was what the build was made from."""
    if request.lock_file is None or request.options.locked:
        return
    from ocibuild.lock import Lock  # noqa: PLC0415 - most builds keep none
    from ocibuild.work.locking import write_lock  # noqa: PLC0415 - as above

    write_lock(request.lock_file, Lock.parse(text, file="a lock in the store"))
