"""One wheel a package, out of the PEP 751 document that uv gives, as the lock records it.

Sources: PEP 751, PEP 610 (``direct_url.json``), and pip's "Hash-checking Mode".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import tomli
from packaging.markers import Marker
from packaging.pylock import Package, PackageArchive, PackageWheel, Pylock, PylockSelectError, PylockValidationError
from packaging.utils import parse_wheel_filename

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, MachineError, RepositoryError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.pip.requirement import PipRequirement
from ocibuild.ecosystem.pip.requirements_file import Requirements
from ocibuild.ecosystem.pip.sources import AddressBook, Sources
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.net.address import split_userinfo

if TYPE_CHECKING:
    from packaging.markers import Environment

__all__ = ["Annotation", "Selection", "read_annotations"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What uv writes beside a pinned package: the packages that need it, and the index it is from."""

    dependants: tuple[str, ...] = ()
    index_url: str = ""


def read_annotations(text: str) -> dict[str, Annotation]:
    """Read ``uv pip compile --format requirements.txt --annotation-style split --emit-index-annotation``."""
    annotations: dict[str, Annotation] = {}
    name, index_url = "", ""
    dependants: list[str] = []
    for line in [*text.splitlines(), "end"]:
        if not line.startswith((" ", "#")) and line.strip():
            if name:
                annotations[name] = Annotation(tuple(sorted(dependants)), index_url)
            name, dependants, index_url = re.split(r"[=\s\[@;<>!~]", line, maxsplit=1)[0], [], ""
            continue
        comment = line.strip().removeprefix("#").strip()
        if comment.startswith("from "):
            index_url = comment.removeprefix("from ")
        elif found := re.fullmatch(r"(?:via )?([a-z0-9][a-z0-9-]*)(?:\[[^\]]*\])?", comment):
            dependants.append(found[1])
    return annotations


@dataclass(slots=True)
class Selection:
    """Reads the document for one target and one set of requirements."""

    requirements: Requirements
    target: PythonTarget
    sources: Sources
    folder: Path
    folder_in_image: str
    require_hashes: bool
    _book: AddressBook = field(default_factory=AddressBook)

    def read(
        self, text: str, annotations: Mapping[str, Annotation]
    ) -> tuple[tuple[LockedPackage, ...], Mapping[str, str]]:
        """The packages sorted by name, and the address of each source that they name."""
        document = tomli.loads(text)
        requires = _inverted(annotations)
        if self.require_hashes:
            self._keep_hashed(document, requires)
        try:
            lock = Pylock.from_dict(document)
            chosen = list(lock.select(environment=self.target.environment(), tags=self.target.tags()))
        except (PylockValidationError, PylockSelectError) as error:
            raise BuildError(f"uv's answer cannot be used: {error}") from error
        packages = [
            self._locked(package, artifact, annotations.get(package.name, Annotation()), requires)
            for package, artifact in chosen
        ]
        return tuple(sorted(packages, key=lambda each: each.name)), dict(self._book.addresses)

    # Hashes.

    def _keep_hashed(self, document: dict[str, Any], requires: Mapping[str, set[str]]) -> None:
        """Drop the files that no hash of the requirements allows; every package that the files need must keep one."""
        files = [line for line in (*self.requirements.required, *self.requirements.constraints) if line.in_file]
        for requirement in self.requirements.required:
            if requirement.in_file and not requirement.is_exact:
                raise _at(requirement, f"{requirement.text} must be pinned with == where hashes are required")
        needed = _reachable({line.name for line in files}, requires)
        for package in document.get("packages", ()):
            if package["name"] in needed:
                self._keep_allowed(package, [line for line in files if line.name == package["name"]])

    def _keep_allowed(self, package: dict[str, Any], lines: list[PipRequirement]) -> None:
        allowed = {value for line in lines for value in line.hashes}
        where = f"{package['name']}=={package.get('version', '')}".removesuffix("==")
        if not allowed:
            message = f"hashes are required, and none is given for {where}"
            raise _at(lines[0], message) if lines else RepositoryError(message, hint=_HASH_HINT)
        artifacts = [*package.get("wheels", ()), *([package["archive"]] if "archive" in package else [])]
        kept = [each for each in artifacts if _hashes(each) & allowed]
        if not kept:
            found = sorted({value for each in artifacts for value in _hashes(each)})
            raise _at(
                lines[0],
                f"no file of {where} for this target has a hash that is given here; "
                f"the index says {', '.join(found) or 'nothing'}",
            )
        if "archive" not in package:
            package["wheels"] = kept

    # From a selected artifact to a locked package.

    def _locked(
        self, package: Package, artifact: object, annotation: Annotation, requires: Mapping[str, set[str]]
    ) -> LockedPackage:
        if not isinstance(artifact, PackageWheel | PackageArchive):
            raise MachineError(
                f"{package.name} has no wheel for {self.target.description}",
                hint="it would have to be built from source: ask for a version that has a wheel",
            )
        url = artifact.url or Path(artifact.path or "").absolute().as_uri()
        asked = [each for each in self.requirements.required if each.name == package.name and self._applies(each)]
        direct = next((each for each in asked if each.url), None)
        file_name = _file_name(artifact, url)
        if "sha256" not in artifact.hashes:
            raise BuildError(f"the index gives no SHA-256 of {file_name}")
        source, path = self._located(artifact, url, direct, annotation)
        version, tags = parse_wheel_filename(file_name)[1], parse_wheel_filename(file_name)[3]
        if isinstance(artifact, PackageArchive) and not tags & set(self.target.tags()):
            raise _at(direct, f"{file_name} is not for {self.target.description}")
        fields = {"filename": file_name, "requires": " ".join(sorted(requires.get(package.name, ())))}
        is_direct = isinstance(artifact, PackageArchive)
        direct_url = self._direct_url(direct, url, artifact.hashes["sha256"]) if is_direct else ""
        return LockedPackage(
            ecosystem=Ecosystem.PIP,
            name=package.name,
            version=str(package.version or version),
            architecture="any" if all(tag.platform == "any" for tag in tags) else self.target.platform.architecture,
            source=source,
            path=path,
            digest=Digest.sha256(artifact.hashes["sha256"]),
            size_bytes=_size_of(artifact, url),
            requested=bool(asked),
            why=tuple(dict.fromkeys(str(each.origin) for each in asked)) or annotation.dependants,
            fields=fields | ({"direct_url": direct_url} if direct_url else {}),
        )

    def _located(
        self,
        artifact: PackageWheel | PackageArchive,
        url: str,
        direct: PipRequirement | None,
        annotation: Annotation,
    ) -> tuple[str, str]:
        if direct is not None and direct.local_path:
            return self._book.of_local(direct.local_path, self.folder)
        if isinstance(artifact, PackageArchive):
            if url.startswith("file:"):  # a wheel's own metadata may ask for anything
                raise RepositoryError(f"a package asks for {url}, which is not in the repository")
            return self._book.of_url(direct.url if direct else url)
        return self._book.of_index(url, self.sources.named(annotation.index_url, url))

    def _direct_url(self, direct: PipRequirement | None, url: str, sha256: str) -> str:
        """What pip would record of a package that was asked for by its URL; the local path is the image's."""
        if direct is not None and direct.local_path:
            if not self.folder_in_image:
                return ""
            url = Path(f"{self.folder_in_image}/{direct.local_path}").as_uri()
        else:
            url = split_userinfo(url)[0]
        value = {"archive_info": {"hash": f"sha256={sha256}", "hashes": {"sha256": sha256}}, "url": url}
        return json.dumps(value, sort_keys=True)

    def _applies(self, requirement: PipRequirement) -> bool:
        return not requirement.marker or Marker(requirement.marker).evaluate(_plain(self.target.environment()))


_HASH_HINT = "make the file with a tool that lists dependencies too, such as uv pip compile --generate-hashes"


def _plain(environment: "Environment") -> dict[str, str]:
    return {name: str(value) for name, value in environment.items()}


def _at(requirement: PipRequirement | None, message: str) -> RepositoryError:
    origin = requirement.origin if requirement else None
    return RepositoryError(message, file=origin.file if origin else None, line=origin.line if origin else None)


def _hashes(artifact: Mapping[str, Any]) -> set[str]:
    return {f"{kind}:{value}" for kind, value in artifact.get("hashes", {}).items()}


def _reachable(names: set[str], requires: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        found |= waiting
        waiting = {each for name in waiting for each in requires.get(name, ())} - found
    return found


def _file_name(artifact: PackageWheel | PackageArchive, url: str) -> str:
    named = artifact.name if isinstance(artifact, PackageWheel) else None
    return named or unquote(urlsplit(url).path.rpartition("/")[2])


def _size_of(artifact: PackageWheel | PackageArchive, url: str) -> int | None:
    """What the index says, or what a local file has."""
    if artifact.size is None and url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        return path.stat().st_size if path.is_file() else None
    return artifact.size


def _inverted(annotations: Mapping[str, Annotation]) -> dict[str, set[str]]:
    requires: dict[str, set[str]] = {}
    for name, annotation in annotations.items():
        for dependant in annotation.dependants:
            requires.setdefault(dependant, set()).add(name)
    return requires
