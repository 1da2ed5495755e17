"""The packages that ``apt-get install`` would choose, without apt.

Emulates apt 2.6's marking (:mod:`ocibuild.ecosystem.apt.marking`), whose outcome apt 3.0 shares. Where apt would go
on to its score-based problem resolver, or ask the user, this refuses: it never answers differently.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.apt.asked_versions import AskedVersion, select_version
from ocibuild.ecosystem.apt.configuration_order import configuration_order
from ocibuild.ecosystem.apt.explanation import unmet_dependencies
from ocibuild.ecosystem.apt.garbage import drop_unneeded
from ocibuild.ecosystem.apt.marking import Marking
from ocibuild.ecosystem.apt.package import Package, PackageVersion
from ocibuild.ecosystem.apt.preferences import Policy, Preferences
from ocibuild.ecosystem.apt.release_candidates import follow_release
from ocibuild.ecosystem.apt.selection import DEEPEST, Mode, Selection
from ocibuild.ecosystem.apt.solution import Change, Removal, Solution
from ocibuild.ecosystem.apt.universe import Universe

__all__ = ["base_set", "solve"]

_FRAMES_A_LEVEL = 8
_BASE_MARKS = ("\nEssential: yes", "\nPriority: required")


def solve(
    universe: Universe,
    asks: Sequence[AptAsk],
    *,
    preferences: Preferences,
    recommends: bool = False,
    allow_held: bool = False,
) -> Solution:
    """What ``apt-get install --yes`` with these words would do to the universe's installed packages. Pure.

    The same versions and removals as apt's, downgrades that a pin or an ask wants included. ``recommends`` is
    ``--install-recommends``; ``allow_held`` is ``--allow-change-held-packages``. A RepositoryError, with the ask's
    file and line, where a name, version or suite is unknown, where dependencies cannot be met without apt's problem
    resolver, or where an essential or held package would go or change.
    """
    selection = Selection(universe, Policy(universe, preferences), recommends=recommends)
    marking = Marking(selection)
    with _deep_recursion():
        was_broken = bool(selection.broken())
        chosen = [found for found in (select_version(selection, ask) for ask in asks) if found is not None]
        asked = _distinct(chosen)
        _mark(marking, asked, follow=not was_broken)
        broken = selection.broken()
        if broken:
            raise unmet_dependencies(marking, broken, asked)
        drop_unneeded(selection)
        broken = selection.broken()
        if broken:
            raise unmet_dependencies(marking, broken, asked)
    _refuse_dangerous(selection, asked, allow_held=allow_held)
    return _solution(marking, chosen)


def base_set(universe: Universe, *, preferences: Preferences, origin: Origin) -> Solution:
    """The smallest Debian system: what is essential or of priority required, and apt, with what they need.

    Equals the set of ``mmdebstrap --variant=minbase``. The universe must have no installed packages; ``origin`` is what
    ``why`` names.
    """
    names = []
    for name in universe.names_with(*_BASE_MARKS, "Package: apt\n"):
        package = universe.package(name, universe.architecture)
        if package is not None and (name == "apt" or _is_of_the_base(package)):
            names.append(name)
    asks = [AptAsk(name, origin) for name in sorted(names)]
    return solve(universe, asks, preferences=preferences)


def _is_of_the_base(package: Package) -> bool:
    fields = package.versions[0].occurrences[0].text
    return any(mark in fields for mark in _BASE_MARKS)


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """Marking recurses as deep as dependencies do; apt's own limit must be reached before Python's."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEEPEST * _FRAMES_A_LEVEL))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _distinct(asked: Sequence[AskedVersion]) -> list[AskedVersion]:
    """Each version once, as apt takes the words of its command line: removals first."""
    distinct = {(one.version, one.remove): one for one in reversed(asked)}
    ordered = [one for one in asked if distinct[one.version, one.remove] is one]
    return [one for one in ordered if one.remove] + [one for one in ordered if not one.remove]


def _mark(marking: Marking, asked: Sequence[AskedVersion], *, follow: bool) -> None:
    """Mark every named package alone and protect it; then, in the same order, each with what it needs."""
    selection = marking.selection
    for one in asked:
        package = one.version.package
        selection.protected.add(package)
        if one.remove:
            if package in selection.installed:
                selection.mark_delete(package, from_user=True)
            else:
                selection.held.add(package)
            continue
        selection.set_candidate(one.version)
        marking.install(package, follow=False, from_user=True)
        if selection.mode(package) is not Mode.INSTALL:
            selection.automatic.discard(package)
    released = [one for one in asked if one.release and not one.remove]
    for one in released:
        selection.set_candidate(one.version)
    for one in released:
        follow_release(selection, one.version, one.release)
    for one in asked:
        if follow and not one.remove:
            marking.install(one.version.package, follow=True, from_user=True)


def _refuse_dangerous(selection: Selection, asked: Sequence[AskedVersion], *, allow_held: bool) -> None:
    """What apt-get --yes does not do: remove essential packages, change held ones."""
    by_package = {one.version.package: one for one in asked}
    for package in selection.touched():
        installed = selection.installed.get(package)
        if installed is None or selection.final(package) is installed:
            continue
        origin = by_package[package].ask.origin if package in by_package else asked[0].ask.origin
        if selection.final(package) is None and (
            selection.universe.is_essential(package) or selection.universe.is_important(package)
        ):
            raise RepositoryError(
                f"the essential package {package.full_name} would be removed", file=origin.file, line=origin.line
            )
        if package in selection.universe.held and not allow_held:
            raise RepositoryError(
                f"{package.full_name} is held at {installed.version} and would be changed",
                file=origin.file,
                line=origin.line,
                hint="leave it out, or take the hold away in the base",
            )


def _solution(marking: Marking, asked: Sequence[AskedVersion]) -> Solution:
    selection = marking.selection
    origins: dict[Package, list[str]] = {}
    for one in asked:
        origins.setdefault(one.version.package, []).append(str(one.ask.origin))
    new: dict[Package, PackageVersion] = {}
    gone: list[Package] = []
    for package in selection.touched():
        final = selection.final(package)
        if final is None and package in selection.installed:
            gone.append(package)
        elif final is not None and final is not selection.installed.get(package):
            new[package] = final
    dependants = _dependants(selection, set(new.values()))
    changes = tuple(
        Change(
            version,
            selection.installed.get(version.package),
            version.package in origins,
            version.package in selection.automatic,
            _why(marking, version.package, origins, dependants.get(version, [])),
        )
        for version in configuration_order(selection.universe, new.values())
    )
    removals = tuple(
        Removal(selection.installed[package], package in origins, _why(marking, package, origins, []))
        for package in sorted(gone, key=lambda one: one.key)
    )
    kept = tuple(version for package, version in selection.installed.items() if selection.final(package) is version)
    present = {version.package for version in kept} | new.keys()
    return Solution(changes, removals, kept, frozenset(present & selection.automatic))


def _dependants(selection: Selection, new: set[PackageVersion]) -> dict[PackageVersion, list[str]]:
    """New version -> full names of what is there in the end and needs it, or recommends it where that is followed."""
    dependants: dict[PackageVersion, set[str]] = {version: set() for version in new}
    for package in selection.touched():
        final = selection.final(package)
        for dependency in selection.universe.dependencies(final) if final is not None else ():
            if dependency.kind.is_negative or not selection.is_important(dependency.kind):
                continue
            for target in dependency.targets:
                for other in selection.universe.solutions(target):
                    if other in new and other.package is not package:
                        dependants[other].add(package.full_name)
    return {version: sorted(names) for version, names in dependants.items()}


def _why(
    marking: Marking, package: Package, origins: dict[Package, list[str]], needed_by: list[str]
) -> tuple[str, ...]:
    if package in origins:
        return tuple(origins[package])
    if needed_by:
        return tuple(needed_by)
    cause = marking.causes.get(package)
    return () if cause is None else (cause.full_name,)
