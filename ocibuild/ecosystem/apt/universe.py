"""All package versions that a solver can choose from: several Packages indexes and dpkg's status.

Everything that depends on the order of indexes and stanzas follows apt's cache generator (apt 2.6, pkgcachegen.cc and
deblistparser.cc), because apt's choice between equal providers follows from that order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.deb822 import Paragraph, read_paragraphs
from ocibuild.ecosystem.apt.first_mention import FirstMentions
from ocibuild.ecosystem.apt.package import (
    Dependency,
    DependencyKind,
    MultiArch,
    Package,
    PackageVersion,
    Target,
)
from ocibuild.ecosystem.apt.relation import Relation
from ocibuild.ecosystem.apt.stanzas import Stanza, Stanzas, merged_versions
from ocibuild.ecosystem.apt.version import compare, satisfies

__all__ = ["PackagesIndex", "Universe", "accepts"]

_ABSENT_STATES = frozenset({"not-installed", "config-files"})
_TRUE = frozenset({"yes", "true", "with", "on", "enable", "1"})


@dataclass(frozen=True, slots=True)
class PackagesIndex:
    """A Packages index as text, and the archive it belongs to."""

    archive: Archive
    text: str


class Universe:
    """Package versions by name and by what they provide. Unchanging; what it works out it keeps.

    ``architecture`` is the native one, in Debian's name, ``foreign_architectures`` those that ``dpkg
    --print-foreign-architectures`` lists. ``indexes`` are in the order of apt's sources. ``status`` is dpkg's status
    file (``""`` for an empty system), ``extended_states`` apt's file of that name. An ImageError where a stanza that is
    looked at is malformed.
    """

    def __init__(
        self,
        indexes: Sequence[PackagesIndex],
        *,
        architecture: str,
        foreign_architectures: tuple[str, ...] = (),
        status: str = "",
        extended_states: str = "",
    ) -> None:
        self.architecture = architecture
        self.architectures = (architecture, *foreign_architectures)
        self._stanzas = Stanzas()
        self._groups: dict[str, tuple[Package, ...]] = {}
        self._providers: dict[str, tuple[tuple[PackageVersion, str], ...]] = {}
        self._solutions: dict[Target, tuple[PackageVersion, ...]] = {}
        self._dependencies: dict[PackageVersion, tuple[Dependency, ...]] = {}
        self._provided_keys: dict[PackageVersion, tuple[str, ...]] = {}
        self._essential: dict[Package, bool] = {}
        self.indexes = tuple(indexes)
        self.archives = tuple(index.archive for index in indexes)
        for index in indexes:
            self._stanzas.add(index.text, index.archive)
        self._stanzas.add(status, None)
        self._extended_states = extended_states
        self._mentions = FirstMentions(
            [*(index.text for index in indexes), status], architecture, multiple=bool(foreign_architectures)
        )

    @property
    def names(self) -> Iterable[str]:
        """Every name of a package with a stanza, in the order of the indexes."""
        return self._stanzas.by_name

    def names_with(self, *texts: str) -> Iterator[str]:
        """The names, in their order, of which some stanza holds one of ``texts``: without reading any stanza."""
        for name, stanzas in self._stanzas.by_name.items():
            if any(stanza.holds(text) for stanza in stanzas for text in texts):
                yield name

    def is_known(self, name: str) -> bool:
        """Whether a package of this name has a stanza, or is provided by one."""
        return name in self._stanzas.by_name or name in self._stanzas.by_provided

    def group(self, name: str) -> tuple[Package, ...]:
        """The packages of this name that have versions, native architecture first; empty where there is none."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = self._read_group(name)
        return group

    def package(self, name: str, architecture: str) -> Package | None:
        """The package of this name on this architecture (``all`` and ``native`` are the native one)."""
        wanted = self.architecture if architecture in ("all", "native") else architecture
        return next((package for package in self.group(name) if package.architecture == wanted), None)

    def _read_group(self, name: str) -> tuple[Package, ...]:
        stanzas: dict[str, list[tuple[Stanza, Paragraph]]] = {}
        for stanza in self._stanzas.by_name.get(name, ()):
            fields = Paragraph.parse(stanza.text)
            architecture = fields.get("Architecture", "none")
            if "Version" in fields:
                native = architecture == "all"
                stanzas.setdefault(self.architecture if native else architecture, []).append((stanza, fields))
        order = {architecture: place for place, architecture in enumerate(self.architectures)}
        group = []
        for architecture in sorted(stanzas, key=lambda one: order.get(one, len(order))):
            package = Package(name, architecture, native=architecture == self.architecture)
            package.versions = merged_versions(package, stanzas[architecture])
            group.append(package)
        return tuple(group)

    @cached_property
    def _installed(self) -> tuple[Mapping[Package, PackageVersion], frozenset[Package]]:
        installed: dict[Package, PackageVersion] = {}
        held: set[Package] = set()
        for stanza in self._stanzas.installed:
            fields = Paragraph.parse(stanza.text)
            words = fields.get("Status", "").split()
            package = self.package(fields.get("Package", ""), fields.get("Architecture", "none"))
            if len(words) != len(("want", "flag", "state")) or package is None:
                continue
            if words[0] == "hold":
                held.add(package)
            if words[2] not in _ABSENT_STATES:
                installed[package] = next(
                    version
                    for version in package.versions
                    if any(one.text is stanza.text for one in version.occurrences)
                )
        return installed, frozenset(held)

    @property
    def installed(self) -> Mapping[Package, PackageVersion]:
        """The installed version of each installed package, in the order of the status file."""
        return self._installed[0]

    @property
    def held(self) -> frozenset[Package]:
        """Packages that dpkg's status holds."""
        return self._installed[1]

    @cached_property
    def automatically_installed(self) -> frozenset[Package]:
        """Packages that apt's extended_states marks as installed for others."""
        automatic: set[Package] = set()
        for fields in read_paragraphs(self._extended_states):
            if fields.get("Auto-Installed", "0") not in ("", "0"):
                wanted = fields.get("Architecture", "any")
                for package in self.group(fields.get("Package", "")):
                    if wanted in ("any", package.architecture) or (wanted == "all" and package.native):
                        automatic.add(package)
        return frozenset(automatic)

    def is_essential(self, package: Package) -> bool:
        """Whether any stanza of the package says ``Essential: yes``; apt itself counts as essential too."""
        known = self._essential.get(package)
        if known is None:
            known = self._essential[package] = package.name == "apt" or _flag(package, "Essential")
        return known

    def is_important(self, package: Package) -> bool:
        """Whether the package is protected from removal by ``Important: yes`` or ``Protected: yes``."""
        return package.name == "apt" or _flag(package, "Important", "Protected")

    def creation_order(self, package: Package) -> tuple[int, ...]:
        """Where apt's cache first meets the package, as a key: apt prefers the later one of equal providers."""
        return self._mentions.of(package.name, package.architecture)

    def providers(self, key: str) -> tuple[tuple[PackageVersion, str], ...]:
        """The versions that stand for a target key without being a version of that very package.

        With each the version that it provides (``""`` for an unversioned Provides). See deblistparser.cc,
        ParseProvides.
        """
        known = self._providers.get(key)
        if known is None:
            known = self._providers[key] = tuple(self._find_providers(key))
        return known

    def _find_providers(self, key: str) -> Iterator[tuple[PackageVersion, str]]:
        name, _, wanted = key.partition(":")
        specific = wanted.startswith(":")
        architecture = wanted.removeprefix(":")
        for version in self._providing(name):
            for item in version.provides:
                is_itself = version.name == name and version.package.architecture == architecture
                if item.name != name or (is_itself and item.version in ("", version.version)):
                    continue
                if self._provides_to(version, item, architecture, specific=specific):
                    yield version, item.version
        for package in self.group(name):
            for version in package.versions:
                if _stands_for(version, architecture, specific=specific):
                    yield version, version.version

    def _providing(self, name: str) -> Iterator[PackageVersion]:
        seen: set[PackageVersion] = set()
        for stanza in self._stanzas.by_provided.get(name, ()):
            owner = Paragraph.parse(stanza.text)["Package"]
            for package in self.group(owner):
                for version in package.versions:
                    if version not in seen and version.occurrences[0].text is stanza.text:
                        seen.add(version)
                        yield version

    def _provides_to(self, version: PackageVersion, item: Relation, architecture: str, *, specific: bool) -> bool:
        own = version.package.architecture
        if item.qualifier:
            return item.qualifier == architecture
        if architecture == "any":
            return version.multi_arch is MultiArch.ALLOWED
        if own == architecture:
            return True
        return not specific and version.multi_arch is MultiArch.FOREIGN and own in self.architectures

    def solutions(self, target: Target) -> tuple[PackageVersion, ...]:
        """Every version that satisfies ``target``: real ones first, then providers."""
        known = self._solutions.get(target)
        if known is None:
            known = self._solutions[target] = tuple(dict.fromkeys(self._find_solutions(target)))
        return known

    def _find_solutions(self, target: Target) -> Iterator[PackageVersion]:
        name, _, architecture = target.key.partition(":")
        package = None if architecture.startswith(":") else self.package(name, architecture)
        for version in package.versions if package else ():
            if accepts(target, version.version):
                yield version
        for version, provided in self.providers(target.key):
            if not target.operator or (provided and accepts(target, provided)):
                yield version

    def dependencies(self, version: PackageVersion) -> tuple[Dependency, ...]:
        """The relations of a version in apt's order, the implicit ones of Multi-Arch last."""
        known = self._dependencies.get(version)
        if known is None:
            known = self._dependencies[version] = tuple(self._read_dependencies(version))
        return known

    def _read_dependencies(self, version: PackageVersion) -> Iterator[Dependency]:
        for kind in DependencyKind:
            for group in version.relations(kind):
                text = " | ".join(map(str, group))
                if kind.is_negative:
                    for target in self._negative_targets(version, group[0]):
                        yield Dependency(kind, (target,), text)
                else:
                    yield Dependency(kind, tuple(self._target(version, one) for one in group), text)
        for sibling in self.group(version.name):
            if sibling is not version.package:
                same = version.multi_arch is MultiArch.SAME
                target = Target(sibling.key, "!=", version.version) if same else Target(sibling.key)
                kind = DependencyKind.BREAKS if same else DependencyKind.CONFLICTS
                yield Dependency(kind, (target,), sibling.key, is_implicit=True)

    def _target(self, version: PackageVersion, relation: Relation) -> Target:
        qualifier = self.architecture if relation.qualifier == "native" else relation.qualifier
        own = version.package.architecture
        suffix = f":{own}" if not qualifier else ":any" if qualifier == "any" else f"::{qualifier}"
        return Target(relation.name + suffix, relation.operator, relation.version)

    def _negative_targets(self, version: PackageVersion, relation: Relation) -> Iterator[Target]:
        if relation.qualifier:
            yield self._target(version, relation)
            return
        for architecture in dict.fromkeys(
            (*self.architectures, *(one.architecture for one in self.group(relation.name)))
        ):
            yield Target(f"{relation.name}:{architecture}", relation.operator, relation.version)

    def provided_keys(self, version: PackageVersion) -> tuple[str, ...]:
        """The target keys that the version stands for beside its own package's."""
        known = self._provided_keys.get(version)
        if known is None:
            known = self._provided_keys[version] = tuple(dict.fromkeys(self._read_provided_keys(version)))
        return known

    def _read_provided_keys(self, version: PackageVersion) -> Iterator[str]:
        own = version.package.architecture
        for item in version.provides:
            if item.qualifier:
                yield from (f"{item.name}:{item.qualifier}", f"{item.name}::{item.qualifier}")
                continue
            if version.multi_arch is MultiArch.FOREIGN:
                yield from (f"{item.name}:{architecture}" for architecture in self.architectures)
            yield from (f"{item.name}:{own}", f"{item.name}:any", f"{item.name}::{own}")
        if version.multi_arch is MultiArch.FOREIGN:
            yield from (f"{version.name}:{architecture}" for architecture in self.architectures)
        yield from (f"{version.name}:any", f"{version.name}::{own}")

    @cached_property
    def installed_by_source(self) -> Mapping[str, tuple[Package, ...]]:
        """Source package name -> installed packages of which some known version comes from that source."""
        by_source: dict[str, dict[Package, None]] = {}
        for package in self.installed:
            for version in package.versions:
                by_source.setdefault(version.source_package[0], {})[package] = None
        return {source: tuple(packages) for source, packages in by_source.items()}

    @cached_property
    def installed_dependants(self) -> Mapping[str, tuple[tuple[PackageVersion, Dependency, Target], ...]]:
        """Target key -> what of the installed versions depends on it (positive relations), latest stanza first."""
        dependants: dict[str, list[tuple[PackageVersion, Dependency, Target]]] = {}
        for version in sorted(self.installed.values(), key=lambda one: one.number, reverse=True):
            for dependency in self.dependencies(version):
                if not dependency.kind.is_negative:
                    for target in dependency.targets:
                        dependants.setdefault(target.key, []).append((version, dependency, target))
        return {key: tuple(found) for key, found in dependants.items()}


def _flag(package: Package, *names: str) -> bool:
    return any(
        Paragraph.parse(one.text).get(name, "no").lower() in _TRUE
        for version in package.versions
        for one in version.occurrences
        for name in names
    )


def _stands_for(version: PackageVersion, architecture: str, *, specific: bool) -> bool:
    """Whether a version provides its own name for another key than its package's."""
    if architecture == "any":
        return version.multi_arch is MultiArch.ALLOWED
    if specific:
        return version.package.architecture == architecture
    return version.multi_arch is MultiArch.FOREIGN and version.package.architecture != architecture


def accepts(target: Target, version: str) -> bool:
    """Whether a version, of the package itself or as it is provided, is one that ``target`` allows."""
    if not target.operator:
        return True
    if target.operator == "!=":
        return compare(version, target.version) != 0
    return satisfies(version, target.operator, target.version)
