"""What decides where the paths of several .debs go in one image: links, diversions, conffiles, conflicts.

Pure. Source: dpkg 1.21's ``main/archives.c`` (tarobject, "trying to overwrite") and ``main/unpack.c``.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import ancestors
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode
from ocibuild.ecosystem.apt.place import AptPlaceContext
from ocibuild.ecosystem.apt.relation import parse_groups
from ocibuild.ecosystem.apt.version import satisfies
from ocibuild.image.view import LayerTable, View

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


def first_context(package: LockedPackage, *, view: View, database: DpkgDatabase) -> AptPlaceContext:
    """The context in which a package is placed first, from what the base says alone.

    Folder links of merged /usr; diversions of other packages; overrides; and of an upgraded package the conffiles that
    somebody changed or removed.
    """
    links = tuple(
        (name, entry.link.strip("/"))
        for name in _MERGED
        if (entry := view.get(name)) is not None and entry.kind == "symlink" and "/../" not in f"/{entry.link}/"
    )
    renamed = tuple(
        (diversion.path, diversion.target) for diversion in database.diversions if diversion.package != package.name
    )
    conffiles = []
    installed = database.get(package.name, package.architecture)
    for path, shipped in installed.conffiles.items() if installed else ():
        where = view.canonical(path.lstrip("/"))
        now = hashlib.md5(view.read(where), usedforsecurity=False).hexdigest() if where in view else ""
        if now != shipped:
            conffiles.append((where, shipped, now))
    return AptPlaceContext(links, renamed, (), tuple(conffiles), database.overrides)


def settle(placed: Sequence[PlacedDeb], *, view: View, database: DpkgDatabase) -> dict[int, AptPlaceContext]:
    """The packages (by position) that must be placed again, and in which context; empty in the common case.

    ``view`` is the base that they are placed on. A path that two packages hold belongs to the one that says Replaces;
    equal files of a Multi-Arch: same package are shared; anything else is a BuildError that names both and the path.
    """
    changed = {number: deb.context for number, deb in enumerate(placed)}
    for number, links in _folder_links(placed, view):
        changed[number] = replace(changed[number], links=tuple(sorted({*changed[number].links, *links})))
    owners = _Owners(
        view, database, replaced={(deb.package.name, deb.control.get("Architecture", "")) for deb in placed}
    )
    holder: dict[str, int] = {}
    for number, deb in enumerate(placed):
        for path, entry in deb.table.entries.items():
            if entry.kind == "directory":
                continue
            if path in holder:
                loser = _loser(placed, holder[path], number, path)
                changed[loser] = replace(changed[loser], left_out=(*changed[loser].left_out, path))
                holder[path] = number if loser == holder[path] else holder[path]
                continue
            holder[path] = number
            owner = owners.get(path)
            if owner is not None and not _replaces(deb.control, owner.fields):
                raise _conflict(path, deb.package.identity, f"{owner.name}={owner.version}, which is in the base")
    return {number: context for number, context in changed.items() if context != placed[number].context}


def _folder_links(placed: Sequence[PlacedDeb], view: View) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Folders of packages that are links in the image: of the base, or of another of these packages."""
    links = {path: entry.link for path in view if (entry := view.get(path)) is not None and entry.kind == "symlink"}
    links |= {
        path: entry.link for deb in placed for path, entry in deb.table.entries.items() if entry.kind == "symlink"
    }
    full = view.extended(deb.table for deb in placed)
    for number, deb in enumerate(placed):
        folders = {folder for path in deb.table.entries for folder in ancestors(path)}
        folders |= {path for path, entry in deb.table.entries.items() if entry.kind == "directory"}
        found = [(folder, _target(folder, view, full)) for folder in sorted(folders) if folder in links]
        if found:
            yield number, found


def _target(folder: str, view: View, full: View) -> str:
    """Where the link leads: the base's own link counts, for in ``full`` a package's folder stands in its place."""
    return view.resolved(folder) if folder in view else full.resolved(folder)


class _Owners:
    """Which package of the base owns a path; packages that are replaced own nothing any more."""

    def __init__(self, view: View, database: DpkgDatabase, replaced: set[tuple[str, str]]) -> None:
        self._owner_of: dict[str, InstalledPackage] = {}
        for installed in database.packages:
            if not installed.has_files or (installed.name, installed.architecture) in replaced:
                continue
            for path in database.paths(installed):
                where = view.canonical(path)
                entry = view.get(where)
                if entry is not None and entry.kind != "directory":
                    self._owner_of[where] = installed

    def get(self, path: str) -> InstalledPackage | None:
        return self._owner_of.get(path)


def _loser(placed: Sequence[PlacedDeb], first: int, second: int, path: str) -> int:
    """Which of two packages gives up a path that both hold; a BuildError where neither does."""
    one, two = placed[first], placed[second]
    if one.package.name == two.package.name and "same" == one.control.get("Multi-Arch") == two.control.get(
        "Multi-Arch"
    ):
        if _same(one, two, path):
            return second
    elif _replaces(one.control, two.control):
        return second
    elif _replaces(two.control, one.control):
        return first
    raise _conflict(path, one.package.identity, two.package.identity)


def _same(one: PlacedDeb, two: PlacedDeb, path: str) -> bool:
    """Whether co-installed architectures carry the same file there, as their md5sums say."""
    left, right = one.table.entries[path], two.table.entries[path]
    if (left.kind, left.link, left.size_bytes) != (right.kind, right.link, right.size_bytes):
        return False
    return left.kind != "file" or _md5(one, path) == _md5(two, path) != ""


def _md5(deb: PlacedDeb, path: str) -> str:
    sums = next((data for name, data in deb.table.kept.items() if name.endswith(".md5sums")), b"")
    for line in decode(sums).splitlines():
        value, _, name = line.partition("  ")
        if name and deb.context.target(name) == path:
            return value
    return ""


def _replaces(control: Paragraph, other: Mapping[str, str]) -> bool:
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
