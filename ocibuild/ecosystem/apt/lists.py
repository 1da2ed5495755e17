"""dpkg's lists of files after an installation, where more than one package decides them.

A package's own list came with its files. Source: dpkg 1.21's ``main/unpack.c`` and ``main/remove.c``.
"""

from collections.abc import Sequence

from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.ownership import FileOwners
from ocibuild.ecosystem.apt.place import INFO_FOLDER
from ocibuild.ecosystem.apt.removal import has_residue
from ocibuild.ecosystem.apt.settle import PlacedDeb
from ocibuild.ecosystem.apt.status import earlier_record, obsolete_conffiles
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View

__all__ = ["write_lists"]


def write_lists(
    overlay: Overlay,
    placed: Sequence[PlacedDeb],
    removed: Sequence[InstalledPackage],
    *,
    view: View,
    database: DpkgDatabase,
) -> None:
    """Write the lists that change when ``placed`` are installed and ``removed`` go.

    Obsolete conffiles are added, and what another package takes goes. A removed package's list keeps its conffiles, and
    the folders that are left to it alone. ``view`` is the image with the packages' files in place.
    """
    lists = _Lists(overlay, placed, view, database)
    for deb in placed:
        lists.write_new(deb)
    lists.write_taken(removed)
    for number, package in enumerate(removed):
        if has_residue(package, view):
            lists.write_removed(package, staying=_staying(database, removed[: number + 1]))


def _staying(database: DpkgDatabase, gone: Sequence[InstalledPackage]) -> list[InstalledPackage]:
    names = {package.info_name for package in gone}
    return [package for package in database.packages if package.has_files and package.info_name not in names]


class _Lists:
    """The lists, and which new packages hold a place of the image (all but folders)."""

    def __init__(self, overlay: Overlay, placed: Sequence[PlacedDeb], view: View, database: DpkgDatabase) -> None:
        self._overlay = overlay
        self._placed = placed
        self._view = view
        self._database = database
        self._owners = FileOwners(view, database)
        self._holders: dict[str, set[str]] = {}
        for deb in placed:
            places = [path for path, entry in deb.table.entries.items() if entry.kind != "directory"]
            places += [deb.context.target(name[1:]) for name, recorded in deb.conffiles.items() if recorded]
            for place in places:
                self._holders.setdefault(place, set()).add(deb.package.name)

    def _is_taken(self, place: str, name: str) -> bool:
        """Whether a new package of another name holds the place."""
        holders = self._holders.get(place)
        return holders is not None and holders != {name}

    def write_new(self, deb: PlacedDeb) -> None:
        """The list of a new package: obsolete conffiles come, what another package keeps goes."""
        name = deb.package.name
        obsolete = obsolete_conffiles(deb, earlier_record(deb, self._database), self._view)
        added = [line for line in obsolete if not self._is_taken(deb.context.target(line[1:]), name)]
        lost = {place for place in deb.context.left_out if self._is_lost(place, name)}
        if added or lost:
            kept = [line for line in self._lines(deb.info_name) if deb.context.target(line[1:]) not in lost]
            self._write(deb.info_name, [*kept, *added])

    def _is_lost(self, place: str, name: str) -> bool:
        """Whether a place that the package leaves out belongs to a package of another name, and is no folder."""
        there = self._view.get(place)
        if there is None or there.kind == "directory":
            return False
        return self._is_taken(place, name) or any(owner.name != name for owner in self._owners.at(place))

    def write_taken(self, removed: Sequence[InstalledPackage]) -> None:
        """The lists of packages of the base that stay, and that lose files to new ones."""
        replaced = [self._database.get(deb.package.name, deb.package.architecture) for deb in self._placed]
        going = {package.info_name for package in (*replaced, *removed) if package is not None}
        losers = {
            owner.info_name: owner
            for place in self._holders
            for owner in self._owners.at(place)
            if owner.info_name not in going and self._is_taken(place, owner.name)
        }
        for info_name, package in losers.items():
            kept = [
                line
                for line in self._lines(info_name)
                if not self._is_taken(self._owners.location(package, line[1:]), package.name)
            ]
            self._write(info_name, kept)

    def write_removed(self, package: InstalledPackage, *, staying: Sequence[InstalledPackage]) -> None:
        """The list of a removed package: its conffiles, and folders that none of ``staying`` has."""
        others = {name for each in staying for name in self._database.paths(each)}
        kept = [
            line
            for line in self._lines(package.info_name)
            if line in package.conffiles
            or (line.strip("/") not in others and self._overlay.is_folder(line.strip("/").removeprefix(".")))
        ]
        self._write(package.info_name, kept)

    def _lines(self, info_name: str) -> list[str]:
        return self._overlay.read_text(f"{INFO_FOLDER}/{info_name}.list", "").splitlines()

    def _write(self, info_name: str, lines: Sequence[str]) -> None:
        self._overlay.write(f"{INFO_FOLDER}/{info_name}.list", "".join(f"{line}\n" for line in lines))
