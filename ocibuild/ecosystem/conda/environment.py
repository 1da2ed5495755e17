"""The conda environment that packages are placed into: its Python, its own files, and each package's context."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ocibuild.core.asks import CondaAsks
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.place import CondaPlaceContext
from ocibuild.ecosystem.conda.record import NOARCH, whole_record
from ocibuild.layer.entry import Entry

__all__ = ["CondaPython", "environment_entries", "place_context"]

_HEADER = "==> 1980-01-01 00:00:00 <==\n# cmd: ocibuild build\n"  # the fixed time of all that is placed


@dataclass(frozen=True, slots=True)
class CondaPython:
    """The Python of an environment. ``version`` is complete; ``site_packages`` is below the prefix."""

    version: str
    site_packages: str

    @property
    def minor_version(self) -> str:
        """Major and minor version, such as ``3.12``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def executable(self) -> str:
        """The interpreter's file, below the prefix."""
        return f"bin/python{self.minor_version}"

    @property
    def standard_library(self) -> str:
        """The folder of the modules that come with it, below the prefix."""
        return self.site_packages.removesuffix("/site-packages")

    @classmethod
    def among(cls, packages: Iterable[LockedPackage]) -> "CondaPython | None":
        """The Python of these packages, or None where there is none."""
        for package in packages:
            if package.name == "python":
                minor_version = ".".join(package.version.split(".")[:2])
                record = json.loads(package.fields.get("record", "{}"))
                path = record.get("python_site_packages_path") or f"lib/python{minor_version}/site-packages"
                return cls(package.version, str(path))
        return None


def place_context(
    package: LockedPackage,
    *,
    prefix: str,
    python: CondaPython | None,
    uid: int = 0,
    gid: int = 0,
    displaced: Sequence[str] = (),
) -> CondaPlaceContext:
    """What placing this package depends on; the Python's part only where the package is for any Python."""
    record = whole_record(package)
    is_noarch = record.get("noarch") == "python" or ("depends" not in record and record["subdir"] == NOARCH)
    own_python = python if is_noarch else None
    return CondaPlaceContext(
        prefix=prefix,
        record=json.dumps(record, sort_keys=True),
        python_version=own_python.minor_version if own_python else "",
        site_packages=own_python.site_packages if own_python else "",
        uid=uid,
        gid=gid,
        requested_specs=tuple(package.fields.get("specs", "").splitlines()),
        displaced=tuple(displaced),
    )


def environment_entries(asks: CondaAsks, *, prefix: str, uid: int = 0, gid: int = 0) -> Iterator[Entry]:
    """The environment's own files, which make a folder one for conda and mamba; they are no package's.

    ``conda-meta/history`` says what was asked for, as conda writes it; ``conda-meta/state`` holds the variables that
    activating sets. The folder ``prefix`` itself comes first.
    """
    yield Entry.directory(prefix, uid=uid, gid=gid)
    yield Entry.directory(f"{prefix}/conda-meta", uid=uid, gid=gid)
    specs = [ask.text for ask in asks.packages]
    history = f"{_HEADER}# update specs: {json.dumps(specs)}\n" if specs else ""
    yield Entry.file(f"{prefix}/conda-meta/history", history.encode(), uid=uid, gid=gid)
    if asks.variables:
        state = {"env_vars": dict(asks.variables), "version": 1}
        yield Entry.file(f"{prefix}/conda-meta/state", json.dumps(state).encode(), uid=uid, gid=gid)
