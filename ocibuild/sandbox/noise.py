"""What steps leave behind that nobody wants in an image: exact places of the system, never anything in a home."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["NOISE", "NoiseRule", "PathPatterns", "noise_at"]


@dataclass(frozen=True, slots=True)
class NoiseRule:
    """A pattern as :class:`PathPatterns` takes it, and why what it names is left out of a step's layer."""

    pattern: str
    why: str


NOISE = (
    NoiseRule("/dev/**", "made by the kernel when a container starts"),
    NoiseRule("/proc/**", "made by the kernel when a container starts"),
    NoiseRule("/sys/**", "made by the kernel when a container starts"),
    NoiseRule("/etc/hosts", "this machine's while a step runs; a container's runtime makes its own"),
    NoiseRule("/etc/resolv.conf", "this machine's while a step runs; a container's runtime makes its own"),
    NoiseRule("/run/**", "lives as long as the system runs (file-hierarchy(7))"),
    NoiseRule("/tmp/**", "temporary files"),  # noqa: S108 - a place in the image
    NoiseRule("/var/tmp/**", "temporary files"),  # noqa: S108 - as above
    NoiseRule("/var/cache/apt/*.bin", "apt's index of packages, made again by every apt-get update"),
    NoiseRule("/var/cache/apt/archives/*.deb", "packages that are installed already"),
    NoiseRule("/var/cache/apt/archives/lock", "apt's lock"),
    NoiseRule("/var/cache/apt/archives/partial/**", "unfinished downloads"),
    NoiseRule("/var/cache/debconf/*-old", "debconf's backup of its own files"),
    NoiseRule("/var/cache/ldconfig/aux-cache", "ldconfig's notes on inodes of the machine that it ran on"),
    NoiseRule("/var/lib/apt/lists/**", "package lists, which apt-get update fetches again"),
    NoiseRule("/var/lib/dpkg/*-old", "dpkg's backup of its own files"),
    NoiseRule("/var/lib/dpkg/lock", "dpkg's lock"),
    NoiseRule("/var/lib/dpkg/lock-frontend", "dpkg's lock"),
    NoiseRule("/var/lib/dpkg/triggers/Lock", "dpkg's lock"),
    NoiseRule("/var/log/alternatives.log", "a log, with the times of the build"),
    NoiseRule("/var/log/apt/**", "a log, with the times of the build"),
    NoiseRule("/var/log/bootstrap.log", "a log, with the times of the build"),
    NoiseRule("/var/log/dpkg.log", "a log, with the times of the build"),
    NoiseRule("/var/log/fontconfig.log", "a log, with the times of the build"),
)
"""What is new or changed there is left out; what a step removes there is removed from the image."""


class PathPatterns:
    """Patterns of absolute paths: each part matches as in a shell, and ``/**`` at the end is all that lies below.

    A pattern without a slash at its start is taken as if it had one.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._forms: list[tuple[list[str], bool]] = []
        for pattern in patterns:
            parts = pattern.strip("/").split("/")
            below = parts[-1] == "**"
            self._forms.append((parts[:-1] if below else parts, below))

    def match(self, path: str) -> bool:
        """Whether one of the patterns matches the path (without a leading slash)."""
        parts = path.split("/")
        return any(
            (len(parts) > len(form) if below else len(parts) == len(form))
            and all(fnmatchcase(part, wanted) for part, wanted in zip(parts, form, strict=False))
            for form, below in self._forms
        )


_RULES = tuple((PathPatterns([rule.pattern]), rule) for rule in NOISE)
_TOPS = frozenset(rule.pattern.split("/")[1] for rule in NOISE)


def noise_at(path: str) -> NoiseRule | None:
    """The rule by which a path is noise, or None."""
    if path.partition("/")[0] not in _TOPS:
        return None
    return next((rule for patterns, rule in _RULES if patterns.match(path)), None)
