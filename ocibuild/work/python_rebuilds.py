"""Wheels of a lock: a package that was built is built again, of the same source and in the same environment."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from ocibuild.core.asks import PipAsks
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, RepositoryError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.pip.built_lock import recorded_requirements
from ocibuild.ecosystem.pip.requirements_file import Requirements
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind, is_built
from ocibuild.net.address import split_userinfo
from ocibuild.work.python_wheels import WheelMaker

__all__ = ["LockedWheels", "environment_packages"]

Locate = Callable[[Sequence[LockedPackage]], PipResolution]
Maker = Callable[[Callable[[PipAsks], PipResolution]], WheelMaker]


@dataclass(frozen=True, slots=True)
class LockedWheels:
    """Makes sure that the wheels of built packages are in the store.

    ``locate`` finds locked files on this machine's indexes; ``maker`` gives a maker of wheels whose build environments
    come from the function that it is given. ``requirements`` are the repository's, for addresses with credentials.
    """

    locate: Locate
    maker: Maker
    requirements: Requirements
    events: EventSink

    def rebuilt(self, packages: Sequence[LockedPackage]) -> tuple[LockedPackage, ...]:
        """The packages, each built one with the wheel that this machine has of it.

        That is the locked one wherever it is in the store, or builds give the same bytes twice; where they do not, the
        user is told. An IntegrityError where a source is not the locked one any more; a RepositoryError where a folder
        of the repository, which no lock pins, has other dependencies now.
        """
        return tuple(self._rebuilt(package) if is_built(package) else package for package in packages)

    def _rebuilt(self, package: LockedPackage) -> LockedPackage:
        source = self._source(package)
        maker = self.maker(lambda _: self._environment(package))
        built = maker.wheel(source, expected=Digest.sha256(package.fields["wheel"]))
        is_folder = source.kind is SourceKind.FOLDER
        if not is_folder and built.source_digest != package.digest:
            raise IntegrityError(f"{source}: its source is {built.source_digest}, and the lock is for {package.digest}")
        if is_folder and recorded_requirements(built.metadata) != package.fields.get("requires_dist"):
            raise RepositoryError(
                f"{source} has other dependencies than when the lock was made",
                hint="'ocibuild lock' resolves again and writes the lock anew",
            )
        wheel = built.digest.hex
        if wheel != package.fields["wheel"] and not is_folder:
            self.events(Notice(f"the wheel built of {source} differs from the locked one: its build varies"))
        fields = {**package.fields, "wheel": wheel, "filename": built.file_name}
        if built.changes is not None:
            fields["changes"] = built.changes.hex
        return replace(package, version=built.metadata.version, digest=built.source_digest, fields=fields)

    def _environment(self, package: LockedPackage) -> PipResolution:
        """The packages of the build's environment where this machine finds them, those that are built, built again."""
        found = self.locate(environment_packages(package))
        return replace(found, packages=self.rebuilt(found.packages))

    def _source(self, package: LockedPackage) -> PythonSource:
        fields = package.fields
        source = PythonSource(
            SourceKind(fields["built_from"]),
            name=package.name,
            subdirectory=fields.get("subdirectory", ""),
            is_editable="editable" in fields,
            settings=tuple((key, value) for key, value in json.loads(fields.get("settings", "[]"))),
            why=package.why,
        )
        kind = package.source.partition(".")[0]
        if kind == "file":
            return replace(source, local_path=unquote(package.path))
        if kind == "git":
            url, _, commit = package.path.removeprefix("git+").rpartition("@")
            return replace(source, url=self._with_credentials(url), revision=commit)
        found = self.locate([package])
        url = found.addresses[found.packages[0].source] + found.packages[0].path
        is_of_index = kind not in ("url", "url-1")
        version = package.version if is_of_index else ""
        sha256 = package.digest.hex
        return replace(source, url=url, version=version, sha256=sha256, is_of_index=is_of_index)

    def _with_credentials(self, url: str) -> str:
        """The address as the repository names it, which may hold what no lock does."""
        asked = [each.source.url for each in self.requirements.required if each.source is not None]
        return next((each for each in asked if split_userinfo(each)[0] == url), url)


def environment_packages(package: LockedPackage) -> tuple[LockedPackage, ...]:
    """The packages of the build environment of a built package, as its lock entry lists them."""
    return tuple(_recalled(each) for each in json.loads(package.fields.get("built_with", "[]")))


def _recalled(value: Mapping[str, Any]) -> LockedPackage:
    return LockedPackage(
        ecosystem=Ecosystem.PIP,
        name=value["name"],
        version=value["version"],
        architecture="",
        source=value.get("source", "pypi"),  # any index that has this file will do
        path=value.get("path", ""),
        digest=Digest.sha256(value["sha256"]),
        fields=value.get("fields", {}),
    )
