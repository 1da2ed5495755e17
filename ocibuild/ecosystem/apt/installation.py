"""One installation of Debian packages on a base: what comes, what goes, and what both do to the rest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ocibuild.ecosystem.apt.configure import ConfiguredPackage, UnknownScript, unknown_scripts
from ocibuild.ecosystem.apt.configure.known import script_parts
from ocibuild.ecosystem.apt.configure.triggers import activated_names
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.place import INFO_FOLDER
from ocibuild.ecosystem.apt.settle import PlacedDeb
from ocibuild.image.view import View

__all__ = ["Installation", "unknown_removals"]

_SCRIPTS = ("preinst", "postinst", "triggers")
_REMOVAL_SCRIPTS = ("prerm", "postrm")


@dataclass(frozen=True, slots=True)
class Installation:
    """``placed`` come, in the order of configuration, and ``removed`` go.

    ``base`` is the image before and ``database`` its dpkg's; ``view`` is the image with the packages' files in place
    and without those that go. ``architecture`` is the image's own.
    """

    placed: Sequence[PlacedDeb]
    removed: Sequence[InstalledPackage]
    base: View
    view: View
    database: DpkgDatabase
    architecture: str

    def configured_packages(self) -> list[ConfiguredPackage]:
        """The new packages with their scripts, as they are configured."""
        return [self._configured(deb) for deb in self.placed]

    def _configured(self, deb: PlacedDeb) -> ConfiguredPackage:
        package = deb.package
        old = self.database.get(package.name, package.architecture)
        scripts = _members(deb.table.kept, deb.info_name, _SCRIPTS)
        previous = old.version if old else ""
        return ConfiguredPackage(package.name, package.architecture, package.version, previous, scripts)

    def new_conffiles(self) -> dict[str, dict[str, str]]:
        """By package (its name in dpkg's database) the conffiles that come where nothing was: ``/etc/...`` -> place."""
        found: dict[str, dict[str, str]] = {}
        for deb in self.placed:
            places = {name: deb.context.target(name[1:]) for name, recorded in deb.conffiles.items() if recorded}
            found[deb.info_name] = {
                name: place for name, place in places.items() if place in deb.table.entries and place not in self.base
            }
        return found

    def unknown_scripts(self) -> tuple[UnknownScript, ...]:
        """The scripts that are not known as data, from their texts alone; with any, code must run."""
        return (*unknown_removals(self.removed, self.base), *unknown_scripts(self.configured_packages()))

    def activated_by_what_goes(self) -> set[str]:
        """Paths and names of triggers that removed packages and replaced versions activate (deb-triggers(5))."""
        olds = (self.database.get(deb.package.name, deb.package.architecture) for deb in self.placed)
        activated: set[str] = set()
        for package in (*self.removed, *(old for old in olds if old is not None)):
            activated.update(f"/{path}" for path in self.database.paths(package) if path not in ("", "."))
            path = f"{INFO_FOLDER}/{package.info_name}.triggers"
            activated.update(activated_names(self.base.read(path)) if path in self.base else ())
        return activated


def unknown_removals(removed: Iterable[InstalledPackage], base: View) -> tuple[UnknownScript, ...]:
    """The scripts of packages that go: each that does something, for what it does then is nowhere described."""
    found = []
    for package in removed:
        for member in _REMOVAL_SCRIPTS:
            path = f"{INFO_FOLDER}/{package.info_name}.{member}"
            scripts = {member: base.read(path)} if path in base else {}
            going = ConfiguredPackage(package.name, package.architecture, package.version, package.version, scripts)
            if script_parts(going, member):
                found.append(UnknownScript(package.name, member, "it would run, for the package is removed"))
    return tuple(found)


def _members(files: Mapping[str, bytes], info_name: str, members: Sequence[str]) -> dict[str, bytes]:
    paths = {member: f"{INFO_FOLDER}/{info_name}.{member}" for member in members}
    return {member: files[path] for member, path in paths.items() if path in files}
