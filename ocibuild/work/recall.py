"""Remembering what was resolved and built, so that a build with nothing to do does nothing.

Imported by every build before anything else: keep it light.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocibuild import __version__
from ocibuild.core.descriptor import INDEX_TYPES, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.store.store import Store

__all__ = [
    "DEFAULT_MAX_AGE_SECONDS",
    "RememberedBuild",
    "needed_blobs",
    "recall_build",
    "remember_build",
    "state_key",
]

DEFAULT_MAX_AGE_SECONDS = 86400
"""How old a resolution may be, unless ``--max-age`` says otherwise: a day."""

_KIND = "build-2"


@dataclass(frozen=True, slots=True)
class RememberedBuild:
    """What a build made: the image, where its base's layers are if not in the store, how old its resolution is.

    ``lock`` is the blob that holds the text of its lock.
    """

    descriptor: Descriptor
    base: str
    age_seconds: float
    lock: Digest


def state_key(*parts: Any) -> str:
    """A key of everything that a result depends on; the parts are what JSON can hold. The program's version counts."""
    text = json.dumps([__version__, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def recall_build(store: Store, key: str, *, now: float, max_age_seconds: float) -> RememberedBuild | None:
    """The image that was built of exactly this, if all that was made for it is still in the store and it is fresh."""
    value: Any = store.records.get(_KIND, key)
    try:
        descriptor = Descriptor.from_json(value["image"], where="a build in the store")
        age_seconds = now - float(value["resolved"])
        made: Sequence[str] = value["blobs"]
        folder = store.blobs.folder / "sha256"
        if age_seconds > max_age_seconds or not all(
            (folder / blob).is_file() or store.elsewhere(Digest.sha256(blob)) for blob in made
        ):
            return None
        return RememberedBuild(descriptor, str(value["base"]), age_seconds, Digest.sha256(value["lock"]))
    except (KeyError, TypeError, ValueError, ImageError, UsageError):
        return None


def remember_build(
    store: Store,
    key: str,
    descriptor: Descriptor,
    *,
    base: str,
    base_layers: frozenset[str],
    resolved: float,
    lock_text: str,
) -> None:
    """Note what a build made.

    ``resolved`` is the time of its resolution; ``base_layers`` are hexadecimal digests that the store may lack.
    """
    lock = store.blobs.add(lock_text.encode())
    value = {
        "image": descriptor.to_json(),
        "base": base,
        "resolved": resolved,
        "lock": lock.hex,
        "blobs": sorted((needed_blobs(store, descriptor) - base_layers) | {lock.hex}),
    }
    store.records.put(_KIND, key, value)


def needed_blobs(store: Store, descriptor: Descriptor) -> set[str]:
    """The hexadecimal digests of the blobs of an image in the store."""
    document: Mapping[str, Any] = json.loads(store.blobs.read(descriptor.digest))
    needed = {descriptor.digest.hex}
    if descriptor.media_type in INDEX_TYPES:
        for manifest in document["manifests"]:
            needed |= needed_blobs(store, Descriptor.from_json(manifest, where="an index in the store"))
        return needed
    for blob in (document["config"], *document["layers"]):
        needed.add(Descriptor.from_json(blob, where="a manifest in the store").digest.hex)
    return needed
