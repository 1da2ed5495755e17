"""An order in which packages can be configured: what a package needs comes before it."""

from collections.abc import Iterable

from ocibuild.ecosystem.apt.package import DependencyKind, PackageVersion
from ocibuild.ecosystem.apt.universe import Universe

__all__ = ["configuration_order"]

_NEEDS = (DependencyKind.PRE_DEPENDS, DependencyKind.DEPENDS)


def configuration_order(universe: Universe, versions: Iterable[PackageVersion]) -> tuple[PackageVersion, ...]:
    """These versions, each behind those of them that it depends on; otherwise sorted by name and architecture.

    A cycle (Debian has some) is entered at its first member by name, as dpkg too must break it somewhere; no
    Pre-Depends is behind what pre-depends on it unless the archive has a cycle of them.
    """
    ordered = sorted(versions, key=lambda version: version.package.key)
    members = set(ordered)
    needs = {version: _needed(universe, version, members) for version in ordered}
    done: dict[PackageVersion, None] = {}
    for version in ordered:
        _visit(version, needs, done)
    return tuple(done)


def _needed(universe: Universe, version: PackageVersion, members: set[PackageVersion]) -> list[PackageVersion]:
    """What the version needs of the others, Pre-Depends first."""
    found = [
        other
        for kind in _NEEDS
        for dependency in universe.dependencies(version)
        if dependency.kind is kind
        for target in dependency.targets
        for other in universe.solutions(target)
        if other in members and other is not version
    ]
    return list(dict.fromkeys(found))


def _visit(
    start: PackageVersion, needs: dict[PackageVersion, list[PackageVersion]], done: dict[PackageVersion, None]
) -> None:
    """Depth first, without recursion."""
    entered = set(done)
    pending = [(start, iter(needs[start]))]
    entered.add(start)
    while pending:
        version, rest = pending[-1]
        following = next((other for other in rest if other not in entered), None)
        if following is None:
            done.setdefault(version)
            pending.pop()
        else:
            entered.add(following)
            pending.append((following, iter(needs[following])))
