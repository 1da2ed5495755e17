"""Which of a step's changes go into its layer: noise, repeated bytecode and what no layer can hold is told apart."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ocibuild.core.errors import BuildError
from ocibuild.core.paths import parent
from ocibuild.layer.entry import WHITEOUT_PREFIX
from ocibuild.sandbox.bytecode import BYTECODE_FOLDER, source_path
from ocibuild.sandbox.changes import Changed, Changes
from ocibuild.sandbox.noise import PathPatterns, noise_at
from ocibuild.sandbox.scan import LONGEST_PATH_BYTES
from ocibuild.sandbox.survey import Survey

__all__ = ["CaptureRules", "LeftOut", "Selection", "select"]

_BYTECODE = "bytecode of sources that the step did not change"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class CaptureRules:
    """What decides how a change becomes a layer.

    ``modified`` is the time of what is new, in seconds since the epoch. Nothing below ``homes`` (absolute paths: the
    homes of users, the repository's folder) is ever left out, be it noise or bytecode, nor what ``keep`` matches
    (:class:`~ocibuild.sandbox.noise.PathPatterns`).
    """

    modified: int
    homes: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many paths of how many bytes were left out, where (a pattern or a description) and why."""

    what: str
    why: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The changes that go into the layer. ``special`` are devices, fifos and sockets, which cannot.

    ``refused`` are all paths that were left out.
    """

    changes: Changes
    left_out: tuple[LeftOut, ...]
    special: tuple[str, ...]
    refused: frozenset[str]


def select(survey: Survey, changes: Changes, rules: CaptureRules) -> Selection:
    """Choose. A BuildError names the paths that no layer can hold."""
    keep = PathPatterns(rules.keep)
    homes = tuple(home.strip("/") for home in rules.homes)
    chosen: dict[str, Changed] = {}
    special: list[str] = []
    left_out: dict[tuple[str, str], list[str]] = {}
    for path, change in changes.changed.items():
        is_kept = _is_below(path, homes) or keep.match(path)
        reason = None if is_kept else _noise(path) or _repeated(path, change, survey, changes.changed)
        if reason is not None:
            left_out.setdefault(reason, []).append(path)
        elif change.kind == "other":
            special.append(path)
        else:
            chosen[path] = change
    for path in _emptied(chosen, {parent(path) for paths in left_out.values() for path in paths}):
        del chosen[path]
    _refuse_unplaceable(chosen)
    counted = (
        LeftOut(what, why, len(paths), sum(changes.changed[path].size_bytes for path in paths))
        for (what, why), paths in sorted(left_out.items())
    )
    refused = frozenset(path for paths in left_out.values() for path in paths)
    return Selection(Changes(chosen, changes.removed), tuple(counted), tuple(sorted(special)), refused)


def _is_below(path: str, homes: Sequence[str]) -> bool:
    return any(not home or path == home or path.startswith(f"{home}/") for home in homes)


def _noise(path: str) -> tuple[str, str] | None:
    rule = noise_at(path)
    return (rule.pattern, rule.why) if rule is not None else None


def _repeated(path: str, change: Changed, survey: Survey, changed: Mapping[str, Changed]) -> tuple[str, str] | None:
    """Why a bytecode file is left out whose source was there before the step with the same content."""
    source = source_path(path) if change.kind == "file" else None
    if source is None or source not in survey.before.paths or source not in survey.disk:
        return None
    source_change = changed.get(source)
    if source_change is not None and source_change.differs & {"kind", "content"}:
        return None
    return "*.pyc", _BYTECODE


def _emptied(chosen: Mapping[str, Changed], folders: set[str]) -> list[str]:
    """Folders for bytecode that the step made, when nothing in them was chosen."""
    holders = {parent(path) for path in chosen}
    return [
        path
        for path in folders - holders
        if path in chosen and "new" in chosen[path].differs and path.rpartition("/")[2] == BYTECODE_FOLDER
    ]


def _refuse_unplaceable(paths: Iterable[str]) -> None:
    wrong = sorted(path for path in paths if not _is_placeable(path))
    if wrong:
        named = ", ".join(repr(f"/{path}"[:200]) for path in wrong[:_MOST_NAMED])
        raise BuildError(
            f"the step left names that an image cannot hold: {named}",
            hint="remove them in the step: names with line feeds or with .wh. at their start, paths above 4,095 bytes",
        )


def _is_placeable(path: str) -> bool:
    if "\n" in path or len(os.fsencode(path)) > LONGEST_PATH_BYTES:
        return False
    return not path.startswith(WHITEOUT_PREFIX) and f"/{WHITEOUT_PREFIX}" not in path
