"""What disappears from an image when packages are upgraded or removed, as whiteouts.

Source: dpkg 1.21's ``main/unpack.c`` (files of the old version that the new one lacks) and ``main/remove.c``.
"""

from collections.abc import Iterable, Sequence

from ocibuild.core.errors import BuildError
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
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

    Conffiles stay, of removed and of upgraded packages, as dpkg leaves them; folders go when nothing is left in them.
    """
    replaced = list(removed)
    for deb in placed:
        installed = database.get(deb.package.name, deb.package.architecture)
        if installed is not None:
            replaced.append(installed)
    gone: set[str] = set()
    conffiles: set[str] = set()
    for package in replaced:
        conffiles |= {view.canonical(path.lstrip("/")) for path in package.conffiles}
        gone |= {view.canonical(path) for path in database.paths(package) if path and path != "."}
        prefix = f"{package.info_name}."
        gone |= {f"{INFO_FOLDER}/{name}" for name in view.children(INFO_FOLDER) if name.startswith(prefix)}
    for package in removed:
        if has_residue(package, view):  # dpkg keeps what a later purge needs
            gone -= {f"{INFO_FOLDER}/{package.info_name}.{kept}" for kept in ("list", "postrm")}
    gone -= conffiles | _kept_paths(placed, replaced, view=view, database=database)
    files = sorted(path for path in gone if (entry := view.get(path)) is not None and entry.kind != "directory")
    folders = {path for path in gone if (entry := view.get(path)) is not None and entry.kind == "directory"}
    empty = _emptied(folders, set(files), view, {path for deb in placed for path in deb.table.entries})
    covered = [path for path in files if not any(path.startswith(f"{folder}/") for folder in empty)]
    return [Entry.whiteout(path) for path in sorted([*covered, *empty])]


def _kept_paths(
    placed: Sequence[PlacedDeb], replaced: Sequence[InstalledPackage], *, view: View, database: DpkgDatabase
) -> set[str]:
    """What the new packages hold, and what packages that stay own."""
    kept = {path for deb in placed for path in deb.table.entries}
    going = {package.info_name for package in replaced}
    for package in database.packages:
        if package.has_files and package.info_name not in going:
            kept |= {view.canonical(path) for path in database.paths(package) if path}
    return kept


def _emptied(folders: set[str], files: set[str], view: View, new: set[str]) -> list[str]:
    """The outermost of these folders that hold nothing once the files are gone."""
    parents = {path.rpartition("/")[0] for path in new}
    empty: set[str] = set()
    for folder in sorted(folders, key=lambda path: -path.count("/")):
        children = {f"{folder}/{name}" for name in view.children(folder)}
        if children <= files | empty and folder not in parents and folder not in new:
            empty.add(folder)
    return sorted(folder for folder in empty if folder.rpartition("/")[0] not in empty)
