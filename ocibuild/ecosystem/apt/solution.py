"""What a solver decided: packages to install, to remove and to leave, each with its reason."""

from dataclasses import dataclass

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.apt.package import Package, PackageVersion

__all__ = ["Change", "Removal", "Solution", "locked_package"]


@dataclass(frozen=True, slots=True)
class Change:
    """A version to install. ``previous`` is the installed version that it replaces, None for a new package.

    ``why`` holds the asks that named it (``apt.txt:3``), or else the full names of what depends on it, sorted; where it
    is upgraded only along with another package, that one. ``automatic`` is apt's Auto-Installed mark.
    """

    version: PackageVersion
    previous: PackageVersion | None
    requested: bool
    automatic: bool
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """An installed version that goes. ``why`` holds the asks (``foo-``), or what conflicts with it."""

    version: PackageVersion
    requested: bool
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """The outcome. ``changes`` are in an order in which they can be configured: Pre-Depends and Depends first.

    ``kept`` are the installed versions that stay as they are, in the order of dpkg's status; ``automatic`` are the
    packages of the outcome that carry apt's Auto-Installed mark.
    """

    changes: tuple[Change, ...]
    removals: tuple[Removal, ...]
    kept: tuple[PackageVersion, ...]
    automatic: frozenset[Package]

    @property
    def installed(self) -> tuple[PackageVersion, ...]:
        """Every version that is there in the end: what stays, then what comes."""
        return self.kept + tuple(change.version for change in self.changes)


def locked_package(change: Change) -> LockedPackage:
    """The change as the lock records it, from the first archive that carries the version.

    An ImageError where its stanza lacks Filename, Size or SHA256 (an archive that must not be used).
    """
    version = change.version
    found = next((one for one in version.occurrences if one.archive is not None), None)
    if found is None or found.archive is None:
        raise ImageError(f"{version} is in no archive, so it cannot be fetched")
    fields = version.fields
    if "Filename" not in fields or "SHA256" not in fields or not fields.get("Size", "").isascii():
        raise ImageError(f"{version} in {found.archive.source}: a stanza without Filename, Size or SHA256")
    if not fields["Size"].isdigit():
        raise ImageError(f"{version} in {found.archive.source}: Size is {fields['Size']!r}")
    recorded = {
        "suite": found.archive.suite,
        "codename": found.archive.codename,
        "component": found.archive.component,
        "automatic": "yes" if change.automatic else "",
        "previous": change.previous.version if change.previous else "",
    }
    return LockedPackage(
        ecosystem=Ecosystem.APT,
        name=version.name,
        version=version.version,
        architecture=version.architecture,
        source=found.archive.source,
        path=found.archive.base_path + fields["Filename"].removeprefix("./"),
        digest=Digest.sha256(fields["SHA256"]),
        size_bytes=int(fields["Size"]),
        requested=change.requested,
        why=change.why,
        fields={name: text for name, text in recorded.items() if text},
    )
