"""Candidates that follow a word such as ``foo/bookworm-backports``: apt's SetCandidateRelease (depcache.cc)."""

from ocibuild.ecosystem.apt.package import Dependency, PackageVersion, Target
from ocibuild.ecosystem.apt.selection import Selection
from ocibuild.ecosystem.apt.universe import accepts
from ocibuild.ecosystem.apt.version_match import MatchKind, VersionMatch

__all__ = ["follow_release"]


def follow_release(selection: Selection, version: PackageVersion, release: str) -> bool:
    """Make ``version`` the candidate, and switch candidates of what it needs to ``release`` where that helps.

    False where a dependency stays unsatisfiable; candidates switched for it are then taken back as apt does.
    """
    return _follow(selection, version, release, [version])


def _follow(selection: Selection, version: PackageVersion, release: str, changed: list[PackageVersion]) -> bool:
    selection.set_candidate(version)
    if release in ("installed", "candidate"):
        return True
    kept = len(changed)
    for dependency in selection.universe.dependencies(version):
        kind = dependency.kind
        if kind.is_negative or not (kind.is_critical or selection.is_important(kind)):
            continue
        if any(_is_fine(selection, target) for target in dependency.targets):
            continue
        if not _switch(selection, dependency, release, changed) and kind.is_critical:
            for other in changed[kept:]:
                selection.set_candidate(other)
            del changed[kept:]
            return False
    return True


def _is_fine(selection: Selection, target: Target) -> bool:
    """Whether an alternative is installed already, or its present candidate could be."""
    universe = selection.universe
    name, _, architecture = target.key.partition(":")
    package = None if architecture.startswith(":") else universe.package(name, architecture)
    providers = universe.providers(target.key)
    if package is not None:
        now = selection.installed.get(package)
        if now is not None and accepts(target, now.version):
            return True
    candidate = None if package is None else selection.candidate(package)
    if not target.operator and providers:
        return any(
            selection.candidate(other.package) is other and selection.is_installable_now(other)
            for other, _ in providers
        )
    return candidate is not None and accepts(target, candidate.version) and selection.is_installable_now(candidate)


def _switch(
    selection: Selection,
    dependency: Dependency,
    release: str,
    changed: list[PackageVersion],
) -> bool:
    """Whether another candidate of one alternative satisfies the relation; it is then set."""
    universe = selection.universe
    match = VersionMatch(MatchKind.RELEASE, release)
    for target in dependency.targets:
        name, _, architecture = target.key.partition(":")
        package = None if architecture.startswith(":") else universe.package(name, architecture)
        if not target.operator or package is None:
            continue
        version = package.versions[0] if release == "newest" else match.find(package)
        if version is None or not accepts(target, version.version):
            continue
        old = selection.candidate(package)
        if version is old and any(other.package is package for other in changed):
            return True
        changed.append(version)
        if _follow(selection, version, release, changed):
            return True
        if target is dependency.targets[-1]:
            return False
        if old is not None:
            selection.set_candidate(old)
        if changed:
            changed.pop()
    return False
