"""Finding locked packages again: where the sources of this machine have the files that a lock names by their hashes."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

import tomli

from ocibuild.core.asks import PipAsks
from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.explanation import explained
from ocibuild.ecosystem.pip.question import Question, merged, uv_for
from ocibuild.ecosystem.pip.requirements_file import Requirements, read_requirements
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.ecosystem.pip.sources import AddressBook, Sources
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.net.address import split_userinfo

__all__ = ["locate"]


def locate(
    packages: Sequence[LockedPackage],
    target: PythonTarget,
    settings: IndexSettings,
    *,
    folder: Path,
    cache_folder: Path,
    environment: Mapping[str, str],
    asks: PipAsks = PipAsks(),  # noqa: B008 - frozen
    variables: Mapping[str, str] = MappingProxyType({}),
    offline: bool = False,
) -> PipResolution:
    """The same packages with the sources and paths of this machine, whatever its indexes are, and their addresses.

    Nothing is resolved: every file is found by name, version and SHA-256. What is only for fetching changes (``source``
    and ``path``); a lock keeps the packages as they are in it. ``asks`` are those of the repository, for the indexes
    and credentials that its files name; the other arguments are those of :func:`.resolve.resolve`.

    A BuildError names the files that no index has any more; errors of the network are as in resolving.
    """
    requirements = read_requirements(asks, folder=folder, variables=variables)
    settings = merged(settings, requirements)
    sources = Sources.of(settings)
    book = AddressBook()
    of_index = [package for package in packages if _is_of_index(package)]
    with tempfile.TemporaryDirectory(prefix="ocibuild-pip-") as scratch:
        uv = uv_for(
            settings,
            sources,
            requirements,
            folder=Path(scratch),
            cache_folder=cache_folder,
            environment=environment,
        )
        question = Question(uv, target, settings, sources, requirements, {}, None, offline)
        found = _urls(question, of_index)
    missing = [package.identity for package in of_index if package.digest.hex not in found]
    if missing:
        raise BuildError(
            f"no index of this machine has the locked file of {', '.join(missing)}",
            hint="the index deleted or replaced it, or another index is needed; --refresh resolves anew",
        )
    located = []
    for package in packages:
        if _is_of_index(package):
            url = found[package.digest.hex]
            source, path = book.of_index(url, sources.named("", url))
        elif package.source.partition(".")[0] == "git":
            source, path = package.source, package.path
        elif package.source == "file":
            source, path = book.of_local(unquote(package.path), folder)
        else:
            source, path = book.of_url(_direct_url(package, requirements))
        located.append(replace(package, source=source, path=path))
    return PipResolution(tuple(located), dict(book.addresses))


def _is_of_index(package: LockedPackage) -> bool:
    return package.source.partition(".")[0] not in ("file", "git", "url", "url-1")


def _direct_url(package: LockedPackage, requirements: Requirements) -> str:
    """The URL that the repository names, which may hold credentials; else the lock's own."""
    asked = [
        each.url
        for each in requirements.required
        if each.url and (each.name == package.name or split_userinfo(each.url)[0].endswith(package.path))
    ]
    if not asked and package.source != "url":
        raise BuildError(
            f"{package.identity} was asked for by a URL with credentials, which no lock holds",
            hint="keep the line in the requirements file",
        )
    return asked[0] if asked else package.path


def _urls(question: Question, packages: Sequence[LockedPackage]) -> dict[str, str]:
    """SHA-256 -> URL of the files that the indexes have for these exact versions."""
    if not packages:
        return {}
    answer = question.ask_pins([f"{package.name}=={package.version}" for package in packages])
    if not answer.is_done:
        raise explained(answer, ())
    found = tomli.loads(answer.output).get("packages", ())
    files = [
        file for each in found for file in (*each.get("wheels", ()), *([each["sdist"]] if "sdist" in each else []))
    ]
    return {
        file["hashes"]["sha256"]: file.get("url") or Path(file["path"]).absolute().as_uri()
        for file in files
        if "sha256" in file.get("hashes", {})
    }
