"""``renv.lock``: the packages of an R project and their versions.

Source: renv's documentation, "Lockfiles". Its ``Hash`` is of a package's DESCRIPTION, not of a file: what is fetched is
pinned by this program's own lock.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ocibuild.core.errors import RepositoryError
from ocibuild.core.origin import Origin
from ocibuild.core.r_asks import RAsk, RRequirement

__all__ = ["RenvLock", "parse_renv_lock"]

# Sources that stand for a repository; others (GitHub, Git, Local, Bioconductor, ...) are somewhere else.
_REPOSITORIES = ("Repository", "CRAN", "RSPM", "PPM")


@dataclass(frozen=True, slots=True)
class RenvLock:
    """R's version as it was, and the packages, each of exactly one version."""

    file: str
    r_version: str
    packages: tuple[RAsk, ...]


def parse_renv_lock(text: str, *, file: str) -> RenvLock:
    """Read a lock. A RepositoryError names file and line of what is wrong, and packages that no repository has."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise RepositoryError(f"not JSON: {error}", file=file, line=line) from error
    packages = value.get("Packages") if isinstance(value, dict) else None
    if not isinstance(packages, dict) or not all(isinstance(package, dict) for package in packages.values()):
        raise RepositoryError("not a lock of renv: it has no table Packages", file=file)
    _refuse_other_sources(packages, text, file)
    r = value.get("R")
    version = r.get("Version", "") if isinstance(r, dict) else ""
    return RenvLock(file, str(version), tuple(_asks(packages, text, file)))


def _asks(packages: Mapping[str, Mapping[str, Any]], text: str, file: str) -> Iterable[RAsk]:
    for name, package in packages.items():
        line = _line(name, text)
        try:
            requirement = RRequirement.parse(f"{name} (== {package.get('Version')})")
        except ValueError as error:
            raise RepositoryError(f"{name} has no version of R's: {error}", file=file, line=line) from error
        yield RAsk(requirement, Origin(file, line))


def _refuse_other_sources(packages: Mapping[str, Mapping[str, Any]], text: str, file: str) -> None:
    others = {name: str(package.get("Source")) for name, package in packages.items()}
    others = {name: source for name, source in others.items() if source not in _REPOSITORIES}
    if others:
        listed = ", ".join(f"{name} ({source})" for name, source in others.items())
        raise RepositoryError(
            f"these packages come from no repository of R packages: {listed}",
            file=file,
            line=_line(next(iter(others)), text),
            hint="take them out of the lock, and install them in install.R: remotes::install_github(...)",
        )


def _line(name: str, text: str) -> int | None:
    """The line on which a package's table begins."""
    form = re.compile(rf'\s*"{re.escape(name)}"\s*:\s*\{{')
    return next((number for number, line in enumerate(text.splitlines(), start=1) if form.match(line)), None)
