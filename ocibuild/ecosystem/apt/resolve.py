"""From what is asked of apt to locked packages: sources, their indexes, and the solver, put together."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.package import LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.deb822 import decode
from ocibuild.ecosystem.apt.image_sources import image_preferences
from ocibuild.ecosystem.apt.packages_reader import PackagesReader
from ocibuild.ecosystem.apt.preferences import Preferences
from ocibuild.ecosystem.apt.release import Release
from ocibuild.ecosystem.apt.release_reader import ReleaseReader
from ocibuild.ecosystem.apt.solution import Solution, locked_package
from ocibuild.ecosystem.apt.solver import base_set, solve
from ocibuild.ecosystem.apt.source import Source, source_addresses
from ocibuild.ecosystem.apt.universe import PackagesIndex, Universe
from ocibuild.image.view import View
from ocibuild.lock import LockedSource
from ocibuild.net.client import HttpClient
from ocibuild.store.store import Store

__all__ = ["AptResolution", "AptResolver"]

_CONNECTIONS = 4
_STATUS = "var/lib/dpkg/status"
_STATES = "var/lib/apt/extended_states"
_ARCHITECTURES = "var/lib/dpkg/arch"


@dataclass(frozen=True, slots=True)
class AptResolution:
    """What apt would install and remove.

    ``packages`` are in the order in which they can be configured. ``removals`` are ``name:architecture``. ``sources``
    tell the date of each Release for the lock; ``addresses`` the base URL of each source by name, which are this
    machine's business and are never recorded. ``solution`` is the solver's own account; ``architectures`` are those of
    the outcome, native first.
    """

    packages: tuple[LockedPackage, ...]
    removals: tuple[str, ...]
    sources: tuple[LockedSource, ...]
    addresses: Mapping[str, str]
    solution: Solution
    architectures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Archive:
    """A source that has been read."""

    source: Source
    release: Release
    indexes: tuple[PackagesIndex, ...]


@dataclass(frozen=True, slots=True)
class AptResolver:
    """Resolves against the state that the sources had when this resolver first read them.

    ``now`` is the present time, for the dates of Releases. Nothing of a package but its index stanza is read.
    """

    http: HttpClient
    store: Store
    now: datetime
    events: EventSink
    _releases: dict[Source, Release] = field(default_factory=dict, init=False, repr=False)

    def resolve_base(self, suite: str, platform: Platform, sources: Sequence[Source]) -> AptResolution:
        """The packages of a new system: those of ``mmdebstrap --variant=minbase``.

        ``sources`` are those of the suite (:func:`ocibuild.ecosystem.apt.distribution.suite_sources`). Raises as
        :meth:`resolve` does.
        """
        architectures = (platform.debian_architecture,)
        archives = self._archives(sources, architectures)
        universe = Universe(_indexes(archives), architecture=architectures[0])
        solution = base_set(universe, preferences=Preferences(), origin=Origin(f"apt:{suite}"))
        return _resolution(solution, archives, architectures)

    def resolve(
        self,
        asks: Sequence[AptAsk],
        *,
        view: View,
        platform: Platform,
        sources: Sequence[Source],
        recommends: bool = False,
        base: AptResolution | None = None,
    ) -> AptResolution:
        """What ``apt-get install`` with these words would do in the image.

        ``view`` is the base, with dpkg's status and apt's preferences; where the base is made of packages in this same
        build, ``base`` is its resolution and counts instead of the view's status. Raises a RepositoryError that names
        the line of ``apt.txt`` for what cannot be installed; a NetworkError or IntegrityError for a source that
        cannot be read or believed.
        """
        status, states, foreign = _installed(view) if base is None else (_status_of(base), "", base.architectures[1:])
        native = platform.debian_architecture
        asked = (ask.architecture for ask in asks if ask.architecture not in ("", "all", "any", "native", native))
        architectures = tuple(dict.fromkeys((native, *foreign, *asked)))
        archives = self._archives(sources, architectures)
        universe = Universe(
            _indexes(archives),
            architecture=native,
            foreign_architectures=architectures[1:],
            status=status,
            extended_states=states,
        )
        solution = solve(universe, asks, preferences=image_preferences(view), recommends=recommends)
        return _resolution(solution, archives, architectures)

    def versions(self, beginnings: Sequence[str], *, platform: Platform, sources: Sequence[Source]) -> dict[str, str]:
        """The packages whose names begin so that could be installed in the image, and the newest version of each."""
        archives = self._archives(sources, (platform.debian_architecture,))
        universe = Universe(_indexes(archives), architecture=platform.debian_architecture)
        names = [name for name in universe.names if name.startswith(tuple(beginnings))]
        groups = {name: universe.group(name) for name in names}
        return {name: group[0].versions[0].version for name, group in groups.items() if group}

    def _archives(self, sources: Sequence[Source], architectures: tuple[str, ...]) -> list[_Archive]:
        """The sources with their indexes, in order; several are read at once."""
        if not sources:
            raise RepositoryError("there is no apt source to install packages from")
        source_addresses(sources)
        self._check_times(sources)
        packages = PackagesReader(self.http, self.store, self.events)
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            return list(pool.map(lambda source: self._archive(source, architectures, packages), sources))

    def _check_times(self, sources: Sequence[Source]) -> None:
        times = {source.as_of for source in sources} - {None}
        for time in times:
            if time is not None and time > self.now:
                raise UsageError(f"the apt archives as of {time:%Y-%m-%d} are asked for, and that is in the future")
        for name in dict.fromkeys(source.name for source in sources if times and source.as_of is None):
            self.events(Notice(f"{name} has no known snapshots: its packages are those of today", warning=True))

    def _archive(self, source: Source, architectures: tuple[str, ...], packages: PackagesReader) -> _Archive:
        """The source, its indexes taken from the store where they are there: 50 MB that nothing holds afterwards."""
        key = replace(source, origin="")
        release = self._releases.get(key)
        if release is None:
            release = ReleaseReader(self.http, self.store.records, self.now, self.events).read(source)
            self._releases[key] = release
        return _Archive(source, release, packages.read(source, release, architectures))


def _indexes(archives: Sequence[_Archive]) -> list[PackagesIndex]:
    return [index for archive in archives for index in archive.indexes]


def _installed(view: View) -> tuple[str, str, tuple[str, ...]]:
    """The status of dpkg, apt's extended_states, and the foreign architectures of an image."""
    texts = [decode(view.read(path)) if path in view else "" for path in (_STATUS, _STATES, _ARCHITECTURES)]
    return texts[0], texts[1], tuple(texts[2].split()[1:])


def _status_of(base: AptResolution) -> str:
    """What dpkg's status will say of a base that is not made yet, as far as a solver looks at it."""
    changes = {"Status": "install ok installed", "Filename": None, "SHA256": None, "Size": None}
    return "\n".join(version.fields.with_fields(changes).text for version in base.solution.installed)


def _resolution(solution: Solution, archives: Sequence[_Archive], architectures: tuple[str, ...]) -> AptResolution:
    return AptResolution(
        packages=tuple(locked_package(change) for change in solution.changes),
        removals=tuple(f"{one.version.name}:{one.version.architecture}" for one in solution.removals),
        sources=tuple(
            LockedSource(archive.source.name, archive.source.description, f"{archive.release.date:%Y-%m-%dT%H:%M:%SZ}")
            for archive in archives
        ),
        addresses=MappingProxyType(source_addresses([archive.source for archive in archives])),
        solution=solution,
        architectures=architectures,
    )
