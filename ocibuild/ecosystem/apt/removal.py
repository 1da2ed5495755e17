"""What disappears from an image when packages are upgraded or removed, as whiteouts.

Source: dpkg 1.21's ``main/unpack.c`` (files of the old version that the new one lacks), ``main/remove.c`` and
``main/configure.c`` (conffiles that a package wants removed).
"""

from collections.abc import Iterable, Iterator, Sequence

from ocibuild.core.errors import BuildError
from ocibuild.ecosystem.apt.conffile import found_conffile
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.ownership import FileOwners
from ocibuild.ecosystem.apt.place import INFO_FOLDER
from ocibuild.ecosystem.apt.settle import PlacedDeb
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry

__all__ = ["has_residue", "removed_packages", "whiteouts"]


def removed_packages(removals: Iterable[str], database: DpkgDatabase) -> list[InstalledPackage]:
    """The packages of the base that these ``name:architecture`` name; a BuildError for one that is not there."""
    found = []
    for removal in removals:
        name, _, architecture = removal.partition(":")
        package = database.get(name, architecture or "all")
        if package is None:
            raise BuildError(f"{removal} should be removed and is not in the base")
        found.append(package)
    return found


def has_residue(package: InstalledPackage, view: View) -> bool:
    """Whether something of a removed package stays until it is purged: conffiles, or a script to run then."""
    return bool(package.conffiles) or f"{INFO_FOLDER}/{package.info_name}.postrm" in view


def whiteouts(
    placed: Sequence[PlacedDeb], removed: Sequence[InstalledPackage], *, view: View, database: DpkgDatabase
) -> list[Entry]:
    """The whiteouts of everything that goes, sorted by path; nothing that another package owns is among them.

    Conffiles stay, of removed and of upgraded packages, as dpkg leaves them, but for those that the new version wants
    removed: a changed one of them is kept as ``.dpkg-old``, whose entry then follows the whiteouts. Folders go when
    nothing is left in them.
    """
    upgraded = [old for deb in placed if (old := database.get(deb.package.name, deb.package.architecture)) is not None]
    replaced = [*removed, *upgraded]
    if not replaced:
        return []
    owners = FileOwners(view, database)
    gone: set[str] = set()
    conffiles: set[str] = set()
    for package in replaced:
        conffiles |= {owners.location(package, path[1:]) for path in package.conffiles}
        gone |= {place for _, place in owners.locations(package)}
        prefix = f"{package.info_name}."
        gone |= {f"{INFO_FOLDER}/{name}" for name in view.children(INFO_FOLDER) if name.startswith(prefix)}
    for package in removed:
        if has_residue(package, view):  # dpkg keeps what a later purge needs
            gone -= {f"{INFO_FOLDER}/{package.info_name}.{kept}" for kept in ("list", "postrm")}
    new = {path for deb in placed for path in (*deb.table.entries, *map(deb.context.target, deb.listed))}
    going = {package.info_name for package in replaced}
    gone -= conffiles | new
    gone = {path for path in gone if all(owner.info_name in going for owner in owners.at(path))}
    unwanted = list(_unwanted(placed, view, database))
    gone |= {path for path, _ in unwanted}
    files = sorted(path for path in gone if (entry := view.get(path)) is not None and entry.kind != "directory")
    folders = {path for path in gone if (entry := view.get(path)) is not None and entry.kind == "directory"}
    empty = _emptied(folders, set(files), view, new)
    covered = [path for path in files if not any(path.startswith(f"{folder}/") for folder in empty)]
    return [*map(Entry.whiteout, sorted([*covered, *empty])), *(saved for _, saved in unwanted if saved is not None)]


def _unwanted(placed: Sequence[PlacedDeb], view: View, database: DpkgDatabase) -> Iterator[tuple[str, Entry | None]]:
    """The conffiles that new versions want removed and that are there, and what is kept of a changed one."""
    for deb in placed:
        old = database.get(deb.package.name, deb.package.architecture)
        for name, recorded in deb.conffiles.items():
            path = deb.context.target(name[1:])
            if recorded or old is None or name not in old.conffiles or path not in view:
                continue
            found = found_conffile(path, old.conffiles[name], view)
            saved = Entry.file(f"{path}.dpkg-old", view.read(path), mode=found.mode, uid=found.uid, gid=found.gid)
            yield path, saved if found.is_changed else None


def _emptied(folders: set[str], files: set[str], view: View, new: set[str]) -> list[str]:
    """The outermost of these folders that hold nothing once the files are gone."""
    parents = {path.rpartition("/")[0] for path in new}
    empty: set[str] = set()
    for folder in sorted(folders, key=lambda path: -path.count("/")):
        children = {f"{folder}/{name}" for name in view.children(folder)}
        if children <= files | empty and folder not in parents and folder not in new:
            empty.add(folder)
    return sorted(folder for folder in empty if folder.rpartition("/")[0] not in empty)
