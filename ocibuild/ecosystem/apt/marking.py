"""Marking a package for installation with all that this needs: apt 2.6's MarkInstall (depcache.cc).

There is no backtracking: what is marked stays, until a later failure takes back the one package that failed. The
outcome may be broken; apt then calls its problem resolver, which is not emulated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ocibuild.ecosystem.apt.conflicts import Work, remove_conflicts, upgrade_or_remove
from ocibuild.ecosystem.apt.garbage import reachable
from ocibuild.ecosystem.apt.package import Dependency, DependencyKind, MultiArch, Package, PackageVersion
from ocibuild.ecosystem.apt.provider_order import Choice, possible_solutions
from ocibuild.ecosystem.apt.selection import Mode, Selection, in_sections
from ocibuild.ecosystem.apt.universe import accepts

__all__ = ["Failure", "Marking"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A relation that could not be satisfied, and whose it is."""

    version: PackageVersion
    dependency: Dependency


class Marking:
    """Marks packages in a selection, and remembers what could not be satisfied and who caused each change."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.failures: list[Failure] = []
        self.causes: dict[Package, Package] = {}
        self._path: list[Package] = []
        self._needed_at_first = reachable(selection) if selection.automatic else frozenset(selection.installed)

    def install(self, package: Package, *, follow: bool, depth: int = 0, from_user: bool = False) -> bool:
        """Mark the package's candidate; with ``follow`` also what it depends on, conflicts with and would break.

        False where that failed; for a package that the user asked for the marks then stay.
        """
        selection = self.selection
        candidate = selection.candidate(package)
        if candidate is None or not self._may_install(package, candidate, depth=depth, from_user=from_user):
            return False
        if package not in selection.protected and not selection.is_broken(package, policy=True):
            if candidate is selection.installed.get(package):
                return selection.final(package) is not None or selection.mark_keep(
                    package, depth=depth + 1, from_user=from_user
                )
            if selection.mode(package) is Mode.INSTALL:
                return True
        if not self._is_in_step(package, candidate, from_user=from_user) or (
            follow and not self._is_satisfiable(package, candidate)
        ):
            return False
        if self._path:
            self.causes.setdefault(package, self._path[-1])
        work = Work(candidate, depth, from_user, was_protected=package in selection.protected)
        self._path.append(package)
        try:
            return self._install(work, follow=follow)
        finally:
            self._path.pop()

    def _may_install(self, package: Package, candidate: PackageVersion, *, depth: int, from_user: bool) -> bool:
        """Whether the mode may change, or the call only passes protection on to what the package needs."""
        selection = self.selection
        stays = selection.mode(package) is Mode.KEEP and candidate is selection.installed.get(package)
        return (package in selection.protected and stays) or selection.may_change(
            package, Mode.INSTALL, depth=depth, from_user=from_user
        )

    def _install(self, work: Work, *, follow: bool) -> bool:
        package = work.version.package
        if work.from_user:
            self._change_state(package, follow=follow, from_user=True)
        failed = False
        if follow:
            failed = not remove_conflicts(self, work, self._collect(work))
            if failed and work.stops_early:
                return False
            self._collect_dependants(work)
        if not work.from_user:
            self._change_state(package, follow=follow, from_user=False)
        if not follow:
            return not failed
        # While its dependencies are marked, nothing they do may change this package.
        self.selection.protected.add(package)
        try:
            return self._install_what_it_needs(work) and not failed
        finally:
            if not work.was_protected:
                self.selection.protected.discard(package)

    def _install_what_it_needs(self, work: Work) -> bool:
        package = work.version.package
        self._upgrade_siblings(work)
        failed = False
        for step in (partial(upgrade_or_remove, self), self._install_dependencies, self._remove_delayed):
            if not step(work):
                failed = True
                if work.stops_early:
                    self.selection.discard_install(package)
                    return False
        return not failed

    def _is_in_step(self, package: Package, candidate: PackageVersion, *, from_user: bool) -> bool:
        """Whether the candidate keeps ``Multi-Arch: same`` siblings at one version."""
        selection = self.selection
        if from_user or candidate is selection.installed.get(package):
            return True
        if selection.mode(package) is Mode.INSTALL and selection.final(package) is candidate:
            return True
        if candidate.multi_arch is not MultiArch.SAME:
            return True
        for sibling in selection.universe.group(package.name):
            if sibling is package or sibling not in selection.installed:
                continue
            other = selection.candidate(sibling)
            if other is None or other.version == candidate.version or other.multi_arch is not MultiArch.SAME:
                continue
            if other.archives:
                return False
        return True

    def _is_satisfiable(self, package: Package, candidate: PackageVersion) -> bool:
        """Whether candidates could satisfy every dependency; where not, the candidate is given up."""
        selection = self.selection
        installed = selection.installed.get(package)
        if candidate is installed:
            return True
        for dependency in selection.universe.dependencies(candidate):
            if not dependency.kind.is_critical or dependency.kind.is_negative:
                continue
            if selection.is_met(candidate, dependency) or any(
                selection.seems_satisfiable(candidate, dependency, target) for target in dependency.targets
            ):
                continue
            self.failures.append(Failure(candidate, dependency))
            if package not in selection.protected:
                if installed is not None:
                    selection.set_candidate(installed)
                else:
                    selection.drop_candidate(package, None)
                selection.forget_mode(package)
            return False
        return True

    def _change_state(self, package: Package, *, follow: bool, from_user: bool) -> None:
        selection = self.selection
        if package in selection.protected and selection.final(package) is selection.candidate(package):
            return
        selection.take_candidate(package)
        is_new = package not in selection.installed
        if not from_user:
            if is_new:
                selection.automatic.add(package)
        elif is_new or follow or package not in self._needed_at_first:
            selection.automatic.discard(package)

    def _collect(self, work: Work) -> list[Dependency]:
        """Note the dependencies to install; return the relations whose targets must go."""
        selection = self.selection
        to_remove: list[Dependency] = []
        for dependency in selection.universe.dependencies(work.version):
            if not selection.is_important(dependency.kind):
                continue
            if not work.was_protected and selection.is_met(work.version, dependency):
                continue
            (to_remove if dependency.kind.is_negative else work.to_install).append(dependency)
        return to_remove

    def _collect_dependants(self, work: Work) -> None:
        """Installed packages that the new version no longer satisfies are to be upgraded as well."""
        selection = self.selection
        package = work.version.package
        current = selection.installed.get(package)
        if current is None:
            return
        for version, dependency, target in selection.universe.installed_dependants.get(package.key, ()):
            dependant = version.package
            if selection.mode(dependant) is Mode.INSTALL or not selection.is_important(dependency.kind):
                continue
            if not accepts(target, current.version) or accepts(target, work.version.version):
                continue
            if dependant not in work.to_upgrade:
                work.to_upgrade.append(dependant)

    def _upgrade_siblings(self, work: Work) -> None:
        """Upgrade installed packages of the same source to the same source version (UpgradeOtherBinaries)."""
        selection = self.selection
        source = work.version.source_package
        siblings = []
        for package in selection.universe.installed_by_source.get(source[0], ()):
            candidate = selection.candidate(package)
            if (
                package is work.version.package
                or candidate is None
                or candidate is selection.installed[package]
                or candidate.source_package != source
                or (selection.mode(package) is Mode.INSTALL and selection.final(package) is candidate)
            ):
                continue
            siblings.append(package)
        if len(siblings) > 1:
            siblings.sort(key=selection.universe.creation_order)
        for follow in (False, True):
            for package in siblings:
                self.install(package, follow=follow, depth=work.depth + 1)

    def _install_dependencies(self, work: Work) -> bool:
        moves_mark = self._moves_automatic_mark(work)
        brought: list[Package] = []
        failed = False
        for dependency in work.to_install:
            if self.selection.is_met(work.version, dependency):
                if work.was_protected and dependency.kind.is_critical and not self._protect_only_one(work, dependency):
                    failed = True
                continue
            if not dependency.kind.is_critical and not self._is_new_recommendation(work, dependency):
                continue
            chosen = self._install_one_of(work, dependency)
            if chosen is not None:
                brought.append(chosen)
            elif dependency.kind.is_critical:
                self.failures.append(Failure(work.version, dependency))
                failed = True
                if work.stops_early:
                    break
        if moves_mark and not (failed and work.stops_early):
            self.selection.automatic.add(work.version.package)
            self.selection.automatic.difference_update(
                package for package in brought if package not in self.selection.installed
            )
        return not failed

    def _protect_only_one(self, work: Work, dependency: Dependency) -> bool:
        """Protect the only package that can satisfy what a protected one needs, and mark it again as such."""
        found = possible_solutions(self.selection, work.version, dependency, Choice.BOTH)
        if len(found) != 1 or found[0].package in self.selection.protected:
            return True
        self.selection.protected.add(found[0].package)
        return self.install(found[0].package, follow=True, depth=work.depth + 1)

    def _is_new_recommendation(self, work: Work, dependency: Dependency) -> bool:
        """Whether to follow a recommendation: on an upgrade, not one that was there before and was not met."""
        current = self.selection.installed.get(work.version.package)
        if current is None:
            return True
        key = dependency.targets[0].key
        old = [
            one
            for one in self.selection.universe.dependencies(current)
            if one.kind is DependencyKind.RECOMMENDS and any(target.key == key for target in one.targets)
        ]
        return not old or any(self.selection.is_met_now(current, one) for one in old)

    def _install_one_of(self, work: Work, dependency: Dependency) -> Package | None:
        selection = self.selection
        found = possible_solutions(selection, work.version, dependency, Choice.CANDIDATE)
        for other in found:
            package = other.package
            if selection.candidate(package) is not other:
                continue
            if work.was_protected and dependency.kind.is_critical and len(found) == 1:
                if not self.install(package, follow=False, depth=work.depth + 1):
                    continue
                selection.protected.add(package)
            if self.install(package, follow=True, depth=work.depth + 1):
                return package
        return None

    def _moves_automatic_mark(self, work: Work) -> bool:
        """Whether the package became a transitional one, so that what it brings is the user's own instead of it."""
        package = work.version.package
        current = self.selection.installed.get(package)
        if current is None or package in self.selection.automatic or not work.version.section or not current.section:
            return False
        oldlibs = ("oldlibs",)
        return (
            current.section != work.version.section
            and in_sections(work.version.section, oldlibs)
            and not in_sections(current.section, oldlibs)
        )

    def _remove_delayed(self, work: Work) -> bool:
        failed = False
        for package in work.delayed_removals:
            if self.selection.mark_delete(package, depth=work.depth):
                self.causes.setdefault(package, work.version.package)
            else:
                failed = True
                if work.stops_early:
                    break
        return not failed

    def cause_chain(self, package: Package) -> Iterator[Package]:
        """The package, what made marking look at it, and so on up to what was asked for."""
        seen: set[Package] = set()
        current: Package | None = package
        while current is not None and current not in seen:
            seen.add(current)
            yield current
            current = self.causes.get(current)
