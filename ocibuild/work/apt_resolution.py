"""Resolving what a repository asks of apt, with this machine's mirrors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ocibuild.core.asks import AptAsk
from ocibuild.core.package import LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.distribution import suite_sources
from ocibuild.ecosystem.apt.image_sources import image_sources
from ocibuild.ecosystem.apt.machine import read_machine_apt
from ocibuild.ecosystem.apt.mirrors import Mirrors
from ocibuild.ecosystem.apt.resolve import AptResolution, AptResolver
from ocibuild.ecosystem.apt.source import Source, asked_sources, source_addresses
from ocibuild.lock import LockedSource
from ocibuild.spec.options import BuildOptions
from ocibuild.work.base import Base
from ocibuild.work.machine import Machine

__all__ = ["DebianAnswer", "DebianResolver"]

_STATUS = "var/lib/dpkg/status"


@dataclass(frozen=True, slots=True)
class DebianAnswer:
    """What apt would do; ``addresses`` end in a slash and are this machine's business."""

    packages: tuple[LockedPackage, ...]
    removals: tuple[str, ...]
    sources: tuple[LockedSource, ...]
    addresses: Mapping[str, str]


class DebianResolver:
    """Asks the mirrors; what it has read of them serves every question of one build.

    ``http`` reaches servers as this machine's apt does.
    """

    def __init__(self, machine: Machine, options: BuildOptions) -> None:
        self._machine = machine
        self._options = options
        self._apt = read_machine_apt()
        self.http = machine.remote.http.reaching(self._apt.reach)
        self._resolver = AptResolver(
            self.http, machine.store, datetime.fromtimestamp(machine.now(), UTC), machine.events
        )

    def base(self, suite: str, platform: Platform) -> DebianAnswer:
        """The packages of the smallest system of a suite."""
        sources = suite_sources(suite, platform, self._mirrors())
        return _answer(self._resolver.resolve_base(suite, platform, sources))

    def base_addresses(self, suite: str, platform: Platform) -> Mapping[str, str]:
        """Where the packages of a suite's smallest system are, by source; nothing is asked of the network."""
        return _slashed(source_addresses(suite_sources(suite, platform, self._mirrors())))

    def addresses(self, base: Base) -> Mapping[str, str]:
        """Where the packages of the base's and the user's sources are, by source; nothing is asked of the network."""
        return _slashed(source_addresses(self._sources(base)))

    def resolve(self, asks: Sequence[AptAsk], base: Base) -> DebianAnswer:
        """What ``apt-get install`` of these asks would do in the base, with the base's sources and the user's."""
        found = self._resolver.resolve(
            asks,
            view=base.view,
            platform=base.platform,
            sources=self._sources(base),
            recommends=self._options.apt_recommends,
        )
        return _answer(found)

    def versions(self, beginnings: Sequence[str], base: Base) -> Mapping[str, str]:
        """The Debian packages whose names begin so, and the newest version of each; none where there is no Debian."""
        if _STATUS not in base.view:
            return {}
        sources = self._sources(base)
        return self._resolver.versions(beginnings, platform=base.platform, sources=sources)

    def _sources(self, base: Base) -> tuple[Source, ...]:
        return (
            *image_sources(base.view, base.platform, self._mirrors(), events=self._machine.events),
            *asked_sources(self._options.apt_sources),
        )

    def _mirrors(self) -> Mirrors:
        as_of: date | None = self._options.as_of
        return Mirrors(self._apt, self._machine.environment, configured=self._options.apt_mirror, as_of=as_of)


def _answer(found: AptResolution) -> DebianAnswer:
    return DebianAnswer(found.packages, found.removals, found.sources, _slashed(found.addresses))


def _slashed(addresses: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{address}/" for name, address in addresses.items()}
