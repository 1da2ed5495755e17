"""What nobody needs in the end: apt's mark and sweep (depcache.cc, MarkRequired) over a selection."""

from collections.abc import Iterator

from ocibuild.ecosystem.apt.package import Dependency, DependencyKind, Package, PackageVersion, Target
from ocibuild.ecosystem.apt.selection import Mode, Selection
from ocibuild.ecosystem.apt.universe import accepts
from ocibuild.ecosystem.apt.version import sort_key

__all__ = ["drop_unneeded", "reachable"]

_FOLLOWED = frozenset(
    {DependencyKind.PRE_DEPENDS, DependencyKind.DEPENDS, DependencyKind.RECOMMENDS, DependencyKind.SUGGESTS}
)


def _present(selection: Selection, package: Package) -> PackageVersion | None:
    """The version that counts as there: what is to be installed, else what stays."""
    mode = selection.mode(package)
    if mode is Mode.INSTALL:
        return selection.final(package)
    return None if mode is Mode.DELETE else selection.installed.get(package)


def _is_root(selection: Selection, package: Package) -> bool:
    installed = selection.installed.get(package)
    return (
        package not in selection.automatic
        or selection.universe.is_essential(package)
        or selection.universe.is_important(package)
        or (installed is not None and installed.fields.get("Priority") == "required")
        or package in selection.protected
        or package in selection.held
    )


def reachable(selection: Selection) -> frozenset[Package]:
    """The packages that are there and that a manually installed, essential or protected one needs.

    Recommends and Suggests count, whether or not they are installed by themselves (``APT::AutoRemove``'s defaults).
    """
    marked: set[Package] = set()
    explored: set[str] = set()
    pending = [package for package in selection.touched() if _is_root(selection, package)]
    while pending:
        package = pending.pop()
        version = _present(selection, package)
        if version is None or package in marked:
            continue
        marked.add(package)
        for dependency in selection.universe.dependencies(version):
            if dependency.kind in _FOLLOWED:
                for target in dependency.targets:
                    if target.key not in explored:
                        pending.extend(_followed(selection, target, explored))
    return frozenset(marked)


def _followed(selection: Selection, target: Target, explored: set[str]) -> Iterator[Package]:
    """The packages that one alternative keeps: all that satisfy it, of each source only the newest."""
    universe = selection.universe
    name, _, architecture = target.key.partition(":")
    package = None if architecture.startswith(":") else universe.package(name, architecture)
    by_source: dict[str, list[PackageVersion]] = {}
    all_satisfy = True
    real = _present(selection, package) if package else None
    found = [] if real is None else [(real, real.version)]
    found += [
        (version, provided)
        for version, provided in universe.providers(target.key)
        if _present(selection, version.package) is version
    ]
    for version, provided in found:
        if not target.operator or (provided and accepts(target, provided)):
            by_source.setdefault(version.source_package[0], []).append(version)
        else:
            all_satisfy = False
    if all_satisfy:
        explored.add(target.key)
    for versions in by_source.values():
        newest = max(sort_key(version.source_package[1]) for version in versions)
        yield from (version.package for version in versions if sort_key(version.source_package[1]) == newest)


def drop_unneeded(selection: Selection) -> None:
    """Do not install new packages that nothing needs any more, as apt-get does after marking (DoAutomaticRemove)."""
    needed = reachable(selection)
    dropped = []
    for package in sorted(selection.touched(), key=lambda one: one.full_name):
        is_new = package not in selection.installed and selection.mode(package) is Mode.INSTALL
        if is_new and package not in needed and selection.final(package) is not None:
            dropped.append((package, selection.final(package)))
            selection.mark_delete(package)
    if dropped and any(selection.is_broken(package, policy=True) for package in selection.touched()):
        _save_needed(selection, dict(dropped))


def _save_needed(selection: Selection, dropped: dict[Package, PackageVersion | None]) -> None:
    """Take back what a package that stays depends on."""
    changed = True
    while changed and dropped:
        changed = False
        wanted = {target.key for _, target in _relations_that_count(selection)}
        for package, version in dropped.items():
            keys = {package.key, *(selection.universe.provided_keys(version) if version else ())}
            if keys & wanted:
                selection.take_candidate(package)
                del dropped[package]
                changed = True
                break


def _relations_that_count(selection: Selection) -> Iterator[tuple[Dependency, Target]]:
    for package in selection.touched():
        version = _present(selection, package)
        for dependency in selection.universe.dependencies(version) if version else ():
            if selection.is_important(dependency.kind) and not dependency.kind.is_negative:
                for target in dependency.targets:
                    yield dependency, target
