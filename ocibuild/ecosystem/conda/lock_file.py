"""Locks that other tools made: ``conda-lock.yml``, ``pixi.lock``, and lists of URLs that begin with ``@EXPLICIT``.

Sources: conda's documentation, "Building identical conda environments" (explicit lists); conda-lock's format 1 and
pixi's formats 4 to 7, which rattler reads.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ocibuild.core.asks import CondaLockFile, Origin, PipAsks, RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.channel import without_credentials
from ocibuild.ecosystem.conda.record import NOARCH
from ocibuild.ecosystem.conda.selection import locked_packages
from ocibuild.ecosystem.conda.solver import Record, Solver, load_rattler, reading_errors
from ocibuild.ecosystem.conda.target import CondaTarget

__all__ = ["LockFilePackages", "lock_for", "read_lock_file"]

_FILE_NAMES = {"conda-lock": "conda-lock.yml", "pixi": "pixi.lock"}
_PACKAGE_URL = re.compile(
    r"(?P<channel>[a-z]+://.+)/(?P<subdir>[a-z0-9-]+)"
    r"/(?P<file>(?P<name>[^/]+)-(?P<version>[^/-]+)-(?P<build>[^/-]+)\.(?:conda|tar\.bz2))"
)
_HASH = re.compile(r"(?P<md5>[0-9a-f]{32})|(?:sha256:)?(?P<sha256>[0-9a-f]{64})")
_PYPI_HOST = re.compile(r"https?://[^/]*pythonhosted\.org/")


@dataclass(frozen=True, slots=True)
class LockFilePackages:
    """The conda packages, and the Python packages as requirements that are pinned, with hashes."""

    packages: tuple[LockedPackage, ...]
    pip: PipAsks = field(default_factory=PipAsks)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A conda package as a lock lists it; ``record`` may lack everything but what its URL says."""

    record: Record
    origin: Origin


def lock_for(locks: Sequence[CondaLockFile], target: CondaTarget) -> CondaLockFile:
    """The lock for the target's platform; a RepositoryError where there are only others."""
    found = next((lock for lock in locks if lock.subdir in ("", target.subdir)), None)
    if found is None:
        raise RepositoryError(
            f"there are locks for {', '.join(lock.subdir for lock in locks)}, and none for {target.subdir}",
            file=locks[0].path,
            hint="lock for this platform too",
        )
    return found


def read_lock_file(lock: CondaLockFile, solver: Solver) -> LockFilePackages:
    """The packages of the lock for the solver's target; the channels of its URLs are added to the solver's.

    Nothing is resolved. A channel is asked only for a package of which the lock has no SHA-256 but an MD5. A
    RepositoryError names the lock and, where there is one, the line: for what is malformed, for another platform, for a
    hash that the channel contradicts, and for a package that needs what the target lacks.
    """
    pip = PipAsks()
    if lock.kind == "explicit":
        listed = list(_explicit(lock, solver))
    else:
        listed, pip = _from_rattler(lock, solver)
    _refuse_twice(listed)
    records = _with_digests([_at_channel(each, solver) for each in listed], solver)
    unmet = solver.unmet(records)
    if unmet:
        name, text = unmet[0]
        system = ", ".join(f"{name} {version}" for name, version, _ in solver.target.virtual_packages())
        raise RepositoryError(
            f"{name} needs {text}, and the image has {system}",
            file=lock.path,
            hint="lock for this system, or choose another base",
        )
    return LockFilePackages(locked_packages(records, (), solver.channels, solver.target, why=lock.path), pip)


def _refuse_twice(listed: Sequence[_Listed]) -> None:
    """A RepositoryError where two packages have one name: an environment has one of each."""
    first: dict[str, _Listed] = {}
    for each in listed:
        found = _PACKAGE_URL.fullmatch(str(each.record["url"]))
        name = found["name"] if found else ""
        if first.setdefault(name, each).record["url"] != each.record["url"] and name:
            raise _at(each.origin, f"{name} is in it twice, in different versions or builds")


def _at_channel(listed: _Listed, solver: Solver) -> _Listed:
    """The package where this machine has its channel, which may be a mirror."""
    found = _PACKAGE_URL.fullmatch(str(listed.record["url"]))
    if found is None:
        raise _at(listed.origin, f"{without_credentials(str(listed.record['url']))} is no conda package's address")
    if found["subdir"] not in (solver.target.subdir, NOARCH):
        raise _at(listed.origin, f"{found['file']} is for {found['subdir']}, and the image for {solver.target.subdir}")
    channel = solver.channels.include(found["channel"], listed.origin)
    own = {"fn": found["file"], "name": found["name"], "version": found["version"], "build": found["build"]}
    place = {"subdir": found["subdir"], "url": f"{channel.address}{found['subdir']}/{found['file']}"}
    return _Listed({**own, **listed.record, **place}, listed.origin)


def _with_digests(listed: Sequence[_Listed], solver: Solver) -> list[Record]:
    """The records, those without a SHA-256 as their channel has them."""
    missing = {str(each.record["url"]) for each in listed if "sha256" not in each.record}
    known: dict[str, Record] = {}
    if missing:
        names = [str(each.record["name"]) for each in listed if each.record["url"] in missing]
        known = {str(record["url"]): record for record in solver.find(names, missing.__contains__)}
    records = []
    for each in listed:
        record = each.record if each.record["url"] not in missing else known.get(str(each.record["url"]))
        if record is None:
            raise _at(
                each.origin,
                f"the channel has no {each.record['fn']} any more, and no SHA-256 of it is given",
                hint="lock anew, with a tool that writes SHA-256",
            )
        said, has = each.record.get("md5"), record.get("md5")
        if said and has and said != has:
            raise _at(each.origin, f"{record['fn']} has the MD5 {said} here, and {has} in its channel")
        records.append(record)
    return records


# Explicit lists.


def _explicit(lock: CondaLockFile, solver: Solver) -> Iterator[_Listed]:
    for number, line in enumerate(lock.text.splitlines(), start=1):
        origin = Origin(lock.path, number)
        text = line.strip()
        platform = re.fullmatch(r"#\s*platform:\s*(\S+)", text)
        if platform and platform[1] != solver.target.subdir:
            raise _at(origin, f"the list is for {platform[1]}, and the image for {solver.target.subdir}")
        if not text or text.startswith("#") or text == "@EXPLICIT":
            continue
        url, _, digest = text.partition("#")
        found = _HASH.fullmatch(digest.lower())
        if digest and found is None:
            raise _at(origin, f"{digest!r} is neither an MD5 nor a SHA-256")
        if found is None:
            raise _at(
                origin,
                f"no hash is given of {without_credentials(url)}",
                hint="make the list with conda list --explicit --sha256",
            )
        kind = "md5" if found["md5"] else "sha256"
        yield _Listed({"url": url, kind: found[kind]}, origin)


# What rattler reads.


def _from_rattler(lock: CondaLockFile, solver: Solver) -> tuple[list[_Listed], PipAsks]:
    origin = Origin(lock.path)
    rattler = load_rattler()
    listed, lines = [], []
    try:
        environment, platform = _environment(rattler, lock, solver)
        for package in environment.packages(platform) or ():
            kind = type(package).__name__
            if kind == "PypiLockedPackage":
                lines.append(_requirement(package))
            elif kind == "CondaLockedBinaryPackage":
                record: Record = json.loads(package.repo_data_record().to_json())
                listed.append(_Listed(record, origin))
            else:
                raise _at(origin, f"{package.name} is locked as source, and would have to be built")
    except reading_errors(rattler) as error:
        raise _at(origin, f"not a lock that can be read: {error}") from error
    text = "".join(f"{line}\n" for line in lines)
    return listed, PipAsks(files=(RequirementsFile(lock.path, text),)) if lines else PipAsks()


def _environment(rattler: ModuleType, lock: CondaLockFile, solver: Solver) -> tuple[Any, Any]:
    """The environment of the lock that is meant, and its platform that is the target's."""
    with tempfile.TemporaryDirectory(prefix="ocibuild-conda-") as scratch:
        path = Path(scratch) / _FILE_NAMES[lock.kind]
        path.write_text(lock.text, encoding="utf-8")
        environments = dict(rattler.LockFile.from_path(path).environments())
    environment = environments.get(lock.environment)
    if environment is None:
        raise RepositoryError(
            f"it has no environment {lock.environment!r}, but {', '.join(sorted(environments)) or 'none at all'}",
            file=lock.path,
        )
    platforms = list(environment.platforms())
    for platform in platforms:
        if str(platform.subdir) == solver.target.subdir:
            return environment, platform
    raise RepositoryError(
        f"it is for {', '.join(sorted(str(each.subdir) for each in platforms))}, and not for {solver.target.subdir}",
        file=lock.path,
        hint="lock for this platform too",
    )


def _requirement(package: Any) -> str:
    """A Python package as a line of a requirements file; what is on an index by its version, all else by its URL."""
    digest = package.hashes.sha256 if package.hashes is not None else None
    if digest is not None and _PYPI_HOST.match(package.location):
        return f"{package.name}=={package.version} --hash=sha256:{digest.hex()}"
    return f"{package.name} @ {package.location}"


def _at(origin: Origin, message: str, *, hint: str | None = None) -> RepositoryError:
    return RepositoryError(message, file=origin.file, line=origin.line, hint=hint)
