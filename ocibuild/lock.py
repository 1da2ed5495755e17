"""The lock: what a build resolved, for each platform, without any address of a mirror and without credentials.

The form is JSON with sorted keys, one line a package, so that a change reads well in a diff. An image carries the lock
of its platform at ``/usr/share/ocibuild/lock.json``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform

__all__ = ["LOCK_PATH", "SCHEMA_VERSION", "Lock", "LockedSource", "PlatformLock"]

SCHEMA_VERSION = 1
LOCK_PATH = "usr/share/ocibuild/lock.json"
"""Where an image carries its lock."""


@dataclass(frozen=True, slots=True)
class LockedSource:
    """A source that packages came from: its name, what it is (``bookworm-security``), and the date it stated."""

    name: str
    description: str
    date: str = ""


@dataclass(frozen=True, slots=True)
class PlatformLock:
    """All that determines the image of one platform, but for the repository's own files.

    ``base`` is what was asked for (``apt:bookworm``, a reference); ``base_digest`` the manifest it resolved to, None
    for a base made of packages, which are then in ``base_packages``. ``target`` holds facts that placing depended on
    (``python`` -> ``3.11.2``). ``removals`` are packages of the base that are taken away (``name:architecture``).
    ``asks`` are what was asked for, as it was written but for its order: ``apt git``, ``pip numpy>=2``.
    """

    base: str
    base_digest: Digest | None = None
    base_packages: tuple[LockedPackage, ...] = ()
    packages: tuple[LockedPackage, ...] = ()
    removals: tuple[str, ...] = ()
    sources: tuple[LockedSource, ...] = ()
    target: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    asks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """The locks of one or more platforms."""

    platforms: Mapping[Platform, PlatformLock]

    @classmethod
    def parse(cls, text: str | bytes, *, file: str) -> "Lock":
        """Read a lock; a RepositoryError names ``file`` and what is wrong with it."""
        try:
            value = json.loads(text)
            version = value["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryError(f"not a lock of ocibuild: {error}", file=file) from error
        if version != SCHEMA_VERSION:
            raise RepositoryError(
                f"the lock has version {version!r}, and this program reads version {SCHEMA_VERSION}", file=file
            )
        try:
            platforms = {Platform.parse(name): _platform_lock(lock) for name, lock in value["platforms"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise RepositoryError(f"the lock is malformed: {error!r}", file=file) from error
        return cls(MappingProxyType(platforms))

    def to_text(self) -> str:
        """The lock as text; equal locks give equal text."""
        lines = ['{"version": 1,', ' "platforms": {']
        for number, (platform, lock) in enumerate(sorted(self.platforms.items())):
            lines.append(f"{',' if number else ''}  {json.dumps(str(platform))}: {{")
            lines.extend(_lines(_platform_json(lock)))
            lines.append("  }")
        return "\n".join([*lines, " }", "}"]) + "\n"


def _lines(value: Mapping[str, Any]) -> list[str]:
    """The members of an object, with the elements of a list on lines of their own."""
    members = []
    for key, member in value.items():
        if isinstance(member, list) and member:
            body = ",\n".join(f"     {json.dumps(element, sort_keys=True)}" for element in member)
            members.append(f"   {json.dumps(key)}: [\n{body}\n   ]")
        else:
            members.append(f"   {json.dumps(key)}: {json.dumps(member, sort_keys=True)}")
    return [",\n".join(members)]


def _platform_json(lock: PlatformLock) -> dict[str, Any]:
    return {
        "base": lock.base,
        "base_digest": str(lock.base_digest) if lock.base_digest else None,
        "target": dict(lock.target),
        "asks": list(lock.asks),
        "sources": [
            {"name": source.name, "description": source.description, "date": source.date} for source in lock.sources
        ],
        "removals": list(lock.removals),
        "base_packages": [_package_json(package) for package in lock.base_packages],
        "packages": [_package_json(package) for package in lock.packages],
    }


def _package_json(package: LockedPackage) -> dict[str, Any]:
    return {
        "ecosystem": package.ecosystem.value,
        "name": package.name,
        "version": package.version,
        "architecture": package.architecture,
        "source": package.source,
        "path": package.path,
        "sha256": package.digest.hex,
        "size_bytes": package.size_bytes,
        "requested": package.requested,
        "why": list(package.why),
        "fields": dict(package.fields),
    }


def _platform_lock(value: Mapping[str, Any]) -> PlatformLock:
    digest = value["base_digest"]
    return PlatformLock(
        base=str(value["base"]),
        base_digest=Digest.parse(digest) if digest else None,
        base_packages=tuple(map(_package, value["base_packages"])),
        packages=tuple(map(_package, value["packages"])),
        removals=tuple(map(str, value["removals"])),
        sources=tuple(LockedSource(s["name"], s["description"], s["date"]) for s in value["sources"]),
        target=MappingProxyType({str(key): str(fact) for key, fact in value["target"].items()}),
        asks=tuple(map(str, value["asks"])),
    )


def _package(value: Mapping[str, Any]) -> LockedPackage:
    size = value["size_bytes"]
    return LockedPackage(
        ecosystem=Ecosystem(value["ecosystem"]),
        name=str(value["name"]),
        version=str(value["version"]),
        architecture=str(value["architecture"]),
        source=str(value["source"]),
        path=str(value["path"]),
        digest=Digest.sha256(value["sha256"]),
        size_bytes=None if size is None else int(size),
        requested=bool(value["requested"]),
        why=tuple(map(str, value["why"])),
        fields=MappingProxyType({str(key): str(text) for key, text in value["fields"].items()}),
    )
