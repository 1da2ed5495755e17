"""The Python of an image, and the C library under it: the base's own, or what packages bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ocibuild.core.errors import MachineError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.database import DpkgDatabase
from ocibuild.ecosystem.pip.target import Libc, PythonTarget, debian_python, find_libc, find_python
from ocibuild.lock import PlatformLock
from ocibuild.store.store import Store
from ocibuild.work.base import Base
from ocibuild.work.conda_resolution import conda_python
from ocibuild.work.recall import state_key

__all__ = ["ImagePython"]

_PYTHON_KIND = "python-1"
_LIBC_KIND = "libc-1"
_DEBIAN_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class ImagePython:
    """Finds out about bases; finding may mean reading a layer, so the store remembers it by the base's digest."""

    store: Store

    def of_image(self, base: Base, lock: PlatformLock) -> PythonTarget:
        """The Python that wheels are for: the lock's conda packages', else that of its Debian packages or the base.

        A MachineError where there is none.
        """
        conda = [package for package in lock.packages if package.ecosystem is Ecosystem.CONDA]
        if conda:
            return self._of_conda(base, conda)
        debs = {package.name: package for package in lock.packages if package.ecosystem is Ecosystem.APT}
        found = self.of_base(base)
        if any(name.startswith("python3") for name in debs) and (found is None or found.interpreter == _DEBIAN_PYTHON):
            versions = {each.name: each.version for each in DpkgDatabase.read(base.view).packages if each.has_files}
            versions |= {name: package.version for name, package in debs.items()}
            found = debian_python(versions, platform=base.platform) or found
        if found is None:
            raise MachineError(
                f"the base {base.name} has no Python, and no Debian packages to get one from",
                hint="choose a base with Python, or one of Debian's: --base apt:bookworm",
            )
        return found

    def _of_conda(self, base: Base, packages: Sequence[LockedPackage]) -> PythonTarget:
        libc = self.libc(base)
        if libc is None:
            raise MachineError(
                f"packages are asked of pip, and the base {base.name} has no C library that they are built for",
                hint="choose a base of a distribution, such as --base apt:bookworm",
            )
        target = conda_python(packages, base.platform, libc)
        if target is None:
            raise MachineError(
                "packages are asked of pip, and the conda environment has no Python",
                hint="ask for python in environment.yml",
            )
        return target

    def of_base(self, base: Base) -> PythonTarget | None:
        """The base's own Python; None where it has none."""
        path = base.config.environment.get("PATH", DEFAULT_PATH)
        key = state_key("python", str(base.digest), path)
        value: Any = self.store.records.get(_PYTHON_KIND, key) if base.digest else None
        if isinstance(value, dict) and "target" in value:
            return _read_target(value["target"], base.platform)
        found = find_python(base.view, path=path, platform=base.platform) if len(base.view) else None
        if base.digest:
            self.store.records.put(_PYTHON_KIND, key, {"target": _write_target(found)})
        return found

    def libc(self, base: Base) -> Libc | None:
        """The base's C library; None where it has none that is known."""
        key = state_key("libc", str(base.digest))
        value: Any = self.store.records.get(_LIBC_KIND, key) if base.digest else None
        if isinstance(value, dict) and "libc" in value:
            return None if value["libc"] is None else Libc(*value["libc"])
        try:
            found = find_libc(base.view, platform=base.platform)
        except MachineError:
            found = None
        if base.digest:
            libc = None if found is None else [found.kind, found.major, found.minor]
            self.store.records.put(_LIBC_KIND, key, {"libc": libc})
        return found


def _write_target(target: PythonTarget | None) -> list[Any] | None:
    if target is None:
        return None
    libc = [target.libc.kind, target.libc.major, target.libc.minor]
    return [target.version, target.interpreter, target.executable, target.standard_library, libc]


def _read_target(value: Any, platform: Platform) -> PythonTarget | None:
    if value is None:
        return None
    version, interpreter, executable, standard_library, libc = value
    return PythonTarget(version, interpreter, executable, standard_library, platform, Libc(*libc))
