"""Answering from a lock instead of resolving: versions are the lock's, addresses this machine's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ocibuild.core.asks import PackageAsks, PipAsks
from ocibuild.core.errors import RepositoryError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.core.r_asks import RAsks
from ocibuild.ecosystem.pip.source import is_built
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.r.target import RTarget
from ocibuild.lock import PlatformLock
from ocibuild.work.base import Base
from ocibuild.work.r_repositories import machine_addresses
from ocibuild.work.resolution import OnDebs, Resolution, Resolver

__all__ = ["LockedResolver"]


@dataclass(frozen=True, slots=True)
class LockedResolver:
    """Stands in for a :class:`Resolver` where a lock says everything; ``locks`` are checked against what is asked.

    Indexes are asked only where to find what the store does not hold, and every file by its hash.
    """

    resolver: Resolver
    locks: Mapping[Platform, PlatformLock]
    file: str

    def base_packages(self, suite: str, platform: Platform) -> Resolution:
        """The packages of ``apt:SUITE`` as locked."""
        lock = self.locks[platform]
        addresses = self.resolver.apt.base_addresses(suite, platform)
        return self._resolution(replace(lock, packages=lock.base_packages), addresses)

    def packages(
        self,
        asks: PackageAsks,
        base: Base,
        *,
        folder_in_image: str,
        on_debs: OnDebs = lambda *_: None,  # noqa: ARG002 - as a Resolver's; all is known at once
    ) -> Resolution:
        """The locked packages on this base, which must be the one that was locked; a RepositoryError otherwise."""
        lock = self.locks[base.platform]
        if lock.base_digest is not None and lock.base_digest != base.digest:
            raise RepositoryError(
                f"the lock is for {lock.base} of {lock.base_digest}, which is {base.digest} now", file=self.file
            )
        of_apt = any(package.ecosystem is Ecosystem.APT for package in lock.packages)
        addresses = dict(self.resolver.apt.addresses(base)) if of_apt else {}
        conda = [package for package in lock.packages if package.ecosystem is Ecosystem.CONDA]
        urls = self._conda_urls(conda, asks)
        if not asks.r.is_empty:
            addresses |= self._r_addresses(asks.r, base, lock)
        pip = asks.pip
        if not pip.is_empty or any(package.ecosystem is Ecosystem.PIP for package in lock.packages):
            target = self._target(base, lock)
            blobs = self.resolver.machine.store.blobs
            missing = [
                package
                for package in lock.packages
                if package.ecosystem is Ecosystem.PIP and not is_built(package) and package.digest not in blobs
            ]
            if missing:
                found = self.resolver.python.locate(
                    missing, pip, target, folder=self.resolver.folder, options=self.resolver.options
                )
                urls |= {each.digest.hex: found.addresses[each.source] + each.path for each in found.packages}
            lock = replace(lock, packages=self._with_wheels(lock, pip, base, target, addresses, folder_in_image))
        return self._resolution(lock, addresses, urls)

    def _r_addresses(self, asks: RAsks, base: Base, lock: PlatformLock) -> dict[str, str]:
        target = self.resolver.r.target(asks, base, lock)
        locked = lock.target.get("r")
        if target.version != locked:
            raise RepositoryError(f"the lock is for R {locked}, and {base.name} has {target.version}", file=self.file)
        environment = self.resolver.machine.environment
        found = machine_addresses(asks, target.codename, environment, lock=lock)
        return {name: f"{address}/" for name, address in found.items()}

    def r_of(self, base: Base, lock: PlatformLock) -> RTarget | None:
        """As of :meth:`RResolver.r_of`."""
        return self.resolver.r_of(base, lock)

    def _conda_urls(self, packages: Sequence[LockedPackage], asks: PackageAsks) -> dict[str, str]:
        """Where this machine has the conda packages that the store lacks; nobody is asked for it."""
        resolver = self.resolver
        missing = [package for package in packages if package.digest not in resolver.machine.store.blobs]
        found = resolver.conda.locate(missing, asks.conda, folder=resolver.folder, options=resolver.options)
        return dict(found)

    def _with_wheels(
        self,
        lock: PlatformLock,
        pip: PipAsks,
        base: Base,
        target: PythonTarget,
        addresses: Mapping[str, str],
        folder_in_image: str,
    ) -> tuple[LockedPackage, ...]:
        """The lock's packages, with the wheels that this machine has of those that are built."""
        resolver = self.resolver
        others = tuple(package for package in lock.packages if package.ecosystem is not Ecosystem.PIP)
        below = replace(lock, packages=others)  # what wheels are built on
        root = resolver.build_root(base, below, addresses) if resolver.build_root else None
        return resolver.python.rebuilt(
            lock.packages,
            pip,
            target,
            folder=resolver.folder,
            folder_in_image=folder_in_image,
            options=resolver.options,
            root=root,
        )

    def python_of(self, base: Base, lock: PlatformLock) -> PythonTarget:
        """As of :meth:`Resolver.python_of`."""
        return self.resolver.python_of(base, lock)

    def _target(self, base: Base, lock: PlatformLock) -> PythonTarget:
        target = self.python_of(base, lock)
        locked = lock.target.get("python")
        if target.version != locked:
            raise RepositoryError(
                f"the lock is for Python {locked}, and {base.name} has {target.version}", file=self.file
            )
        return target

    def _resolution(
        self,
        lock: PlatformLock,
        addresses: Mapping[str, str],
        urls: Mapping[str, str] = MappingProxyType({}),
    ) -> Resolution:
        return Resolution(lock, addresses, self.resolver.machine.now(), urls)
