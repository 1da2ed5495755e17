"""The state of a system while packages are marked: apt's pkgDepCache without its counters.

Names of methods follow apt 2.6's depcache.cc; the rules are its rules.
"""

from enum import Enum

from ocibuild.ecosystem.apt.package import Dependency, DependencyKind, Package, PackageVersion, Target
from ocibuild.ecosystem.apt.preferences import Policy
from ocibuild.ecosystem.apt.universe import Universe

__all__ = ["DEEPEST", "Mode", "Selection", "in_sections"]

DEEPEST = 3000
"""How many levels of dependencies apt follows before it gives up."""


class Mode(Enum):
    """What is to happen to a package."""

    KEEP = "keep"
    INSTALL = "install"
    DELETE = "delete"


class Selection:
    """Which version of each package is to be installed in the end, which is its candidate, and who may change that.

    ``recommends`` makes Recommends count as important, so that marking follows them.
    """

    def __init__(self, universe: Universe, policy: Policy, *, recommends: bool) -> None:
        self.universe = universe
        self.recommends = recommends
        self._policy = policy
        self.installed = universe.installed
        self._final: dict[Package, PackageVersion | None] = dict(universe.installed)
        self._candidates: dict[Package, PackageVersion | None] = {}
        self._modes: dict[Package, Mode] = {}
        self.protected: set[Package] = set()
        self.automatic: set[Package] = set(universe.automatically_installed)
        self.held: set[Package] = set(universe.held)
        # apt keeps a bit for each relation: "some candidate satisfies it". It is worked out anew when a package's
        # state changes, but not when a candidate is dropped in silence, and apt's answers depend on the old bit.
        self._clock = 0
        self._updated: dict[str, int] = {}
        self._dropped: dict[Package, list[tuple[int, PackageVersion | None]]] = {}

    # -- reading

    def final(self, package: Package) -> PackageVersion | None:
        """The version that will be there in the end."""
        return self._final.get(package)

    def candidate(self, package: Package) -> PackageVersion | None:
        """The version that installing or upgrading would bring."""
        if package not in self._candidates:
            self._candidates[package] = self._policy.candidate(package)
        return self._candidates[package]

    def mode(self, package: Package) -> Mode:
        """What is to happen to the package."""
        return self._modes.get(package, Mode.KEEP)

    def touched(self) -> list[Package]:
        """The packages whose state was ever looked at for a change, installed ones first."""
        return list(self._final)

    def is_important(self, kind: DependencyKind) -> bool:
        """Whether marking follows relations of this kind."""
        return kind.is_critical or (self.recommends and kind is DependencyKind.RECOMMENDS)

    def is_ignorable(self, version: PackageVersion, dependency: Dependency, other: PackageVersion) -> bool:
        """Whether a negative relation of ``version`` does not concern ``other`` (DepIterator::IsIgnorable)."""
        if not dependency.kind.is_negative:
            return False
        same_group = version.name == other.name
        if not same_group:
            return dependency.is_implicit
        if version.package is other.package:
            return True
        if dependency.targets[0].key != other.package.key:
            return True  # provided by the own group
        return version.multi_arch.value == "same" and not dependency.is_implicit

    def solutions(self, version: PackageVersion, dependency: Dependency, target: Target) -> list[PackageVersion]:
        """The versions that ``target`` in a relation of ``version`` is about."""
        found = self.universe.solutions(target)
        if not dependency.kind.is_negative:
            return list(found)
        return [other for other in found if not self.is_ignorable(version, dependency, other)]

    def is_met(self, version: PackageVersion, dependency: Dependency) -> bool:
        """Whether the final state meets the relation: one alternative is there, or what is forbidden is not."""
        final = self._final
        if dependency.kind.is_negative:
            return not any(
                final.get(other.package) is other
                for other in self.solutions(version, dependency, dependency.targets[0])
            )
        return any(
            final.get(other.package) is other
            for target in dependency.targets
            for other in self.universe.solutions(target)
        )

    def is_met_now(self, version: PackageVersion, dependency: Dependency) -> bool:
        """Whether the system as it was met the relation."""
        return any(
            self.installed.get(other.package) is other
            for target in dependency.targets
            for other in self.solutions(version, dependency, target)
        )

    def seems_satisfiable(self, version: PackageVersion, dependency: Dependency, target: Target) -> bool:
        """Whether apt's own record says that a candidate satisfies (or violates) this target.

        The record is as old as the last change of a package that stands for the target.
        """
        seen = self._updated.get(target.key, 0)
        return any(
            self._candidate_at(other.package, seen) is other for other in self.solutions(version, dependency, target)
        )

    def _candidate_at(self, package: Package, time: int) -> PackageVersion | None:
        for when, before in self._dropped.get(package, ()):
            if when >= time:
                return before
        return self.candidate(package)

    def is_broken(self, package: Package, *, policy: bool = False) -> bool:
        """Whether a critical relation of the final version is not met; with ``policy`` also an important one."""
        version = self._final.get(package)
        return version is not None and any(
            not self.is_met(version, dependency)
            for dependency in self.universe.dependencies(version)
            if dependency.kind.is_critical or (policy and self.is_important(dependency.kind))
        )

    def is_installable_now(self, version: PackageVersion) -> bool:
        """Whether the final state meets all critical relations of ``version``."""
        return all(
            self.is_met(version, dependency)
            for dependency in self.universe.dependencies(version)
            if dependency.kind.is_critical
        )

    def broken(self) -> list[Package]:
        """The packages whose critical relations the final state does not meet."""
        return [package for package in self._final if self.is_broken(package)]

    # -- changing

    def _update(self, package: Package) -> None:
        """Work out anew what depends on the package and on what its versions provide."""
        self._clock += 1
        self._updated[package.key] = self._clock
        for version in {self.installed.get(package), self.candidate(package)}:
            if version is not None:
                for key in self.universe.provided_keys(version):
                    self._updated[key] = self._clock

    def may_change(self, package: Package, mode: Mode, *, depth: int, from_user: bool) -> bool:
        """Whether the package may get this mode (IsModeChangeOk)."""
        if depth > DEEPEST or not package.versions:
            return False
        if from_user or self.mode(package) is mode:
            return True
        if package in self.protected:
            return False
        if mode is not Mode.KEEP and package in self.held:
            return False
        return mode is not Mode.DELETE or not (
            self.universe.is_essential(package) or self.universe.is_important(package)
        )

    def set_candidate(self, version: PackageVersion) -> None:
        """Choose another candidate (SetCandidateVersion)."""
        package = version.package
        old = self.candidate(package)
        if old is version:
            return
        if self.mode(package) is Mode.INSTALL and self.final(package) is old:
            self._final[package] = version
        self._candidates[package] = version
        self._update(package)

    def drop_candidate(self, package: Package, to: PackageVersion | None) -> None:
        """Make ``to`` the candidate without telling the relations that the old one satisfied."""
        old = self.candidate(package)
        if old is not to:
            self._dropped.setdefault(package, []).append((self._clock, old))
            self._candidates[package] = to

    def discard_candidate(self, package: Package) -> None:
        """The candidate is what is there in the end (MarkInstall_DiscardCandidate)."""
        self.drop_candidate(package, self.final(package))

    def discard_install(self, package: Package) -> None:
        """Take back a failed installation (MarkInstall_DiscardInstall)."""
        installed = self.installed.get(package)
        final = self.final(package)
        if self.mode(package) is Mode.KEEP and final is self.candidate(package) and final is installed:
            return
        self._final[package] = installed
        self._modes[package] = Mode.KEEP
        self._update(package)
        self.discard_candidate(package)

    def forget_mode(self, package: Package) -> None:
        """Keep the package from now on, whatever version stands as its final one."""
        if self.mode(package) is not Mode.DELETE:
            self._modes[package] = Mode.KEEP

    def take_candidate(self, package: Package) -> None:
        """The candidate is to be there in the end."""
        candidate = self.candidate(package)
        self._final[package] = candidate
        self._modes[package] = Mode.KEEP if candidate is self.installed.get(package) else Mode.INSTALL
        self._update(package)

    def mark_keep(self, package: Package, *, depth: int = 0, from_user: bool = False) -> bool:
        """Leave the package as it is (MarkKeep)."""
        if not self.may_change(package, Mode.KEEP, depth=depth, from_user=from_user):
            return False
        if self.mode(package) is not Mode.KEEP:
            self._modes[package] = Mode.KEEP
            self._final[package] = self.installed.get(package)
            self._update(package)
        return True

    def may_delete(self, package: Package, *, depth: int, from_user: bool) -> bool:
        """Whether the package may be removed (IsModeChangeOk and IsDeleteOk): what the user asked for stays."""
        if not self.may_change(package, Mode.DELETE, depth=depth, from_user=from_user):
            return False
        asked_for = package not in self.installed and self.final(package) is not None and package not in self.automatic
        return from_user or not asked_for

    def mark_delete(self, package: Package, *, depth: int = 0, from_user: bool = False) -> bool:
        """Remove the package, or do not install it (MarkDelete)."""
        if not self.may_change(package, Mode.DELETE, depth=depth, from_user=from_user):
            return False
        if self.mode(package) is Mode.DELETE or self.final(package) is None:
            return True
        if not self.may_delete(package, depth=depth, from_user=from_user):
            return False
        final = self.final(package)
        if final is not None and not from_user and in_sections(final.section, ("metapackages", "tasks")):
            self._keep_what_it_needs(final)
        self._modes[package] = Mode.DELETE if package in self.installed else Mode.KEEP
        self._final[package] = None
        self._update(package)
        return True

    def _keep_what_it_needs(self, version: PackageVersion) -> None:
        """What a removed metapackage brought is the user's own from now on (APT::Never-MarkAuto-Sections)."""
        for dependency in self.universe.dependencies(version):
            if not dependency.kind.is_negative and self.is_important(dependency.kind):
                for target in dependency.targets:
                    for other in self.universe.solutions(target):
                        if self.installed.get(other.package) is other:
                            self.automatic.discard(other.package)


def in_sections(section: str, names: tuple[str, ...]) -> bool:
    """Whether a section such as ``contrib/oldlibs`` is one of these, whatever component stands before it."""
    return section.rpartition("/")[2] in names
