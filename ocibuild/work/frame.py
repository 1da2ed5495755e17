"""Remembering images without the repository's files and what comes of these, so that a change of them costs little.

Of everything else an image depends on what is asked, not on the files as such. Imported by every build before anything
else: keep it light.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocibuild.core.descriptor import INDEX_TYPES, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.core.paths import ancestors
from ocibuild.store.store import Store
from ocibuild.work.recall import needed_blobs

if TYPE_CHECKING:
    from ocibuild.image.view import View

__all__ = ["EDITABLE_LAYER", "FRAME_KIND", "SOURCE_LAYER", "Frame", "Ground", "recall_frame", "remember_frame"]

SOURCE_LAYER = "source"
"""The name of the layer that holds the repository's files."""

EDITABLE_LAYER = "what editable installs left in the repository"
FRAME_KIND = "frame-2"


@dataclass(frozen=True, slots=True)
class Ground:
    """What the repository's layer lies on: where its files go, who owns them, and the folders that are there already.

    ``folders`` are those above ``path``, itself, and all below it: path -> mode, uid, gid. ``steps`` run on the files,
    as :meth:`ocibuild.work.kept_steps.KeptSteps.to_json` writes them; ``layers_above`` lie on all that comes of files.
    """

    path: str
    uid: int
    gid: int
    folders: Mapping[str, tuple[int, int, int]]
    steps: Any = None
    layers_above: int = 0

    @classmethod
    def of(cls, view: "View", path: str, *, uid: int, gid: int) -> "Ground | None":
        """The ground at this place of a view; None where a link is there, for then other folders count too.

        The root is no such place: all of the image would be its ground.
        """
        if not path:
            return None
        above = {*ancestors(path), path}
        entries = {name: entry for name, entry in view.items() if name in above or name.startswith(f"{path}/")}
        if any(entry.kind == "symlink" for entry in entries.values()):
            return None
        folders = {
            name: (entry.mode, entry.uid, entry.gid) for name, entry in entries.items() if entry.kind == "directory"
        }
        return cls(path, uid, gid, folders)

    @classmethod
    def from_json(cls, value: Any) -> "Ground":
        """What :meth:`to_json` wrote; a TypeError, ValueError or KeyError where it is something else."""
        folders = {str(name): (int(mode), int(uid), int(gid)) for name, (mode, uid, gid) in value["folders"].items()}
        return cls(
            str(value["path"]),
            int(value["uid"]),
            int(value["gid"]),
            folders,
            value["steps"],
            int(value["layers_above"]),
        )

    def to_json(self) -> dict[str, Any]:
        """The ground as a record holds it."""
        value = {name: getattr(self, name) for name in ("path", "uid", "gid", "steps", "layers_above")}
        return {**value, "folders": dict(self.folders)}

    def of_files(self, layer_count: int) -> slice:
        """Which of an image's layers depend on the files: theirs, and one for each step."""
        end = layer_count - self.layers_above
        return slice(end - 1 - (len(self.steps["steps"]) if self.steps else 0), end)


@dataclass(frozen=True, slots=True)
class Frame:
    """An image in the store whose last layers, on every platform, may be replaced by those of other files.

    ``grounds`` are of its platforms, in their order. ``base_layers`` are hexadecimal digests of layers that may be only
    where the base came from, ``resolved`` is the time of the oldest resolution, ``lock`` the blob of the lock's text.
    """

    image: Descriptor
    grounds: tuple[Ground, ...]
    base: str
    base_layers: frozenset[str]
    resolved: float
    lock: Digest


def recall_frame(store: Store, key: str, *, now: float, max_age_seconds: float) -> Frame | None:
    """The frame of this key, if all that it needs is in the store and it is fresh."""
    value: Any = store.records.get(FRAME_KIND, key)
    try:
        resolved = float(value["resolved"])
        if now - resolved > max_age_seconds or not all(store.holds(Digest.sha256(blob)) for blob in value["blobs"]):
            return None
        return Frame(
            Descriptor.from_json(value["image"], where="a frame in the store"),
            tuple(map(Ground.from_json, value["grounds"])),
            str(value["base"]),
            frozenset(map(str, value["base_layers"])),
            resolved,
            Digest.sha256(value["lock"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ImageError, UsageError):
        return None


def remember_frame(store: Store, key: str, frame: Frame) -> None:
    """Note a frame. The layers that may be replaced need not stay in the store."""
    replaceable = set(_last_layers(store, frame.image, list(frame.grounds)))
    value = {
        "image": frame.image.to_json(),
        "grounds": [ground.to_json() for ground in frame.grounds],
        "base": frame.base,
        "base_layers": sorted(frame.base_layers),
        "resolved": frame.resolved,
        "lock": frame.lock.hex,
        "blobs": sorted((needed_blobs(store, frame.image) - frame.base_layers - replaceable) | {frame.lock.hex}),
    }
    store.records.put(FRAME_KIND, key, value)


def _last_layers(store: Store, image: Descriptor, grounds: list[Ground]) -> Iterator[str]:
    """The hexadecimal digests of the layers that depend on files: of the image, or of each of an index."""
    document: Any = json.loads(store.blobs.read(image.digest))
    if image.media_type in INDEX_TYPES:
        for manifest, ground in zip(document["manifests"], grounds, strict=True):
            yield from _last_layers(store, Descriptor.from_json(manifest, where="an index in the store"), [ground])
    else:
        layers = document["layers"]
        for layer in layers[grounds[0].of_files(len(layers))]:
            yield Descriptor.from_json(layer, where="a manifest in the store").digest.hex
