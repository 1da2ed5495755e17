"""Packages and their versions, read from stanzas only as far as they are looked at."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.deb822 import Paragraph
from ocibuild.ecosystem.apt.relation import Relation, parse_groups, parse_provides

__all__ = ["Dependency", "DependencyKind", "MultiArch", "Occurrence", "Package", "PackageVersion", "Target"]


class MultiArch(Enum):
    """The Multi-Arch field (https://wiki.ubuntu.com/MultiarchSpec)."""

    NO = "no"
    SAME = "same"
    FOREIGN = "foreign"
    ALLOWED = "allowed"


class DependencyKind(Enum):
    """A relation field that the solver follows, in the order in which apt reads a stanza."""

    PRE_DEPENDS = "Pre-Depends"
    DEPENDS = "Depends"
    CONFLICTS = "Conflicts"
    BREAKS = "Breaks"
    RECOMMENDS = "Recommends"
    SUGGESTS = "Suggests"

    @property
    def is_negative(self) -> bool:
        """True for relations that demand an absence."""
        return self in (DependencyKind.CONFLICTS, DependencyKind.BREAKS)

    @property
    def is_critical(self) -> bool:
        """True for relations that dpkg enforces."""
        return self not in (DependencyKind.RECOMMENDS, DependencyKind.SUGGESTS)


@dataclass(frozen=True, slots=True)
class Target:
    """What one alternative names: ``key`` stands for a package of one architecture or for a virtual one.

    Keys are ``name:amd64``; ``name:any`` for what any architecture that allows it provides; ``name::amd64`` for a
    dependency that names the architecture itself. ``operator`` is empty where any version will do; ``!=`` occurs only
    between architectures of one package.
    """

    key: str
    operator: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """One relation of one version: alternatives (one is enough), or a single target that must be absent.

    ``is_implicit`` marks what Multi-Arch demands without being written: siblings of other architectures.
    """

    kind: DependencyKind
    targets: tuple[Target, ...]
    text: str
    is_implicit: bool = False


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One stanza of a version; ``archive`` is None in dpkg's status."""

    archive: Archive | None
    text: str


class Package:
    """A name on one architecture; ``versions`` are its known versions, newest first.

    Equal only to itself; a universe holds one object for each.
    """

    __slots__ = ("architecture", "key", "name", "native", "versions")

    def __init__(self, name: str, architecture: str, *, native: bool) -> None:
        """``native`` tells whether the architecture is the system's own."""
        self.name = name
        self.architecture = architecture
        self.native = native
        self.key = f"{name}:{architecture}"
        self.versions: tuple[PackageVersion, ...] = ()

    @property
    def full_name(self) -> str:
        """The name as apt and dpkg print it: with the architecture only where that is a foreign one."""
        return self.name if self.native else self.key

    def __repr__(self) -> str:
        return f"Package({self.key})"


class PackageVersion:
    """One version of a package.

    ``occurrences`` are its stanzas in the order of the indexes, dpkg's status last. apt takes fields from the first
    one, and so do the properties here. Versions compare by identity.
    """

    def __init__(self, package: Package, version: str, occurrences: tuple[Occurrence, ...], number: int) -> None:
        """``number`` is the position of the first stanza among all of the universe."""
        self.package = package
        self.version = version
        self.occurrences = occurrences
        self.number = number

    @cached_property
    def fields(self) -> Paragraph:
        """The first stanza."""
        return Paragraph.parse(self.occurrences[0].text)

    @property
    def name(self) -> str:
        """The package's name."""
        return self.package.name

    @cached_property
    def architecture(self) -> str:
        """The Architecture field: ``all``, or the package's own architecture."""
        return self.fields.get("Architecture", self.package.architecture)

    @cached_property
    def multi_arch(self) -> MultiArch:
        """The Multi-Arch field; unknown words, and ``same`` together with ``Architecture: all``, count as none."""
        word = self.fields.get("Multi-Arch", "no")
        if word == "same" and self.architecture == "all":
            return MultiArch.NO
        return MultiArch(word) if word in ("same", "foreign", "allowed") else MultiArch.NO

    @cached_property
    def source_package(self) -> tuple[str, str]:
        """Name and version of the source package."""
        name, _, rest = self.fields.get("Source", self.name).partition(" ")
        version = rest.partition("(")[2].partition(")")[0]
        return name, version or self.version

    @cached_property
    def section(self) -> str:
        """The Section field, such as ``libs`` or ``contrib/libs``."""
        return self.fields.get("Section", "")

    @cached_property
    def provides(self) -> tuple[Relation, ...]:
        """The Provides field."""
        return parse_provides(self.fields.get("Provides", ""))

    def relations(self, kind: DependencyKind) -> tuple[tuple[Relation, ...], ...]:
        """The groups of one relation field, as written."""
        return parse_groups(self.fields.get(kind.value, ""))

    @property
    def archives(self) -> tuple[Archive, ...]:
        """The archives that carry this version, in the order of the indexes; none for what is only installed."""
        return tuple(one.archive for one in self.occurrences if one.archive is not None)

    @property
    def in_status(self) -> bool:
        """Whether dpkg's status lists this version (installed or not)."""
        return self.occurrences[-1].archive is None

    def __str__(self) -> str:
        return f"{self.package.full_name}={self.version}"

    def __repr__(self) -> str:
        return f"PackageVersion({self})"
