"""Why the layers of an image are not those of an earlier one, and what makes an image large."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocibuild.image.inspect import ImageReport, LayerReport

__all__ = ["LayerReason", "PackageChanges", "explain", "package_changes", "weigh"]

_BASE_DIGEST = "org.opencontainers.image.base.digest"
_MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class PackageChanges:
    """Packages (``apt git``) by what became of them; ``changed`` have both versions."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        parts = [f"{name} {before} is {after} now" for name, before, after in self.changed]
        parts += [f"{name} is new" for name in self.added] + [f"{name} is gone" for name in self.removed]
        rest = f", and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
        return ", ".join(parts[:_MOST_NAMED]) + rest


@dataclass(frozen=True, slots=True)
class LayerReason:
    """A layer, and why it is not one of the earlier image's; ``reason`` is "" where it is one of them."""

    layer: LayerReport
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The layer as ``ocibuild why --json`` writes it."""
        return {**self.layer.to_json(), "is_new": bool(self.reason), "reason": self.reason}


def package_changes(before: Collection[str], after: Collection[str]) -> PackageChanges:
    """What became of the packages of a layer, which are named as its annotation names them: ``apt git=1.0 amd64``."""
    old, new = dict(map(_parted, before)), dict(map(_parted, after))
    return PackageChanges(
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple((name, old[name], new[name]) for name in new if name in old and old[name] != new[name]),
    )


def explain(
    before: ImageReport, after: ImageReport, *, files: Mapping[str, Sequence[str]] | None = None
) -> tuple[LayerReason, ...]:
    """Each layer of ``after`` with the reason for which ``before`` does not have it.

    ``files`` are, by the digest of a layer, the paths in it that changed, as far as somebody has looked.
    """
    kept = {layer.digest for layer in before.layers}
    pairs = dict(_numbered(before))
    base = before.image.manifest.annotations.get(_BASE_DIGEST), after.image.manifest.annotations.get(_BASE_DIGEST)
    reasons: list[LayerReason] = []
    everything = package_changes(_all_packages(before), _all_packages(after))
    first_new = ""
    for key, layer in _numbered(after):
        reason = ""
        if layer.digest not in kept:
            changed = (files or {}).get(str(layer.digest), ())
            reason = _reason(layer, pairs.get(key), changed, everything, first_new, base_changed=base[0] != base[1])
            first_new = first_new or layer.name or layer.created_by
        reasons.append(LayerReason(layer, reason))
    return tuple(reasons)


def _reason(
    layer: LayerReport,
    earlier: LayerReport | None,
    files: Sequence[str],
    everything: PackageChanges,
    first_new: str,
    *,
    base_changed: bool,
) -> str:
    if earlier is not None and (changes := package_changes(earlier.packages, layer.packages)):
        return str(changes)
    if files:
        listed = ", ".join(f"/{path}" for path in files[:_MOST_NAMED])
        rest = f" and {len(files) - _MOST_NAMED} more" if len(files) > _MOST_NAMED else ""
        return f"files changed: {listed}{rest}"
    if earlier is None:
        return f"there was no such layer: {str(everything) or 'it is new'}"
    if base_changed:
        return "the base is another one"
    if layer.packages and not first_new:
        return "the same packages are placed otherwise (another place, owner or version of this program)"
    below = f"what is below it changed: {first_new}" + (f" ({everything})" if everything else "")
    return below if first_new else "what it is made of changed: its options, variables or command"


def weigh(report: ImageReport, sizes: Mapping[str, int]) -> list[tuple[LayerReport, list[tuple[str, int]]]]:
    """The layers, the largest first, each with its packages by their sizes (those that ``sizes`` knows), largest first.

    ``sizes`` are in bytes, by ``apt git=1.0 amd64``.
    """
    found = []
    for layer in sorted(report.layers, key=lambda layer: -layer.size_bytes):
        known = [(name, sizes[name]) for name in layer.packages if name in sizes]
        found.append((layer, sorted(known, key=lambda pair: -pair[1])))
    return found


def _parted(package: str) -> tuple[str, str]:
    name, _, rest = package.partition("=")
    return name, rest.partition(" ")[0]


def _all_packages(report: ImageReport) -> list[str]:
    return [package for layer in report.layers for package in layer.packages]


def _numbered(report: ImageReport) -> Iterator[tuple[tuple[str, int], LayerReport]]:
    """The layers by name and number: a base and what is on it may have layers of one name."""
    seen: Counter[str] = Counter()
    for layer in report.layers:
        name = layer.name or layer.created_by
        seen[name] += 1
        yield (name, seen[name]), layer
