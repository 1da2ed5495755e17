"""What the words of ``apt-get install`` select: apt 2.6's cacheset.cc and private-cacheset.cc."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ocibuild.core.asks import AptAsk
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.apt.package import Package, PackageVersion
from ocibuild.ecosystem.apt.selection import Selection
from ocibuild.ecosystem.apt.universe import Universe
from ocibuild.ecosystem.apt.version_match import MatchKind, VersionMatch

__all__ = ["AskedVersion", "select_version"]

_MOST_NAMES = 10
_NEAR_ENOUGH = 0.7


@dataclass(frozen=True, slots=True)
class AskedVersion:
    """The version that an ask selects.

    ``release`` is the word behind ``/`` (or behind ``=``, where it is no exact version) whose candidates its
    dependencies may need as well; empty where none was written.
    """

    ask: AptAsk
    version: PackageVersion
    remove: bool = False
    release: str = ""


def select_version(selection: Selection, ask: AptAsk) -> AskedVersion | None:
    """The version that ``ask`` selects; None where a package that is to be removed is not there.

    A RepositoryError with the ask's file and line where the name, the version or the suite is unknown, or where
    several packages provide a virtual name (it lists them).
    """
    ask = _without_modifier(selection.universe, ask)
    key, package = _find_package(selection.universe, ask)
    if ask.remove:
        return _removal(selection, ask, key, package)
    word = ask.version or ask.suite
    if word == "installed":
        version = None if package is None else selection.installed.get(package)
        if version is None:
            raise _error(ask, f"{ask.name} is not installed, so it has no installed version")
        return AskedVersion(ask, version)
    if word == "newest" and package is not None:
        return AskedVersion(ask, package.versions[0], release=word if ask.suite else "")
    if not word or word == "candidate":
        version = None if package is None else selection.candidate(package)
        return AskedVersion(ask, version or _only_provider(selection, ask, key, _is_candidate(selection)))
    match = VersionMatch(MatchKind.VERSION if ask.version else MatchKind.RELEASE, word)
    version = None if package is None else match.find(package)
    if version is None:
        version = _provider_by_word(selection, ask, key, word)
    release = word if ask.suite or version.version != word else ""
    return AskedVersion(ask, version, release=release)


def _without_modifier(universe: Universe, ask: AptAsk) -> AptAsk:
    """Read ``foo-`` and ``foo+`` as apt does: as a name where there is a package of it, else as name and modifier."""
    if ask.remove and not ask.version and not ask.suite and universe.is_known(f"{ask.name}-"):
        return AptAsk(f"{ask.name}-", ask.origin, ask.architecture)
    plain = not ask.remove and not ask.version and not ask.suite and not universe.is_known(ask.name)
    if plain and ask.name.endswith(("-", "+")):
        return AptAsk(ask.name[:-1], ask.origin, ask.architecture, remove=ask.name.endswith("-"))
    return ask


def _find_package(universe: Universe, ask: AptAsk) -> tuple[str, Package | None]:
    """The target key of the ask, and its package where that has versions.

    Without an architecture the native package is meant, or else the first foreign one (FindPreferredPkg).
    """
    if ask.architecture in ("", "any"):
        order = {architecture: place for place, architecture in enumerate(universe.architectures)}
        found = min(
            (one for one in universe.group(ask.name) if one.architecture in order),
            key=lambda one: order[one.architecture],
            default=None,
        )
        architecture = universe.architecture if found is None else found.architecture
    else:
        architecture = universe.architecture if ask.architecture in ("all", "native") else ask.architecture
        found = universe.package(ask.name, architecture)
        if architecture not in universe.architectures and found is None:
            raise _error(
                ask,
                f"the architecture {architecture} is not among this system's: {', '.join(universe.architectures)}",
            )
    key = f"{ask.name}:{architecture}"
    if found is None and not universe.providers(key):
        raise _unknown(universe, ask)
    return key, found


def _removal(selection: Selection, ask: AptAsk, key: str, package: Package | None) -> AskedVersion | None:
    if package is not None:
        return AskedVersion(ask, package.versions[0], remove=True)
    providers = _providers(selection, key, _is_candidate(selection))
    return AskedVersion(ask, providers[0], remove=True) if _is_one_group(providers) else None


Accepts = Callable[[PackageVersion, str], bool]


def _is_candidate(selection: Selection) -> Accepts:
    return lambda version, provided: selection.candidate(version.package) is version  # noqa: ARG005 - one signature


def _providers(selection: Selection, key: str, accepts: Accepts) -> list[PackageVersion]:
    found = [version for version, provided in selection.universe.providers(key) if accepts(version, provided)]
    return list(dict.fromkeys(found))


def _is_one_group(versions: Iterable[PackageVersion]) -> bool:
    return len({version.name for version in versions}) == 1


def _preferred(selection: Selection, versions: list[PackageVersion]) -> PackageVersion:
    """Of versions of one name the one for the most preferred architecture."""
    order = {architecture: place for place, architecture in enumerate(selection.universe.architectures)}
    return min(versions, key=lambda version: order.get(version.package.architecture, len(order)))


def _only_provider(selection: Selection, ask: AptAsk, key: str, accepts: Accepts) -> PackageVersion:
    found = _providers(selection, key, accepts)
    if _is_one_group(found):
        return _preferred(selection, found)
    if not found and not selection.universe.providers(key):
        raise _error(
            ask,
            f"{ask.name} has no installation candidate",
            hint="pins keep every version of it from being installed",
        )
    raise _virtual(selection, ask, key, found)


def _provider_by_word(selection: Selection, ask: AptAsk, key: str, word: str) -> PackageVersion:
    """The only package that provides the name in this version, or from this release (tryVirtualPackage)."""

    def accepts(version: PackageVersion, provided: str) -> bool:
        if ask.version:
            return provided == word
        return any(word in (archive.suite, archive.codename) for archive in version.archives)

    found = _providers(selection, key, accepts)
    for version in found:
        if sum(other.package is version.package for other in found) == 1:
            selection.set_candidate(version)
    if _is_one_group(found):
        return _preferred(selection, found)
    known = [version for package in selection.universe.group(ask.name) for version in package.versions]
    if ask.version:
        raise _error(
            ask,
            f"{ask.name} has no version {word}",
            hint="known versions: " + (", ".join(dict.fromkeys(one.version for one in known)) or "none, it is virtual"),
        )
    releases = {name for one in known for archive in one.archives for name in (archive.suite, archive.codename) if name}
    raise _error(
        ask,
        f"{ask.name} is not in the release {word}",
        hint="it is in " + (", ".join(sorted(releases)) or "no release: it is virtual"),
    )


def _virtual(selection: Selection, ask: AptAsk, key: str, found: list[PackageVersion]) -> RepositoryError:
    listed = found or _providers(selection, key, lambda version, provided: True)  # noqa: ARG005 - one signature
    names = sorted({f"{one.package.full_name} {one.version}" for one in listed})
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return _error(
        ask,
        f"{ask.name} is a virtual package provided by {', '.join(names[:_MOST_NAMES])}{more}",
        hint="name one of them" if found else "none of these versions is the candidate of its package: name one with =",
    )


def _unknown(universe: Universe, ask: AptAsk) -> RepositoryError:
    elsewhere = [package.key for package in universe.group(ask.name)]
    if elsewhere:
        return _error(ask, f"{ask} is not there; there is {', '.join(elsewhere)}")
    # Names that share the beginning are looked at first: comparing with all 60,000 takes a second.
    close = difflib.get_close_matches(
        ask.name, [name for name in universe.names if name[:1] == ask.name[:1]], n=3, cutoff=_NEAR_ENOUGH
    )
    hint = f"did you mean {' or '.join(close)}?" if close else "no source has a package of a similar name"
    return _error(ask, f"unable to locate package {ask.name}", hint=hint)


def _error(ask: AptAsk, message: str, *, hint: str | None = None) -> RepositoryError:
    return RepositoryError(message, file=ask.origin.file, line=ask.origin.line, hint=hint)
