"""The order in which apt tries the packages that can satisfy a relation (depcache.cc, CompareProviders)."""

from functools import cmp_to_key, partial

from ocibuild.ecosystem.apt.package import Dependency, MultiArch, PackageVersion, Target
from ocibuild.ecosystem.apt.selection import Mode, Selection

__all__ = ["Choice", "possible_solutions"]

_PRIORITIES = {"required": 1, "important": 2, "standard": 3, "optional": 4, "extra": 5}


def _priority(version: PackageVersion) -> int:
    text = version.fields.get("Priority", "")
    return _PRIORITIES.get(text.lower(), 5) if text else 0  # apt takes a missing Priority for the highest


def _before(selection: Selection, target: Target, a: PackageVersion, b: PackageVersion) -> int:
    """Negative where apt tries ``a`` first."""
    one, two = a.package, b.package
    if one is two:
        return 0
    universe = selection.universe
    checks = [
        (one in selection.protected, two in selection.protected),
        (_has_installed_sibling(selection, a), _has_installed_sibling(selection, b)),
        (one in selection.installed, two in selection.installed),
    ]
    if one.name != two.name:
        # To apt "make:any" is another name than "make", so that it prefers nobody.
        wanted, _, architecture = target.key.partition(":")
        if architecture in universe.architectures:
            checks.append((one.name == wanted, two.name == wanted))
    checks.append((universe.is_essential(one), universe.is_essential(two)))
    checks.append((universe.is_important(one), universe.is_important(two)))
    for first, second in checks:
        if first != second:
            return -1 if first else 1
    if one.architecture != two.architecture:
        order = {name: place for place, name in enumerate(universe.architectures)}
        return order.get(one.architecture, len(order)) - order.get(two.architecture, len(order))
    if _priority(a) != _priority(b):
        return _priority(a) - _priority(b)
    return -1 if universe.creation_order(one) > universe.creation_order(two) else 1


def _has_installed_sibling(selection: Selection, version: PackageVersion) -> bool:
    return version.multi_arch is MultiArch.SAME and any(
        sibling in selection.installed for sibling in selection.universe.group(version.name)
    )


class Choice:
    """Which versions of the packages in question are looked at."""

    CANDIDATE = frozenset({"candidate"})
    INSTALLED = frozenset({"installed"})
    BOTH = frozenset({"candidate", "installed"})


def _chosen(
    selection: Selection, version: PackageVersion, dependency: Dependency, target: Target, choice: frozenset[str]
) -> list[PackageVersion]:
    found = selection.solutions(version, dependency, target)
    chosen: list[PackageVersion] = []
    if "candidate" in choice and selection.seems_satisfiable(version, dependency, target):
        chosen += [other for other in found if selection.candidate(other.package) is other]
    if "installed" in choice:
        chosen += [other for other in found if selection.installed.get(other.package) is other]
    return list(dict.fromkeys(chosen))


def possible_solutions(
    selection: Selection,
    version: PackageVersion,
    dependency: Dependency,
    choice: frozenset[str],
) -> list[PackageVersion]:
    """The versions of ``choice`` that satisfy (or violate) a relation, in the order in which apt tries them.

    Those whose package is installed come first, whatever alternative they belong to (getAllPossibleSolutions).
    """
    upgrades: list[PackageVersion] = []
    new: list[PackageVersion] = []
    for target in dependency.targets:
        found = _chosen(selection, version, dependency, target, choice)
        if len(found) > 1:
            found.sort(key=cmp_to_key(partial(_before, selection, target)))
        for other in found:
            (upgrades if other.package in selection.installed else new).append(other)
    ordered = upgrades + new
    distinct = [other for place, other in enumerate(ordered) if place == 0 or other is not ordered[place - 1]]
    if dependency.kind.is_negative:
        return distinct
    return [other for other in distinct if not _is_refused(selection, other)]


def _is_refused(selection: Selection, version: PackageVersion) -> bool:
    """Whether it was settled that the package shall not be there."""
    package = version.package
    mode = selection.mode(package)
    return package in selection.protected and (
        mode is Mode.DELETE or (mode is Mode.KEEP and package not in selection.installed)
    )
