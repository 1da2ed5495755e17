"""Resolving: what is asked of apt -> packages pinned to their bytes, on top of what a base has installed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.package import LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.deb822 import decode
from ocibuild.ecosystem.apt.index import FetchedSource, IndexFetcher
from ocibuild.ecosystem.apt.preferences import Preferences
from ocibuild.ecosystem.apt.solution import Solution, locked_package
from ocibuild.ecosystem.apt.solver import base_set, solve
from ocibuild.ecosystem.apt.source import AptSource
from ocibuild.ecosystem.apt.universe import Universe
from ocibuild.image.view import View
from ocibuild.lock import LockedSource

__all__ = ["AptResolution", "resolve", "resolve_base"]


@dataclass(frozen=True, slots=True)
class AptResolution:
    """The packages in an order in which they can be configured, and what goes (``name:architecture``).

    ``addresses`` maps a source's name to its address on this machine; it is never recorded.
    """

    packages: tuple[LockedPackage, ...] = ()
    removals: tuple[str, ...] = ()
    sources: tuple[LockedSource, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def resolve_base(suite: str, platform: Platform, sources: Sequence[AptSource], fetcher: IndexFetcher) -> AptResolution:
    """The packages of the smallest system of a suite: mmdebstrap's minbase."""
    architecture = platform.debian_architecture
    fetched = [fetcher.fetch(source, (architecture,)) for source in sources]
    universe = Universe([index for each in fetched for index in each.indexes], architecture=architecture)
    return _resolution(base_set(universe, preferences=Preferences(), origin=Origin(f"apt:{suite}")), fetched)


def resolve(
    asks: Sequence[AptAsk],
    *,
    view: View,
    platform: Platform,
    sources: Sequence[AptSource],
    fetcher: IndexFetcher,
    recommends: bool,
) -> AptResolution:
    """What ``apt-get install`` of these asks would do in the image that ``view`` shows.

    Raises what :func:`ocibuild.ecosystem.apt.solver.solve` and :meth:`IndexFetcher.fetch` raise.
    """
    native = platform.debian_architecture
    foreign = tuple(line for line in _text(view, "var/lib/dpkg/arch").split() if line != native)
    asked = {ask.architecture for ask in asks if ask.architecture not in ("", "any", "all", "native", native)}
    foreign = (*foreign, *sorted(asked - set(foreign)))
    fetched = [fetcher.fetch(source, (native, *foreign)) for source in sources]
    universe = Universe(
        [index for each in fetched for index in each.indexes],
        architecture=native,
        foreign_architectures=foreign,
        status=_text(view, "var/lib/dpkg/status"),
        extended_states=_text(view, "var/lib/apt/extended_states"),
    )
    preferences = Preferences.parse(_preference_texts(view)) if _preference_texts(view) else Preferences()
    return _resolution(solve(universe, asks, preferences=preferences, recommends=recommends), fetched)


def _resolution(solution: Solution, fetched: Sequence[FetchedSource]) -> AptResolution:
    sources = {
        LockedSource(
            each.source.name,
            each.source.suite,
            datetime.fromtimestamp(each.release.date, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ): None
        for each in fetched
    }
    return AptResolution(
        packages=tuple(map(locked_package, solution.changes)),
        removals=tuple(f"{each.version.name}:{each.version.architecture}" for each in solution.removals),
        sources=tuple(sources),
        addresses=MappingProxyType({each.source.name: each.source.url.rstrip("/") + "/" for each in fetched}),
    )


def _text(view: View, path: str) -> str:
    return decode(view.read(path)) if path in view else ""


def _preference_texts(view: View) -> list[tuple[str, str]]:
    folder = "etc/apt/preferences.d"
    paths = ["etc/apt/preferences", *(f"{folder}/{name}" for name in view.children(folder))]
    return [(path, _text(view, path)) for path in paths if path in view]
