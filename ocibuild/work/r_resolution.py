"""Resolving what a repository asks of R: R itself and some packages from Debian, others from repositories of R's."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

from ocibuild.core.asks import AptAsk
from ocibuild.core.errors import BuildError, MachineError, NetworkError, RepositoryError
from ocibuild.core.events import Notice
from ocibuild.core.origin import Origin
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.r_asks import RAsks
from ocibuild.ecosystem.r.archive import read_description
from ocibuild.ecosystem.r.debian import deb_name, package_name, upstream_version
from ocibuild.ecosystem.r.repository import RIndex, archived_path, read_index
from ocibuild.ecosystem.r.resolve import Archived, RSolution, Surroundings, resolve
from ocibuild.ecosystem.r.source import SOURCE, source_fields
from ocibuild.ecosystem.r.system_requirements import system_packages
from ocibuild.ecosystem.r.target import RTarget, debian_r, find_r
from ocibuild.lock import LockedSource, PlatformLock
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.r_description import RDescription
from ocibuild.work.apt_resolution import DebianResolver
from ocibuild.work.base import Base
from ocibuild.work.machine import Machine
from ocibuild.work.r_bodies import RBodies, RBody
from ocibuild.work.r_repositories import codename_of, machine_addresses
from ocibuild.work.recall import state_key

if TYPE_CHECKING:
    from ocibuild.work.resolution import Resolution

__all__ = ["RAnswer", "RResolver"]

_BASE_KIND = "r-base-1"
_NOT_FOUND = (403, 404, 410)
_R, _RECOMMENDED, _COMPILERS = "r-base-core", "r-recommended", "r-base-dev"

AskDebian = Callable[[Sequence[AptAsk]], "Resolution"]
"""What all that is asked of apt comes to, with these asks besides."""


@dataclass(frozen=True, slots=True)
class RAnswer:
    """Debian's packages, and R's, dependencies first; ``addresses`` are of the latter and end in a slash."""

    debs: "Resolution"
    packages: tuple[LockedPackage, ...]
    sources: tuple[LockedSource, ...]
    addresses: Mapping[str, str]
    target: RTarget


@dataclass(frozen=True, slots=True)
class RResolver:
    """Asks repositories for one build. ``apt`` tells what Debian has."""

    machine: Machine
    options: BuildOptions
    apt: DebianResolver

    def resolve(self, asks: RAsks, base: Base, debs: AskDebian) -> RAnswer:
        """The packages of these asks on this base.

        A RepositoryError where a package cannot be had or the base has another R than the one asked for, a BuildError
        for a package that was built for another one, an IntegrityError for what is not what the repository says.
        """
        own = () if self.r_of(base, None) is not None else tuple(_debian_asks(asks, (_R, _RECOMMENDED)))
        found = debs(own)
        target = self.target(asks, base, found.lock)
        self._tell_of_lock(asks, target)
        addresses = machine_addresses(asks, target.codename, self.machine.environment)
        fetching = RBodies(self.machine, self.options, target.user_agent)
        solution = self._solved(asks, base, found.lock, target, addresses, fetching)
        bodies = fetching.all(solution.packages)
        packages = tuple(self._locked(body, target, addresses) for body in bodies)
        more = (*own, *self._debian_packages(solution, base), *self._system(bodies, base))
        if asks.compiles or any(each.architecture == SOURCE and "compiled" in each.fields for each in packages):
            more = (*more, *_debian_asks(asks, (_COMPILERS,)))
        if len(more) > len(own):
            found = debs(more)
        today = datetime.fromtimestamp(self.machine.now(), UTC).date()
        used = {package.source for package in packages}
        sources = tuple(
            LockedSource(name, f"R packages for {target.codename or 'any system'}", str(asks.day or today))
            for name in addresses
            if name in used
        )
        slashed = {name: f"{address}/" for name, address in addresses.items() if name in used}
        return RAnswer(found, packages, sources, MappingProxyType(slashed), target)

    def target(self, asks: RAsks, base: Base, lock: PlatformLock) -> RTarget:
        """The image's R; a RepositoryError where another one is asked for, a MachineError where there is none."""
        target = self.r_of(base, lock)
        if target is None:
            raise MachineError(
                f"the base {base.name} has no R, and no Debian packages to get one from",
                hint="choose a base with R, or one of Debian's: --base apt:bookworm",
            )
        if asks.version and not f"{target.version}.".startswith(f"{asks.version}."):
            origin = asks.version_origin or asks.wanted
            raise RepositoryError(
                f"R {asks.version} is asked for, and {base.name} has {target.version}",
                file=origin.file if origin else None,
                line=origin.line if origin else None,
                hint="choose a base that has it: apt:bookworm has 4.2, apt:trixie 4.5, images such as rocker/r-ver "
                "their own; or name a source of other versions for Debian in ocibuild.toml ([[apt.source]])",
            )
        return target

    def _tell_of_lock(self, asks: RAsks, target: RTarget) -> None:
        """As renv does where it restores a lock with another R."""
        if asks.lock is not None and asks.lock[1] and not asks.lock[1].startswith(f"{target.minor_version}."):
            origin, version = asks.lock
            self.machine.events(
                Notice(f"{origin}: made with R {version}, and the image has {target.version}", warning=True)
            )

    def r_of(self, base: Base, lock: PlatformLock | None) -> RTarget | None:
        """The R that the lock's Debian packages bring, else the base's; None where there is none."""
        codename = codename_of(base.view)
        debs = lock.packages if lock is not None else ()
        version = next((each.version for each in debs if each.name == _R), None)
        if version is not None:
            return debian_r(version, platform=base.platform, codename=codename)
        return self._base_r(base, codename)

    def _base_r(self, base: Base, codename: str) -> RTarget | None:
        """The base's own R. Finding it may mean reading a layer, so it is remembered by the base's digest."""
        records, key = self.machine.store.records, state_key("r", str(base.digest))
        known: Any = records.get(_BASE_KIND, key) if base.digest else None
        if isinstance(known, dict) and "r" in known:
            version, library = known["r"] or ("", "")
            return RTarget(version, library, base.platform, codename) if version else None
        found = find_r(base.view, platform=base.platform, codename=codename)
        if base.digest:
            records.put(_BASE_KIND, key, {"r": None if found is None else [found.version, found.library]})
        return found

    # Choosing.

    def _solved(
        self,
        asks: RAsks,
        base: Base,
        lock: PlatformLock,
        target: RTarget,
        addresses: Mapping[str, str],
        fetching: RBodies,
    ) -> RSolution:
        http = self.machine.remote.http.sending({"User-Agent": target.user_agent})
        indexes = _LazyIndexes(lambda: [read_index(http, address) for address in addresses.values()])
        present = {
            package_name(package.name): upstream_version(package.version)
            for package in lock.packages
            if package_name(package.name)
        }
        around = Surroundings(
            target.version,
            present=present,
            debian=_LazyDebian(lambda: self._debian(base)),
            prefers_debian=asks.preference == "debian",
        )
        solution = resolve(asks.packages, indexes, around, archived=self._archived(addresses, fetching))
        for ask in solution.left_out:
            self.machine.events(Notice(f"{ask.origin}: no repository has {ask}: it is left to the script"))
        return solution

    def _debian(self, base: Base) -> Mapping[str, str]:
        found = self.apt.versions(("r-cran-", "r-bioc-"), base)
        return {package_name(name): upstream_version(version) for name, version in found.items()}

    def _debian_packages(self, solution: RSolution, base: Base) -> Iterator[AptAsk]:
        if not solution.debian:
            return
        debs = set(self.apt.versions(("r-cran-", "r-bioc-"), base))
        for choice in solution.debian:
            yield AptAsk(deb_name(choice.name, debs), choice.ask.origin)

    def _archived(self, addresses: Mapping[str, str], fetching: RBodies) -> Archived:
        def archived(name: str, version: str) -> tuple[str, RDescription] | None:
            for address in addresses.values():
                try:
                    digest, _ = fetching.fetched(address, archived_path(name, version))
                except NetworkError as error:
                    if error.status in _NOT_FOUND:
                        continue
                    raise
                return address, read_description(self.machine.store.blobs.path(digest), name=f"{name} {version}")
            return None

        return archived

    # What was chosen.

    def _locked(self, body: RBody, target: RTarget, addresses: Mapping[str, str]) -> LockedPackage:
        chosen, description = body.chosen, body.description
        try:
            built = description.built
        except ValueError as error:
            raise BuildError(f"{body.where} cannot be used: {error}") from error
        refusal = target.refusal(built) if built is not None else ""
        if refusal:
            raise BuildError(
                f"{body.where} {refusal}",
                hint="choose a base with that R, a repository for this one, or Debian's package "
                '([r] prefer = "debian")',
            )
        source = next(name for name, address in addresses.items() if address == chosen.address)
        fields = {"built": description.fields["Built"]} if built is not None else source_fields(description)
        return LockedPackage(
            Ecosystem.R,
            description.name,
            description.version,
            (built.platform or "any") if built is not None else SOURCE,
            source,
            chosen.path,
            body.digest,
            body.size_bytes,
            requested=chosen.requested,
            why=chosen.why,
            fields=MappingProxyType(fields),
        )

    def _system(self, bodies: Iterable[RBody], base: Base) -> Iterator[AptAsk]:
        """The Debian packages of what the packages want of the system."""
        wanted: dict[str, str] = {}
        for body in bodies:
            for deb in system_packages(body.description.fields.get("SystemRequirements", "")):
                wanted.setdefault(deb, body.description.name)
        if not wanted:
            return
        known = self.apt.versions(tuple(wanted), base)
        for deb, name in wanted.items():
            if deb in known:
                yield AptAsk(deb, Origin(f"R package {name}"))


class _LazyIndexes(Sequence[RIndex]):
    """The indexes of all repositories, read when somebody looks: what Debian has needs none."""

    def __init__(self, read: Callable[[], list[RIndex]]) -> None:
        self._read = read
        self._known: list[RIndex] | None = None

    @overload
    def __getitem__(self, place: int) -> RIndex: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[RIndex]: ...
    def __getitem__(self, place: int | slice) -> RIndex | Sequence[RIndex]:
        if self._known is None:
            self._known = self._read()
        return self._known[place]

    def __len__(self) -> int:
        return len(self[:])


class _LazyDebian(Mapping[str, str]):
    """What Debian has, found out when somebody looks."""

    def __init__(self, read: Callable[[], Mapping[str, str]]) -> None:
        self._read = read
        self._known: Mapping[str, str] | None = None

    def _all(self) -> Mapping[str, str]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _debian_asks(asks: RAsks, names: Iterable[str]) -> Iterator[AptAsk]:
    origin = asks.wanted or Origin("ocibuild.toml")
    for name in names:
        yield AptAsk(name, origin)
