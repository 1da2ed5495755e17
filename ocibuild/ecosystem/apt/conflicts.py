"""What must go or be upgraded for a package to come: the negative half of apt 2.6's MarkInstall (depcache.cc)."""

from dataclasses import dataclass, field
from typing import Protocol

from ocibuild.ecosystem.apt.package import Dependency, Package, PackageVersion
from ocibuild.ecosystem.apt.provider_order import Choice, possible_solutions
from ocibuild.ecosystem.apt.selection import Mode, Selection

__all__ = ["Work", "remove_conflicts", "upgrade_or_remove"]


@dataclass(slots=True)
class Work:
    """What marking one package still has to do for it."""

    version: PackageVersion
    depth: int
    from_user: bool
    was_protected: bool
    to_install: list[Dependency] = field(default_factory=list)
    to_upgrade: list[Package] = field(default_factory=list)
    delayed_removals: list[Package] = field(default_factory=list)

    @property
    def stops_early(self) -> bool:
        """Whether a failure takes the package back: not one that the user asked for, nor what only that needs."""
        return not self.was_protected and not self.from_user


class Marker(Protocol):
    """What this half needs of :class:`ocibuild.ecosystem.apt.marking.Marking`."""

    selection: Selection
    causes: dict[Package, Package]

    def install(self, package: Package, *, follow: bool, depth: int = 0, from_user: bool = False) -> bool:
        """Mark a package for installation."""


def remove_conflicts(marking: Marker, work: Work, to_remove: list[Dependency]) -> bool:
    """Give up candidates that must not be there; upgrade or remove installed packages that must not.

    RemoveConflictsIfNotUpgradeable. False where something could not be removed.
    """
    failed = False
    bad_candidates: list[Package] = []
    for dependency in to_remove:
        for other in possible_solutions(marking.selection, work.version, dependency, Choice.CANDIDATE):
            if not _avoid_candidate(marking, work, other, bad_candidates):
                failed = True
                if work.stops_early:
                    return False
        for other in possible_solutions(marking.selection, work.version, dependency, Choice.INSTALLED):
            if not _avoid_installed(marking, work, other, bad_candidates):
                failed = True
                if work.stops_early:
                    return False
    return not failed


def _avoid_candidate(marking: Marker, work: Work, other: PackageVersion, bad_candidates: list[Package]) -> bool:
    selection, package = marking.selection, other.package
    if selection.candidate(package) is not other:
        return True
    if selection.installed.get(package) is other:
        return _delete_not_upgradeable(marking, work, package)
    if selection.mode(package) is Mode.INSTALL and not selection.mark_keep(package, depth=work.depth):
        return False
    if work.was_protected:
        selection.discard_candidate(package)
        if package not in selection.installed:
            selection.protected.add(package)
    else:
        bad_candidates.append(package)
    return True


def _avoid_installed(marking: Marker, work: Work, other: PackageVersion, bad_candidates: list[Package]) -> bool:
    package = other.package
    candidate = marking.selection.candidate(package)
    if candidate is not other and candidate is not None and package not in bad_candidates:
        work.to_upgrade.append(package)
        return True
    if candidate is marking.selection.installed.get(package):
        return True  # done with the candidates
    return _delete_not_upgradeable(marking, work, package)


def _delete_not_upgradeable(marking: Marker, work: Work, package: Package) -> bool:
    selection = marking.selection
    if not work.was_protected:
        if selection.mode(package) is Mode.DELETE:
            return True
        if not selection.may_delete(package, depth=work.depth, from_user=False):
            return False
        work.delayed_removals.append(package)
        return True
    if selection.mode(package) is not Mode.DELETE:
        if not selection.mark_delete(package, depth=work.depth + 1):
            return False
        marking.causes.setdefault(package, work.version.package)
    selection.discard_candidate(package)
    selection.protected.add(package)
    return True


def upgrade_or_remove(marking: Marker, work: Work) -> bool:
    """Upgrade what the new version would break; what cannot be upgraded goes (UpgradeOrRemoveConflicts).

    False where something can be neither.
    """
    selection = marking.selection
    failed = False
    for package in work.to_upgrade:
        if selection.mode(package) is Mode.INSTALL or marking.install(package, follow=True, depth=work.depth + 1):
            continue
        if not selection.mark_delete(package, depth=work.depth + 1):
            failed = True
            if work.stops_early:
                break
        else:
            marking.causes.setdefault(package, work.version.package)
            if work.was_protected:
                selection.protected.add(package)
    return not failed
