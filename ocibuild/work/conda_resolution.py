"""Resolving what a repository asks of conda, with this machine's settings and for the image's system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.asks import CondaAsks
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.conda.configuration import CondaSettings, machine_conda_settings
from ocibuild.ecosystem.conda.environment import CondaPython
from ocibuild.ecosystem.conda.locate import locate
from ocibuild.ecosystem.conda.resolve import CondaResolution, resolve
from ocibuild.ecosystem.conda.target import CondaTarget
from ocibuild.ecosystem.pip.prefix import DEFAULT_PREFIX
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store

__all__ = ["CondaResolver", "conda_python"]


@dataclass(frozen=True, slots=True)
class CondaResolver:
    """Asks channels on this machine; what is kept of them lies in the store's folder."""

    store: Store
    environment: Mapping[str, str]

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

    def locate(
        self, packages: Sequence[LockedPackage], asks: CondaAsks, *, folder: Path, options: BuildOptions
    ) -> Mapping[str, str]:
        """The URLs of locked packages on this machine, by SHA-256; they may hold credentials."""
        found = locate(packages, asks, self.settings(), folder=folder, variables=options.environment)
        return {package.digest.hex: found.addresses[package.source] + package.path for package in found.packages}


def conda_python(packages: Sequence[LockedPackage], platform: Platform, libc: Libc) -> PythonTarget | None:
    """The Python that the conda packages among these bring, as wheels are chosen for it; None where they bring none."""
    python = CondaPython.among(package for package in packages if package.ecosystem is Ecosystem.CONDA)
    if python is None:
        return None
    executable = f"{DEFAULT_PREFIX}/{python.executable}"
    library = f"{DEFAULT_PREFIX}/{python.standard_library}"
    return PythonTarget(python.version, f"/{executable}", executable, library, platform, libc, owns_prefix=True)
