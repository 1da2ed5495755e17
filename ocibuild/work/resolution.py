"""Resolving all that one image needs, once for a while: the answer is kept in the store and used again while fresh."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ocibuild.core.asks import AptAsk, CondaAsks, Origin, PackageAsks, PipAsks
from ocibuild.core.errors import OcibuildError, RepositoryError
from ocibuild.core.package import Ecosystem
from ocibuild.core.platform import Platform
from ocibuild.core.r_asks import REPOSITORY_VARIABLE, RAsks
from ocibuild.ecosystem.conda.channel import without_credentials
from ocibuild.ecosystem.pip.source import PythonSource
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.r.target import RTarget
from ocibuild.lock import Lock, PlatformLock
from ocibuild.spec.options import BuildOptions
from ocibuild.work.apt_resolution import DebianResolver
from ocibuild.work.base import Base
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.conda_resolution import CondaResolver, provided_distributions
from ocibuild.work.image_python import ImagePython
from ocibuild.work.machine import Machine
from ocibuild.work.python_resolution import PythonResolver, unbuildable
from ocibuild.work.r_resolution import RAnswer, RResolver
from ocibuild.work.recall import DEFAULT_MAX_AGE_SECONDS, state_key

if TYPE_CHECKING:
    from ocibuild.work.python_wheels import StepRoot

__all__ = ["OnDebs", "Resolution", "Resolver"]

_KIND = "resolution-1"
_STATUS = "var/lib/dpkg/status"
_DISTROLESS_STATUS = "var/lib/dpkg/status.d"


OnDebs = Callable[[PlatformLock, Mapping[str, str]], None]
"""Is told a lock of Debian packages alone, and the addresses of their sources."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A lock, where this machine finds its packages, and when (seconds since the epoch) that was found out.

    ``addresses`` are of sources; ``urls`` are of single packages, by SHA-256, and come first. ``missing`` are sources
    whose wheels are to be built: what they depend on is unknown until then, and not in the lock.
    """

    lock: PlatformLock
    addresses: Mapping[str, str]
    resolved: float
    urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    missing: tuple[PythonSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves for one build. ``options`` say how fresh an answer must be, and as of when.

    ``bodies`` gives the packages' files; their places are told it.
    ``build_root`` gives the root in which source packages are built: of a base, and the Debian packages of a lock with
    the addresses of their sources. Without it a source package is an error. With ``builds`` False, for a plan, nothing
    is built, and a resolution may have something ``missing``.
    """

    machine: Machine
    options: BuildOptions
    folder: Path
    apt: DebianResolver
    python: PythonResolver
    conda: CondaResolver
    r: RResolver
    bodies: Callable[[], PackageBodies]
    build_root: "Callable[[Base, PlatformLock, Mapping[str, str]], StepRoot] | None" = None
    builds: bool = True

    def base_packages(self, suite: str, platform: Platform) -> Resolution:
        """The packages of ``apt:SUITE``."""
        key = state_key("base", suite, str(platform), str(self.options.as_of))

        def ask() -> Resolution:
            found = self.apt.base(suite, platform)
            lock = PlatformLock(f"apt:{suite}", packages=found.packages, sources=found.sources)
            return self._resolution(lock, found.addresses)

        return self._kept(key, platform, ask, lambda: self.apt.base_addresses(suite, platform))

    def packages(
        self,
        asks: PackageAsks,
        base: Base,
        *,
        folder_in_image: str,
        on_debs: OnDebs = lambda *_: None,
    ) -> Resolution:
        """What these asks come to on this base: Debian's packages, conda's, then wheels for the Python that is there.

        ``on_debs`` is told the first while the second are still unknown, so that their layers can be begun.
        """
        platform = base.platform
        options, pip = self.options, asks.pip
        key = state_key(
            "packages",
            [[str(ask), str(ask.origin)] for ask in asks.apt],
            [self._conda_state(asks.conda), self._conda_state(asks.conda_root)],
            "" if asks.r.is_empty else state_key(repr(asks.r), self.machine.environment.get(REPOSITORY_VARIABLE)),
            [[file.path, file.text] for file in (*pip.files, *pip.included, *pip.preferred)],
            [[text, str(origin)] for text, origin in pip.requirements],
            [str(base.digest), str(platform), str(options.as_of), options.apt_recommends, folder_in_image],
            [repr(source) for source in options.apt_sources],
            list(options.pip_options),
            "" if pip.is_empty else state_key(self.python.settings().state, sorted(options.environment.items())),
        )

        def ask() -> Resolution:
            return self._asked(asks, base, folder_in_image, on_debs)

        return self._kept(key, platform, ask, lambda: self.apt.addresses(base))

    def _conda_state(self, asks: CondaAsks) -> str:
        if asks.is_empty:
            return ""
        return state_key(repr(asks), self.conda.settings().state, self.options.cuda, self.options.archspec)

    def _asked(self, asks: PackageAsks, base: Base, folder_in_image: str, on_debs: OnDebs) -> Resolution:
        apt, pip = asks.apt, asks.pip
        missing: tuple[PythonSource, ...] = ()
        lock = PlatformLock(base.recorded_name, base.digest)
        addresses: dict[str, str] = {}
        self._refuse_no_debian(apt, base)
        apt = (*apt, *(self._python_asks(pip, base) if asks.conda.is_empty else ()))
        resolved = self.machine.now()
        r = None if asks.r.is_empty else self._with_r(asks.r, apt, base)
        if r is not None or apt:
            debs = r.debs if r is not None else self._debs(apt, base)
            lock, resolved = debs.lock, debs.resolved
            addresses |= debs.addresses
        if not asks.conda.is_empty:
            on_debs(lock, addresses)
            lock, pip, found = self._with_conda(asks, base, lock)
            addresses |= found
        if not pip.is_empty:
            target = self.python_of(base, lock)
            if asks.conda.is_empty:
                on_debs(lock, addresses)
            wheels = self.python.resolve(
                pip,
                target,
                folder=self.folder,
                folder_in_image=folder_in_image,
                options=self.options,
                root=self.build_root(base, lock, addresses) if self.build_root else None,
                builds=self.builds,
                provided=provided_distributions(lock.packages),
            )
            missing = wheels.missing
            if missing and self.builds:
                raise unbuildable(missing, target)
            addresses |= wheels.addresses
            facts = {**lock.target, "python": target.version, "libc": str(target.libc)}
            lock = replace(lock, packages=(*lock.packages, *wheels.packages), target=MappingProxyType(facts))
        if r is not None:
            facts = {**lock.target, "r": r.target.version}
            packages, sources = (*lock.packages, *r.packages), (*lock.sources, *r.sources)
            lock = replace(lock, packages=packages, sources=sources, target=MappingProxyType(facts))
            addresses |= r.addresses
        return Resolution(lock, MappingProxyType(addresses), resolved, missing=missing)

    def _with_r(self, asks: RAsks, apt: Sequence[AptAsk], base: Base) -> RAnswer:
        """R and its packages, with the Debian packages that they and ``apt`` come to."""

        def debs(more: Sequence[AptAsk]) -> Resolution:
            self._refuse_no_debian(more, base)
            if not apt and not more:
                return self._resolution(PlatformLock(base.recorded_name, base.digest), {})
            return self._debs((*apt, *more), base)

        return self.r.resolve(asks, base, debs)

    def _refuse_no_debian(self, apt: Sequence[AptAsk], base: Base) -> None:
        if not apt or _STATUS in base.view:
            return
        raise RepositoryError(
            f"{apt[0]} cannot be installed in the base {base.name}, which {_why_no_debian(base)}",
            file=apt[0].origin.file,
            line=apt[0].origin.line,
            hint="it needs a base of Debian or Ubuntu, such as --base apt:bookworm"
            + ("; --profile plain asks for no packages of its own" if self.options.is_binder else ""),
        )

    def _with_conda(
        self, asks: PackageAsks, base: Base, lock: PlatformLock
    ) -> tuple[PlatformLock, PipAsks, Mapping[str, str]]:
        """The lock with the conda packages of these asks, what is to be asked of pip, and where the channels are.

        Where something is asked of pip besides, it says of each package which Python distributions it brings.
        """
        libc = ImagePython(self.machine.store).libc(base)
        found = self.conda.resolve(asks.conda, base.platform, libc, folder=self.folder, options=self.options)
        pip = asks.pip.joined(found.pip)
        if not pip.is_empty:
            found = replace(found, packages=self.conda.with_distributions(found, self.bodies))
        root = self.conda.resolve_root(asks.conda_root, base.platform, libc, folder=self.folder, options=self.options)
        facts = {"libc": str(libc)} if libc is not None else {}
        facts |= {"cuda": self.options.cuda} if self.options.cuda else {}
        facts |= {"archspec": self.options.archspec} if self.options.archspec else {}
        lock = replace(lock, packages=(*lock.packages, *root.packages, *found.packages), target=MappingProxyType(facts))
        return lock, pip, {**root.addresses, **found.addresses}

    def _debs(self, asks: Sequence[AptAsk], base: Base) -> Resolution:
        """The Debian packages, kept by themselves: a changed pin of a Python package does not ask for them again."""
        key = state_key(
            "debs",
            [[str(ask), str(ask.origin)] for ask in asks],
            [str(base.digest), str(base.platform), str(self.options.as_of), self.options.apt_recommends],
            [repr(source) for source in self.options.apt_sources],
        )

        def ask() -> Resolution:
            found = self.apt.resolve(asks, base)
            lock = PlatformLock(
                base.recorded_name,
                base.digest,
                packages=found.packages,
                removals=found.removals,
                sources=found.sources,
            )
            return self._resolution(lock, found.addresses)

        return self._kept(key, base.platform, ask, lambda: self.apt.addresses(base))

    def _resolution(self, lock: PlatformLock, addresses: Mapping[str, str]) -> Resolution:
        return Resolution(lock, MappingProxyType(dict(addresses)), self.machine.now())

    def _kept(
        self,
        key: str,
        platform: Platform,
        ask: Callable[[], Resolution],
        debian_addresses: Callable[[], Mapping[str, str]],
    ) -> Resolution:
        """The answer of ``ask``, or an earlier one of this key with Debian's archives where they are today."""
        known = self._known(key, platform)
        if known is None:
            with self.machine.store.turn("resolution", key) as waited:  # another process may ask the same now
                known = self._known(key, platform) if waited else None
                if known is None:
                    return self._remembered(key, platform, ask())
        is_debian = any(package.ecosystem is Ecosystem.APT for package in known.lock.packages)
        addresses = {**known.addresses, **(debian_addresses() if is_debian else {})}
        return replace(known, addresses=MappingProxyType(addresses))

    def _known(self, key: str, platform: Platform) -> Resolution | None:
        """An earlier answer, where it is fresh enough."""
        if self.options.refresh:
            return None
        known = _read(self.machine.store.records.get(_KIND, key), platform)
        most = self.options.max_age_seconds
        limit = DEFAULT_MAX_AGE_SECONDS if most is None else most
        if known is None or self.machine.now() - known.resolved > limit or not self._is_current(known.lock):
            return None
        return known

    def _remembered(self, key: str, platform: Platform, found: Resolution) -> Resolution:
        """The answer, written down; credentials are not, nor is what is not final."""
        places = found.addresses.values()
        if not found.missing and not any("@" in place or without_credentials(place) != place for place in places):
            text = Lock({platform: found.lock}).to_text()
            value = {"lock": text, "addresses": dict(found.addresses), "resolved": found.resolved}
            self.machine.store.records.put(_KIND, key, value)
        return found

    def _is_current(self, lock: PlatformLock) -> bool:
        """Whether what was made of the repository's own files, or built, is still to be had."""
        return all(
            self.python.is_current(package, self.folder)
            for package in lock.packages
            if package.ecosystem is Ecosystem.PIP
        )

    def r_of(self, base: Base, lock: PlatformLock) -> RTarget | None:
        """As of :meth:`RResolver.r_of`."""
        return self.r.r_of(base, lock)

    def python_of(self, base: Base, lock: PlatformLock) -> PythonTarget:
        """As of :meth:`ImagePython.of_image`."""
        return ImagePython(self.machine.store).of_image(base, lock)

    def _python_asks(self, pip: PipAsks, base: Base) -> tuple[AptAsk, ...]:
        """Debian's python3, where something is asked of pip and the base has no Python."""
        if pip.is_empty or ImagePython(self.machine.store).of_base(base) is not None or _STATUS not in base.view:
            return ()
        origin = Origin(pip.files[0].path) if pip.files else pip.requirements[0][1]
        return (AptAsk("python3", origin),)


def _why_no_debian(base: Base) -> str:
    if base.view.children(_DISTROLESS_STATUS):
        return "is distroless: it has no dpkg, and of its packages only a part"
    return "is no system of Debian's packages"


def _read(value: Any, platform: Platform) -> Resolution | None:
    with contextlib.suppress(KeyError, TypeError, ValueError, OcibuildError):
        lock = Lock.parse(value["lock"], file="a resolution in the store").platforms[platform]
        return Resolution(lock, MappingProxyType(dict(value["addresses"])), float(value["resolved"]))
    return None
