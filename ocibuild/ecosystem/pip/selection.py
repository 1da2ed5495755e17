"""One file a package, out of the PEP 751 document that uv gives, as the lock records it.

Sources: PEP 751, PEP 610 (``direct_url.json``), and pip's "Hash-checking Mode".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import tomli
from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.utils import parse_wheel_filename

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, RepositoryError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.pip.built import BuiltWheel
from ocibuild.ecosystem.pip.built_lock import built_direct_url, located_directly, locked_built
from ocibuild.ecosystem.pip.hash_checking import error_at, keep_hashed
from ocibuild.ecosystem.pip.requirement import PipRequirement
from ocibuild.ecosystem.pip.requirements_file import Requirements
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind
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
        elif comment == "via":  # the head of a list
            continue
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
    direct: Mapping[str, BuiltWheel] = field(default_factory=dict)
    built: Mapping[str, BuiltWheel] = field(default_factory=dict)
    missing: list[PythonSource] = field(default_factory=list)
    _book: AddressBook = field(default_factory=AddressBook)

    def read(
        self, text: str, annotations: Mapping[str, Annotation]
    ) -> tuple[tuple[LockedPackage, ...], Mapping[str, str]]:
        """The packages sorted by name, and the address of each source that they name.

        ``direct`` are the wheels, by name, that were built of what requirements name directly. ``built`` are others, by
        the keys of their sources; sources of an index that are not among them are added to
        ``missing``, and their packages left out.
        """
        document = tomli.loads(text)
        requires = _inverted(annotations)
        if self.require_hashes:
            keep_hashed(document, self.requirements, requires, self.direct)
        try:
            lock = Pylock.from_dict(document)
            chosen = list(
                lock.select(
                    environment=self.target.environment(),
                    tags=self.target.tags(),
                    prefer_sdist_predicate=lambda name: not self.requirements.formats.allows_wheels(name),
                )
            )
        except (PylockValidationError, PylockSelectError) as error:
            raise BuildError(f"uv's answer cannot be used: {error}") from error
        found = [
            self._locked(package, artifact, annotations.get(package.name, Annotation()), requires)
            for package, artifact in chosen
        ]
        packages = [package for package in found if package is not None]
        return tuple(sorted(packages, key=lambda each: each.name)), dict(self._book.addresses)

    # From a selected artifact to a locked package.

    def _locked(
        self, package: Package, artifact: object, annotation: Annotation, requires: Mapping[str, set[str]]
    ) -> LockedPackage | None:
        fields = {"requires": " ".join(sorted(requires.get(package.name, ())))}
        asked = [each for each in self.requirements.required if each.name == package.name and self._applies(each)]
        why = tuple(dict.fromkeys(str(each.origin) for each in asked)) or annotation.dependants
        built = self.direct.get(package.name)
        if built is not None:
            place = located_directly(built.source, built, self._book, self.folder)
            direct_url = built_direct_url(built, self.folder_in_image)
            return self._of_built(built, place, asked, why, fields | {"direct_url": direct_url})
        if isinstance(artifact, PackageSdist):
            place = self._located(artifact, _url_of(artifact), None, annotation)
            source = self._source(package, artifact, place, asked, why)
            built = self.built.get(source.key)
            if built is None:
                self.missing.append(source)
                return None
            return self._of_built(built, place, asked, why, fields)
        if not isinstance(artifact, PackageWheel | PackageArchive):
            raise BuildError(f"uv's answer has {package.name} in a form that was not asked for")
        url = _url_of(artifact)
        direct = next((each for each in asked if each.url), None)
        file_name = _file_name(artifact, url)
        if "sha256" not in artifact.hashes:
            raise BuildError(f"the index gives no SHA-256 of {file_name}")
        source_name, path = self._located(artifact, url, direct, annotation)
        version, tags = parse_wheel_filename(file_name)[1], parse_wheel_filename(file_name)[3]
        if isinstance(artifact, PackageArchive) and not tags & set(self.target.tags()):
            raise error_at(direct, f"{file_name} is not for {self.target.description}")
        is_direct = isinstance(artifact, PackageArchive)
        direct_url = self._direct_url(direct, url, artifact.hashes["sha256"]) if is_direct else ""
        return LockedPackage(
            ecosystem=Ecosystem.PIP,
            name=package.name,
            version=str(package.version or version),
            architecture="any" if all(tag.platform == "any" for tag in tags) else self.target.platform.architecture,
            source=source_name,
            path=path,
            digest=Digest.sha256(artifact.hashes["sha256"]),
            size_bytes=_size_of(artifact, url),
            requested=bool(asked),
            why=why,
            fields={"filename": file_name, **fields} | ({"direct_url": direct_url} if direct_url else {}),
        )

    def _of_built(
        self,
        built: BuiltWheel,
        place: tuple[str, str],
        asked: list[PipRequirement],
        why: tuple[str, ...],
        fields: Mapping[str, str],
    ) -> LockedPackage:
        architecture = self.target.platform.architecture
        return locked_built(built, place, requested=bool(asked), why=why, fields=fields, architecture=architecture)

    def _source(
        self,
        package: Package,
        artifact: PackageSdist,
        place: tuple[str, str],
        asked: list[PipRequirement],
        why: tuple[str, ...],
    ) -> PythonSource:
        """The source archive of an index, whose address may hold the index's credentials."""
        return PythonSource(
            SourceKind.ARCHIVE,
            name=package.name,
            version=str(package.version),
            url=self._book.addresses[place[0]] + place[1],
            sha256=artifact.hashes.get("sha256", ""),
            size_bytes=artifact.size,
            is_of_index=True,
            settings=tuple(pair for each in asked for pair in each.settings),
            why=why,
        )

    def _located(
        self,
        artifact: PackageWheel | PackageArchive | PackageSdist,
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


def _plain(environment: "Environment") -> dict[str, str]:
    return {name: str(value) for name, value in environment.items()}


def _url_of(artifact: PackageWheel | PackageArchive | PackageSdist) -> str:
    return artifact.url or Path(artifact.path or "").absolute().as_uri()


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
