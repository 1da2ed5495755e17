"""What a build would do, as a value: for people, and as JSON for other programs."""

from dataclasses import dataclass
from typing import Any

from ocibuild.core.package import LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step

__all__ = ["BuildPlan", "PlannedLayer", "PlannedPackage"]


@dataclass(frozen=True, slots=True)
class PlannedPackage:
    """A package of the lock, where it would be fetched from (credentials taken away), and whether it is here."""

    package: LockedPackage
    url: str
    is_cached: bool


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer that the image would have. ``size_bytes`` is None where it is unknown until fetched.

    ``packages`` are names; ``state`` is ``base``, ``cached`` (the store or a shared cache has it) or ``new``.
    """

    name: str
    state: str
    size_bytes: int | None = None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The plan of one platform. ``age_seconds`` is how old the resolution is; ``unknown`` what cannot be told yet.

    ``steps`` are what would have to run; in a build that can run none of them, each ends it with exit code 4.
    """

    platform: Platform
    base: str
    base_digest: str | None
    age_seconds: float
    packages: tuple[PlannedPackage, ...] = ()
    removals: tuple[str, ...] = ()
    layers: tuple[PlannedLayer, ...] = ()
    steps: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def bytes_to_fetch(self) -> int:
        """The sum of the known sizes of packages that are not here."""
        return sum(each.package.size_bytes or 0 for each in self.packages if not each.is_cached)

    def to_json(self) -> dict[str, Any]:
        """The plan as one JSON object (README, "The plan")."""
        return {
            "platform": str(self.platform),
            "base": {"name": self.base, "digest": self.base_digest},
            "age_seconds": round(self.age_seconds),
            "packages": [_package_json(each) for each in self.packages],
            "removals": list(self.removals),
            "layers": [
                {
                    "name": layer.name,
                    "state": layer.state,
                    "size_bytes": layer.size_bytes,
                    "packages": list(layer.packages),
                }
                for layer in self.layers
            ],
            "steps": [
                {"name": step.name, "why": step.why, "user": step.user, "arguments": list(step.arguments)}
                for step in self.steps
            ],
            "unknown_until_fetched": list(self.unknown),
        }


def _package_json(planned: PlannedPackage) -> dict[str, Any]:
    package = planned.package
    return {
        "ecosystem": package.ecosystem.value,
        "name": package.name,
        "version": package.version,
        "architecture": package.architecture,
        "url": planned.url,
        "sha256": package.digest.hex,
        "size_bytes": package.size_bytes,
        "why": ", ".join(package.why),
        "requested": package.requested,
        "cached": planned.is_cached,
    }
