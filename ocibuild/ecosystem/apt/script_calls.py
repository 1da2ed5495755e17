"""The maintainer scripts that run before packages are configured, in their order.

dpkg runs them while it unpacks. Here everything is unpacked already, and they run all the same, before
``dpkg --configure -a``: ``preinst`` of what is new, ``prerm`` and ``postrm`` of what it replaces and of what goes.
Sources: deb-preinst(5), deb-prerm(5), deb-postrm(5); dpkg 1.21's ``main/unpack.c`` and ``main/remove.c``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.place import INFO_FOLDER
from ocibuild.ecosystem.apt.relation import parse_groups, parse_provides
from ocibuild.ecosystem.apt.settle import PlacedDeb
from ocibuild.image.view import View

__all__ = ["Configuration", "ScriptCall", "calls_before_configuring", "old_script_path"]


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One run of a script: whose, which (``preinst``), the file (no leading slash) and its arguments.

    ``instances`` is the number of architectures for which the package is installed then, this one included.
    """

    package: str
    architecture: str
    member: str
    file: str
    arguments: tuple[str, ...]
    instances: int

    @property
    def line(self) -> str:
        """The words of one line, as the driver of the step reads them (``configure_step.sh``)."""
        words = (self.member, self.package, self.architecture, str(self.instances), f"/{self.file}", *self.arguments)
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Packages, by their names in dpkg's database, that are configured before the next script: its Pre-Depends."""

    packages: tuple[str, ...]

    @property
    def line(self) -> str:
        """As :attr:`ScriptCall.line`."""
        return f"configure {' '.join(self.packages)}"


def calls_before_configuring(
    placed: Sequence[PlacedDeb],
    removed: Sequence[InstalledPackage],
    *,
    base: View,
    database: DpkgDatabase,
    old_scripts: str,
) -> list[ScriptCall | Configuration]:
    """What runs before ``placed`` are configured, in their order, when ``removed`` go.

    ``base`` is the image without the new packages, ``database`` its dpkg's, ``old_scripts`` the folder where scripts of
    older versions are kept for this (:func:`old_script_path`). Packages without such scripts do not occur. What dpkg
    tries when a script fails (``failed-upgrade``, ``abort-install``) is not tried: the step fails then.
    """
    calls = _Calls(placed, base, database, old_scripts)
    for package in removed:
        calls.add_old(package, "prerm", ("remove",))
        calls.add_old(package, "postrm", ("remove",))
    for number, deb in enumerate(placed):
        old = database.get(deb.package.name, deb.package.architecture)
        if old is not None:
            calls.add_old(old, "prerm", ("upgrade", deb.package.version))
        calls.add_preinst(number, old)
        if old is not None:
            calls.add_old(old, "postrm", ("upgrade", deb.package.version))
    return calls.found


def old_script_path(folder: str, package: InstalledPackage, member: str) -> str:
    """Where a script of an older version is kept while the step runs."""
    return f"{folder}/{package.info_name}.{member}"


class _Calls:
    """The calls so far."""

    def __init__(self, placed: Sequence[PlacedDeb], base: View, database: DpkgDatabase, old_scripts: str) -> None:
        self._placed = placed
        self._base = base
        self._database = database
        self._old_scripts = old_scripts
        self._needs = _Needs(placed)
        self._configured: set[int] = set()
        self._architectures: dict[str, set[str]] = {}
        for package in database.packages:
            if package.has_files:
                self._architectures.setdefault(package.name, set()).add(package.architecture)
        self.found: list[ScriptCall | Configuration] = []

    def add_old(self, package: InstalledPackage, member: str, arguments: tuple[str, ...]) -> None:
        """A script of a package of the base, if it has it."""
        if f"{INFO_FOLDER}/{package.info_name}.{member}" in self._base:
            file = old_script_path(self._old_scripts, package, member)
            instances = len(self._architectures.get(package.name, ()))
            call = ScriptCall(package.name, package.architecture, member, file, arguments, instances)
            self.found.append(call)

    def add_preinst(self, number: int, old: InstalledPackage | None) -> None:
        """The ``preinst`` of a new package, if it has one, behind what it pre-depends on."""
        deb, package = self._placed[number], self._placed[number].package
        architectures = self._architectures.setdefault(package.name, set())
        if old is not None:
            architectures.discard(old.architecture)
        architectures.add(package.architecture)
        file = f"{INFO_FOLDER}/{deb.info_name}.preinst"
        if file not in deb.table.kept:
            return
        first = [each for each in self._needs.before(number) if each not in self._configured]
        if first:
            self._configured.update(first)
            self.found.append(Configuration(tuple(self._placed[each].info_name for each in first)))
        residue = self._database.residue(package.name, package.architecture)
        arguments: tuple[str, ...] = ("install",)
        if old is not None:
            arguments = ("upgrade", old.version, package.version)
        elif residue is not None and residue.version:
            arguments = ("install", residue.version, package.version)
        call = ScriptCall(
            package.name, package.architecture, "preinst", file, arguments, len(self._architectures[package.name])
        )
        self.found.append(call)


class _Needs:
    """What each of some new packages needs of the others, by their positions."""

    def __init__(self, placed: Sequence[PlacedDeb]) -> None:
        self._control = [deb.control for deb in placed]
        self._named: dict[str, list[int]] = {}
        for number, control in enumerate(self._control):
            provided = (relation.name for relation in parse_provides(control.get("Provides", "")))
            for name in (control["Package"], *provided):
                self._named.setdefault(name, []).append(number)

    def before(self, number: int) -> list[int]:
        """What must be configured before the package's ``preinst`` runs: its Pre-Depends and all that these need.

        What comes behind the package in a cycle of dependencies is left out, as apt must leave it out, too.
        """
        found: set[int] = set()
        pending = list(self._of(number, "Pre-Depends"))
        while pending:
            each = pending.pop()
            if each < number and each not in found:
                found.add(each)
                pending += [*self._of(each, "Pre-Depends"), *self._of(each, "Depends")]
        return sorted(found)

    def _of(self, number: int, field: str) -> Iterator[int]:
        for group in parse_groups(self._control[number].get(field, "")):
            for relation in group:
                yield from self._named.get(relation.name, ())
