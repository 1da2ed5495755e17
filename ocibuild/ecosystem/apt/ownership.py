"""Which package of a base owns a path of the image, as its dpkg's lists and diversions say."""

from collections.abc import Iterable

from ocibuild.core.paths import parent
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.image.view import View

__all__ = ["FileOwners"]


class FileOwners:
    """Where the files of a base's packages lie, and whose a path is.

    Lists name paths as the packages do. In the image a path may lie behind folder links (merged /usr) or be diverted;
    both are applied here, the diversion first: it names paths as packages do, too (dpkg-divert(1)).
    """

    def __init__(self, view: View, database: DpkgDatabase) -> None:
        self._view = view
        self._database = database
        self._folders: dict[str, str] = {"": ""}
        self._owners: dict[str, list[InstalledPackage]] | None = None

    def location(self, package: InstalledPackage, path: str) -> str:
        """Where a path of the package's list is in the image."""
        for diversion in self._database.diversions:
            if diversion.path == path and diversion.package != package.name:
                path = diversion.target
                break
        folder, slash, name = path.rpartition("/")
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = parent(self._view.canonical(f"{folder}/."))
        return f"{known}{slash}{name}" if known else name

    def locations(self, package: InstalledPackage) -> Iterable[tuple[str, str]]:
        """Each path of the package's list, and where it is in the image; the root is left out."""
        return [(path, self.location(package, path)) for path in self._database.paths(package) if path not in ("", ".")]

    def at(self, location: str) -> list[InstalledPackage]:
        """The packages that list what lies at this place of the image; several for folders and shared files."""
        if self._owners is None:
            self._owners = {}
            for package in self._database.packages:
                if package.has_files:
                    for _, place in self.locations(package):
                        self._owners.setdefault(place, []).append(package)
        return self._owners.get(location, [])
