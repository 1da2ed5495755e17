"""What decides where the paths of several .debs go in one image: links, diversions, conffiles, conflicts.

Pure. Source: dpkg 1.21's ``main/archives.c`` (tarobject, "trying to overwrite") and ``main/unpack.c``. Where the order
of unpacking decides, packages count as unpacked in the order in which they are given.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import ancestors
from ocibuild.ecosystem.apt.conffile import found_conffile
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode
from ocibuild.ecosystem.apt.folder_links import FolderLinks
from ocibuild.ecosystem.apt.ownership import FileOwners
from ocibuild.ecosystem.apt.place import INFO_FOLDER, AptPlaceContext, info_name
from ocibuild.ecosystem.apt.relation import parse_groups
from ocibuild.ecosystem.apt.version import satisfies
from ocibuild.image.view import LayerTable, View, ViewEntry

__all__ = ["PlacedDeb", "first_context", "settle"]

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")


@dataclass(frozen=True, slots=True)
class PlacedDeb:
    """A package that has been placed: its lock, the context it was placed in, its table and its notes."""

    package: LockedPackage
    context: AptPlaceContext
    table: LayerTable
    notes: Mapping[str, bytes]

    @property
    def control(self) -> Paragraph:
        """The package's control file."""
        return Paragraph.parse(decode(self.notes["control"]))

    @property
    def info_name(self) -> str:
        """The name of its files in dpkg's info folder, without what follows the dot."""
        return info_name(self.package.name, self.package.architecture, self.control.get("Multi-Arch", ""))

    @property
    def conffiles(self) -> Mapping[str, str]:
        """Path (``/etc/...``) -> what the status has of it, ``""`` where the package wants it removed."""
        conffiles: Mapping[str, str] = json.loads(self.notes["conffiles"])
        return conffiles

    @property
    def listed(self) -> list[str]:
        """The paths of the package's list, as the package names them, without leading slashes and without the root."""
        lines = decode(self.table.kept[f"{INFO_FOLDER}/{self.info_name}.list"]).splitlines()
        return [line[1:] for line in lines if line != "/."]


def first_context(package: LockedPackage, *, view: View, database: DpkgDatabase) -> AptPlaceContext:
    """The context in which a package is placed first, from what the base says alone.

    Folder links of merged /usr, and of an upgraded package the conffiles that somebody changed or removed.
    """
    links = tuple(
        (name, entry.link.strip("/"))
        for name in sorted(_MERGED)
        if (entry := view.get(name)) is not None and entry.kind == "symlink" and "/../" not in f"/{entry.link}/"
    )
    context = AptPlaceContext(links)
    installed = database.get(package.name, package.architecture)
    found = [
        found_conffile(context.target(path.lstrip("/")), before, view)
        for path, before in (installed.conffiles.items() if installed else ())
    ]
    return replace(context, conffiles=tuple(sorted(each for each in found if each.is_changed)))


def settle(
    placed: Sequence[PlacedDeb], *, view: View, database: DpkgDatabase, removed: Sequence[InstalledPackage] = ()
) -> dict[int, AptPlaceContext]:
    """The packages (by position) that must be placed again, and in which context; empty in the common case.

    ``view`` is the base that they are placed on, ``removed`` what goes from it. A path that two packages hold belongs
    to the one that says Replaces; equal files of a Multi-Arch: same package are shared; anything else is a BuildError
    that names both and the path. Ask again with the packages in their new contexts until nothing is left to change.
    """
    settling = _Settling(placed, view, database, removed)
    for number in range(len(placed)):
        settling.divert(number)
    settling.link_folders()
    settling.own_paths()
    for number in range(len(placed)):
        settling.find_conffiles(number)
    return {number: context for number, context in enumerate(settling.contexts) if context != placed[number].context}


class _Settling:
    """The contexts as far as they are known; each step adds to them."""

    def __init__(
        self, placed: Sequence[PlacedDeb], view: View, database: DpkgDatabase, removed: Sequence[InstalledPackage]
    ) -> None:
        self._placed = placed
        self._view = view
        self._database = database
        self._owners = FileOwners(view, database)
        old = (database.get(deb.package.name, deb.package.architecture) for deb in placed)
        self._going = {package.info_name for package in (*removed, *old) if package is not None}
        self._control = [deb.control for deb in placed]
        self.contexts = [deb.context for deb in placed]

    def _add(self, number: int, **found: Sequence[Any]) -> None:
        context = self.contexts[number]
        merged: dict[str, Any] = {
            name: tuple(sorted({*getattr(context, name), *values})) for name, values in found.items() if values
        }
        self.contexts[number] = replace(context, **merged) if merged else context

    def divert(self, number: int) -> None:
        """Diversions by others, and overrides, of what the package lists."""
        if not self._database.diversions and not self._database.overrides:
            return
        deb = self._placed[number]
        listed = set(deb.listed)
        renamed = [
            (diversion.path, diversion.target)
            for diversion in self._database.diversions
            if diversion.package != deb.package.name and diversion.path in listed
        ]
        overrides = [override for override in self._database.overrides if override[0] in listed]
        self._add(number, renamed=renamed, overrides=overrides)

    def link_folders(self) -> None:
        """Folders of packages that are links in the image, and links that would replace a folder of it."""
        links = FolderLinks(self._view)
        for number, deb in enumerate(self._placed):
            self._add(number, left_out=links.take_in(deb.table))
        for number, deb in enumerate(self._placed):
            folders = {path for path, entry in deb.table.entries.items() if entry.kind == "directory"}
            for parent in {path.rpartition("/")[0] for path in deb.table.entries}:
                folders.update(ancestors(f"{parent}/."))
            linked = [(folder, links.resolved(folder)) for folder in folders if links.is_link(folder)]
            self._add(number, links=linked)

    def own_paths(self) -> None:
        """Whose each path is; the others leave it out. Packages whose files will move are looked at when they have."""
        folders = {
            path: number
            for number, deb in enumerate(self._placed)
            for path, entry in deb.table.entries.items()
            if entry.kind == "directory" and not self.contexts[number].is_link(path)
        }
        holders: dict[str, int] = {}
        for number, deb in enumerate(self._placed):
            now, then = self.contexts[number], deb.context
            if (now.links, now.renamed) != (then.links, then.renamed):
                continue
            for path, entry in deb.table.entries.items():
                if entry.kind == "directory" or path in self.contexts[number].left_out:
                    continue
                if path in folders and entry.kind != "symlink":
                    raise _conflict(path, deb.package.identity, self._placed[folders[path]].package.identity)
                other = holders.get(path)
                loser = None if other is None else self._loser(other, number, path)
                if loser is None and self._base_keeps(number, path, entry):
                    loser = number
                if loser is not None:
                    self._add(loser, left_out=[path])
                if loser != number:
                    holders[path] = number

    def _base_keeps(self, number: int, path: str, entry: ViewEntry) -> bool:
        """Whether a package of the base has the path and keeps it; a BuildError where none of the two gives it up."""
        deb, control = self._placed[number], self._control[number]
        there = self._view.get(path)
        if there is None or (there.kind == "directory" and entry.kind == "symlink"):
            return False
        keeps = False
        for owner in self._owners.at(self._view.canonical(path)):
            if owner.info_name in self._going or _replaces(control, owner.fields):
                continue
            if _replaces(owner.fields, control):
                keeps = True
            elif _are_siblings(control, owner.fields):
                if _md5_in(deb, path) != self._md5_in_base(owner, path):
                    raise _conflict(path, deb.package.identity, f"{owner.name}={owner.version} {owner.architecture}")
            elif not self._is_given_up(deb, owner, path):
                raise _conflict(path, deb.package.identity, f"{owner.name}={owner.version}, which is in the base")
        return keeps

    def _is_given_up(self, deb: PlacedDeb, owner: InstalledPackage, path: str) -> bool:
        """Whether the path is an obsolete conffile of the owner, and a conffile of the package."""
        given_up = {self._owners.location(owner, name[1:]) for name in owner.flagged_conffiles("obsolete")}
        return path in given_up and any(deb.context.target(name[1:]) == path for name in deb.conffiles)

    def _md5_in_base(self, owner: InstalledPackage, path: str) -> str:
        """The MD5 that the owner says its file at this place of the image has, or ``""``."""
        where = self._view.canonical(path)
        for name, md5 in owner.conffiles.items():
            if self._owners.location(owner, name[1:]) == where:
                return md5
        sums = f"{INFO_FOLDER}/{owner.info_name}.md5sums"
        for line in decode(self._view.read(sums)).splitlines() if sums in self._view else ():
            md5, _, name = line.partition("  ")
            if name and self._owners.location(owner, name) == where:
                return md5
        return ""

    def _loser(self, first: int, second: int, path: str) -> int:
        """Which of two packages gives up a path that both hold; a BuildError where neither does."""
        one, two = self._placed[first], self._placed[second]
        if _are_siblings(self._control[first], self._control[second]):
            shape = [(each.kind, each.link) for each in (one.table.entries[path], two.table.entries[path])]
            if shape[0] == shape[1] and _md5_in(one, path) == _md5_in(two, path):
                return second
        elif _replaces(self._control[first], self._control[second]):
            return second
        elif _replaces(self._control[second], self._control[first]):
            return first
        raise _conflict(path, one.package.identity, two.package.identity)

    def find_conffiles(self, number: int) -> None:
        """Conffiles where something else is in the way than an unchanged older version with the same mode."""
        deb, context = self._placed[number], self.contexts[number]
        known = {found.path for found in context.conffiles}
        added = []
        for name in deb.conffiles:
            path = context.target(name[1:])
            entry = deb.table.entries.get(path)
            if entry is None or path in known or path in context.left_out:
                continue
            before = self._database.conffile_md5(deb.package.name, deb.package.architecture, name)
            there = self._view.get(path)
            if there is None and not before:
                continue
            same = there is not None and (there.mode, there.uid, there.gid) == (entry.mode, entry.uid, entry.gid)
            found = found_conffile(path, before, self._view)
            if found.is_changed or not same:
                added.append(found)
        self._add(number, conffiles=added)


def _md5_in(deb: PlacedDeb, path: str) -> str:
    """The MD5 that the package says its file at this place of the image has, or ``""``."""
    for name, md5 in deb.conffiles.items():
        if deb.context.target(name[1:]) == path:
            return md5
    sums = deb.table.kept.get(f"{INFO_FOLDER}/{deb.info_name}.md5sums", b"")
    for line in decode(sums).splitlines():
        md5, _, name = line.partition("  ")
        if name and deb.context.target(name) == path:
            return md5
    return ""


def _are_siblings(one: Mapping[str, str], two: Mapping[str, str]) -> bool:
    """Whether these are one package for two architectures, which share files that are equal."""
    return one["Package"] == two["Package"] and one.get("Multi-Arch") == two.get("Multi-Arch") == "same"


def _replaces(control: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether ``control`` says that it replaces files of ``other`` (deb-control(5), "Replaces")."""
    return any(
        relation.name == other["Package"]
        and (not relation.operator or satisfies(other.get("Version", ""), relation.operator, relation.version))
        for group in parse_groups(control.get("Replaces", ""))
        for relation in group
    )


def _conflict(path: str, one: str, two: str) -> BuildError:
    return BuildError(
        f"/{path} is in {one} and in {two}",
        hint="dpkg would refuse to install both: ask for one of them only, or report the packages' bug",
    )
