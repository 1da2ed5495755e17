"""Resolving what a repository asks of conda, with this machine's settings and for the image's system."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ocibuild.core.asks import CondaAsks
from ocibuild.core.digest import Digest
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.conda.configuration import CondaSettings, machine_conda_settings
from ocibuild.ecosystem.conda.environment import CondaPython
from ocibuild.ecosystem.conda.locate import locate
from ocibuild.ecosystem.conda.record import is_python_package
from ocibuild.ecosystem.conda.remote_info import PackageFacts, remote_facts
from ocibuild.ecosystem.conda.resolve import CondaResolution, resolve
from ocibuild.ecosystem.conda.target import CondaTarget
from ocibuild.ecosystem.pip.prefix import DEFAULT_PREFIX
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.net.client import HttpClient
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.bodies import PackageBodies

__all__ = ["DISTRIBUTIONS", "PREFIX", "ROOT_PREFIX", "CondaResolver", "conda_python", "provided_distributions"]

ROOT_PREFIX = "srv/conda"
"""Where conda itself is in an image, Binder's ``CONDA_DIR``, without its leading slash."""
PREFIX = "prefix"
"""The field of a locked conda package that says which environment it is in, where it is not the image's own."""
DISTRIBUTIONS = "distributions"
"""The field of a locked conda package that lists its Python distributions, ``NAME VERSION`` on each line."""


@dataclass(frozen=True, slots=True)
class CondaResolver:
    """Asks channels on this machine; what is kept of them lies in the store's folder."""

    store: Store
    environment: Mapping[str, str]
    events: EventSink
    http: HttpClient

    def settings(self) -> CondaSettings:
        """What this machine's conda is set up with; addresses in it may hold credentials."""
        return machine_conda_settings(self.environment)

    def resolve(
        self, asks: CondaAsks, platform: Platform, libc: Libc | None, *, folder: Path, options: BuildOptions
    ) -> CondaResolution:
        """The packages of these asks on a base with this C library (None: none that conda knows).

        Of this machine's environment nothing may fill ``$NAME`` in channels of the repository: only the variables that
        the user gives the image do. Raises what :func:`ocibuild.ecosystem.conda.resolve.resolve` raises.
        """
        glibc = f"{libc.major}.{libc.minor}" if libc is not None and libc.kind == "glibc" else ""
        return resolve(
            asks,
            CondaTarget(platform, glibc, options.cuda or "", options.archspec or ""),
            self.settings(),
            folder=folder,
            cache_folder=self.store.folder / "conda",
            variables=options.environment,
            as_of=options.as_of,
        )

    def resolve_root(
        self, asks: CondaAsks, platform: Platform, libc: Libc | None, *, folder: Path, options: BuildOptions
    ) -> CondaResolution:
        """The packages of the environment that conda is in itself; none where no channel has what is asked."""
        if asks.is_empty:
            return CondaResolution()
        found = self.resolve(asks, platform, libc, folder=folder, options=options)
        names = {package.name for package in found.packages}
        for each in asks.either:
            if each.conda.text not in names:
                self.events(Notice(f"no channel has {each.conda}: the image is without it"))
        packages = [replace(each, fields={**each.fields, PREFIX: ROOT_PREFIX}) for each in found.packages]
        return replace(found, packages=tuple(packages))

    def facts(self, packages: Sequence[LockedPackage], bodies: PackageBodies) -> Mapping[Digest, PackageFacts]:
        """Package digest -> what matters of it before it is placed (:mod:`ocibuild.ecosystem.conda.remote_info`)."""
        return remote_facts(
            packages, bodies.url, fetch=bodies.path, http=self.http, store=self.store, events=self.events
        )

    def with_distributions(
        self, found: CondaResolution, new_bodies: Callable[[], PackageBodies]
    ) -> tuple[LockedPackage, ...]:
        """The packages with a field that says which Python distributions they bring, read out of their lists of files.

        Placing them confirms it (:mod:`.conda_layers`).
        """
        asked = [package for package in found.packages if is_python_package(package)]
        with new_bodies() as bodies:
            bodies.add_places(found.addresses)
            facts = self.facts(asked, bodies)
        return tuple(_with_distributions(package, facts.get(package.digest)) for package in found.packages)

    def locate(
        self, packages: Sequence[LockedPackage], asks: CondaAsks, *, folder: Path, options: BuildOptions
    ) -> Mapping[str, str]:
        """The URLs of locked packages on this machine, by SHA-256; they may hold credentials."""
        found = locate(packages, asks, self.settings(), folder=folder, variables=options.environment)
        return {package.digest.hex: found.addresses[package.source] + package.path for package in found.packages}


def conda_python(packages: Sequence[LockedPackage], platform: Platform, libc: Libc) -> PythonTarget | None:
    """The Python that the conda packages among these bring, as wheels are chosen for it; None where they bring none."""
    own = (package for package in packages if package.ecosystem is Ecosystem.CONDA and PREFIX not in package.fields)
    python = CondaPython.among(own)
    if python is None:
        return None
    executable = f"{DEFAULT_PREFIX}/{python.executable}"
    library = f"{DEFAULT_PREFIX}/{python.standard_library}"
    return PythonTarget(python.version, f"/{executable}", executable, library, platform, libc, owns_prefix=True)


def provided_distributions(packages: Iterable[LockedPackage]) -> Mapping[str, str]:
    """The Python distributions that the conda packages among these bring, name -> version."""
    lines = (line for package in packages for line in package.fields.get(DISTRIBUTIONS, "").splitlines())
    return dict(line.split(" ", 1) for line in lines)


def _with_distributions(package: LockedPackage, facts: PackageFacts | None) -> LockedPackage:
    if facts is None or not facts.distributions:
        return package
    text = "\n".join(f"{name} {version}" for name, version in sorted(facts.distributions.items()))
    return replace(package, fields={**package.fields, DISTRIBUTIONS: text})
