"""Why marking failed, in apt's words: "The following packages have unmet dependencies"."""

from collections.abc import Sequence

from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.apt.asked_versions import AskedVersion
from ocibuild.ecosystem.apt.marking import Marking
from ocibuild.ecosystem.apt.package import Dependency, Package, PackageVersion, Target
from ocibuild.ecosystem.apt.universe import accepts

__all__ = ["unmet_dependencies"]

_MOST_LINES = 12
_DEEPEST = 4


def unmet_dependencies(marking: Marking, broken: Sequence[Package], asked: Sequence[AskedVersion]) -> RepositoryError:
    """The error for a selection with these broken packages. It names the file and line of the ask that led there."""
    selection = marking.selection
    lines: list[str] = []
    for package in broken:
        version = selection.final(package)
        if version is not None:
            for dependency in selection.universe.dependencies(version):
                if dependency.kind.is_critical and not selection.is_met(version, dependency):
                    _explain(marking, version, dependency, lines, depth=0)
    culprit = _culprit(marking, broken, asked)
    more = f"\n  and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
    origin = None if culprit is None else culprit.ask.origin
    named = "the asked packages" if culprit is None else str(culprit.ask)
    return RepositoryError(
        f"{named} cannot be installed: unmet dependencies\n  " + "\n  ".join(lines[:_MOST_LINES]) + more,
        file=None if origin is None else origin.file,
        line=None if origin is None else origin.line,
        hint="ask for other versions, or leave out one of the packages that conflict",
    )


def _culprit(marking: Marking, broken: Sequence[Package], asked: Sequence[AskedVersion]) -> AskedVersion | None:
    by_package = {one.version.package: one for one in asked}
    for package in broken:
        for cause in marking.cause_chain(package):
            if cause in by_package:
                return by_package[cause]
    return asked[0] if asked else None


def _explain(
    marking: Marking, version: PackageVersion, dependency: Dependency, lines: list[str], *, depth: int
) -> None:
    """Lines for one relation that is not met, and for what kept its alternatives from being installed."""
    name = f"{'  ' * depth}{version.package.full_name}"
    if dependency.kind.is_negative:
        lines.append(f"{name}: {dependency.kind.value}: {dependency.text}{_present(marking, version, dependency)}")
        return
    reasons = [_reason(marking, target) for target in dependency.targets]
    line = f"{name}: {dependency.kind.value}: {dependency.text} but {' and '.join(dict.fromkeys(reasons))}"
    if line in lines:
        return
    lines.append(line)
    if depth < _DEEPEST:
        for target in dependency.targets:
            for failure in marking.failures:
                if failure.version in marking.selection.universe.solutions(target):
                    _explain(marking, failure.version, failure.dependency, lines, depth=depth + 1)


def _present(marking: Marking, version: PackageVersion, dependency: Dependency) -> str:
    there = [
        str(other)
        for other in marking.selection.solutions(version, dependency, dependency.targets[0])
        if marking.selection.final(other.package) is other
    ]
    return f" but {', '.join(there)} is to be installed" if there else ""


def _reason(marking: Marking, target: Target) -> str:
    """What keeps one alternative from being satisfied."""
    selection = marking.selection
    name, _, architecture = target.key.partition(":")
    package = selection.universe.package(name, architecture.removeprefix(":"))
    if package is None:
        return "it is a virtual package" if selection.universe.providers(target.key) else "it is not installable"
    final = selection.final(package)
    if package in selection.universe.held:
        return f"{name} is held at {final.version}" if final else f"{name} is held"
    if package in selection.held:
        return f"{name} was asked to be left out"
    if final is not None and not accepts(target, final.version):
        return f"{final.version} is to be installed"
    if not selection.universe.solutions(target):
        return "no source has such a version"
    return "it is not going to be installed"
