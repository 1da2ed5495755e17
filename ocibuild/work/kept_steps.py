"""The steps of an image as a frame remembers them: who they run as, and what they run on."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Self

from ocibuild.core.digest import Digest
from ocibuild.core.errors import MachineError
from ocibuild.core.events import EventSink
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.image.users import ACCOUNT_FILES, ImageUser
from ocibuild.layer.entry import Entry
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.base import Base
from ocibuild.work.below import Below, KeptPieces
from ocibuild.work.layers import LayerMaker, MadeLayer
from ocibuild.work.shared_cache import SharedCache
from ocibuild.work.steps import StepRunner, StepSettings

__all__ = ["KeptSteps", "begin_steps", "changes_accounts"]


@dataclass(frozen=True, slots=True)
class KeptSteps:
    """Steps with their users, in their order, on a base (``diff_ids``) with ``layers`` below the repository's files.

    ``environment`` and ``homes`` are as :class:`~ocibuild.work.steps.StepRunner` has them. ``folders`` are those of the
    layer above the steps: path -> mode, uid, gid.
    """

    platform: Platform
    steps: tuple[tuple[Step, ImageUser], ...]
    environment: Mapping[str, str]
    homes: tuple[str, ...]
    diff_ids: tuple[str, ...]
    layers: tuple[str, ...]
    pieces: KeptPieces
    folders: Mapping[str, tuple[int, int, int]]

    @classmethod
    def of(
        cls,
        steps: Sequence[tuple[Step, ImageUser]],
        base: Base,
        layers: Sequence[MadeLayer],
        *,
        above: MadeLayer,
        runner: StepRunner,
        store: Store,
    ) -> Self:
        """The steps that ran on these layers and the repository's files; ``above`` lies on what came of them."""
        return cls(
            base.platform,
            tuple(steps),
            runner.environment,
            runner.homes,
            tuple(map(str, base.config.diff_ids)),
            tuple(layer.key for layer in layers),
            KeptPieces.of(base, layers, store),
            {folder.path: (folder.mode, folder.uid, folder.gid) for folder in above.folders},
        )

    def to_json(self) -> dict[str, Any]:
        """The steps as a record holds them."""
        return {
            "platform": str(self.platform),
            "steps": [[_plain(step), asdict(user)] for step, user in self.steps],
            "environment": dict(self.environment),
            "homes": self.homes,
            "diff_ids": self.diff_ids,
            "layers": self.layers,
            "pieces": self.pieces.pieces,
            "folders": dict(self.folders),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """What :meth:`to_json` wrote; a TypeError, ValueError or KeyError where it is something else."""
        return cls(
            Platform.parse(value["platform"]),
            tuple((_step(step), _user(user)) for step, user in value["steps"]),
            MappingProxyType(dict(value["environment"])),
            tuple(value["homes"]),
            tuple(value["diff_ids"]),
            tuple(value["layers"]),
            KeptPieces.from_json(value["pieces"]),
            {path: (mode, uid, gid) for path, (mode, uid, gid) in value["folders"].items()},
        )

    def changes_folders(self, layer: MadeLayer) -> bool:
        """Whether the layer above the steps would be another one on this layer: its folders repeat those below."""
        for fragment in layer.fragments:
            for path, facts in self.folders.items():
                entry = fragment.table.entries.get(path)
                if Entry.whiteout(path).path in fragment.table.entries:
                    return True
                if entry is not None and (entry.kind, entry.mode, entry.uid, entry.gid) != ("directory", *facts):
                    return True
        return False


def begin_steps(
    remembered: Any,
    maker: LayerMaker,
    options: BuildOptions,
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    cache: SharedCache | None,
) -> Callable[[MadeLayer, int], list[MadeLayer] | None]:
    """What runs the steps of this record on a layer of files and its time; a rung is tried for them from now on.

    It returns their layers, or None where what an earlier one did makes a step run as another user, or the layer above
    them another one.
    """
    kept = KeptSteps.from_json(remembered)
    below = Below(kept.diff_ids, kept.layers, kept.pieces.lower(store=store, events=events))
    settings = StepSettings.of(options, kept.platform, environment)
    runner = StepRunner(store, events, environment, maker, kept.platform, settings, kept.environment, kept.homes, cache)
    with contextlib.suppress(MachineError):  # told where a step has to run: what came of it may be known
        runner.choosing(kept.steps[0][0])

    def run(source: MadeLayer, source_time: int) -> list[MadeLayer] | None:
        made: list[MadeLayer] = []
        for step, user in kept.steps:
            if any(map(changes_accounts, made)):
                return None
            made.append(runner.layer(step, user, below.under(source, *made), modified=source_time))
        return None if any(map(kept.changes_folders, made)) else made

    return run


def changes_accounts(layer: MadeLayer) -> bool:
    """Whether users of a later step may be others than before."""
    return any(path in fragment.table.entries for fragment in layer.fragments for path in ACCOUNT_FILES)


def _plain(step: Step) -> dict[str, Any]:
    inputs = {path: digest.hex for path, digest in step.inputs.items()}
    return {name: getattr(step, name) for name in step.__slots__} | {
        "environment": dict(step.environment),
        "inputs": inputs,
    }


def _step(value: Any) -> Step:
    lists = {name: tuple(value[name]) for name in ("arguments", "keep")}
    return Step(
        **{
            **value,
            **lists,
            "environment": MappingProxyType(dict(value["environment"])),
            "inputs": MappingProxyType({path: Digest.sha256(digest) for path, digest in value["inputs"].items()}),
        }
    )


def _user(value: Any) -> ImageUser:
    return ImageUser(**{**value, "groups": tuple(value["groups"])})
