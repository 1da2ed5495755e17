"""dpkg's status after an installation, or after its first half, unpacking.

A stanza is the package's control file with the state it is in, and its conffiles. Source: dpkg 1.21's ``main/unpack.c``
(conffiles) and ``main/remove.c``.
"""

from collections.abc import Container, Iterator, Mapping, Sequence

from ocibuild.ecosystem.apt.conffile import NEW_CONFFILE
from ocibuild.ecosystem.apt.database import INSTALLED, UNPACKED, DpkgDatabase, InstalledPackage, status_text
from ocibuild.ecosystem.apt.deb822 import Paragraph
from ocibuild.ecosystem.apt.removal import has_residue
from ocibuild.ecosystem.apt.settle import PlacedDeb
from ocibuild.image.view import View

__all__ = ["earlier_record", "obsolete_conffiles", "status_after"]


def status_after(
    placed: Sequence[PlacedDeb],
    removed: Sequence[InstalledPackage],
    *,
    view: View,
    database: DpkgDatabase,
    put_aside: Mapping[str, Container[str]] | None = None,
) -> str:
    """The status file when ``placed`` are installed and ``removed`` are gone but for what a purge would take.

    ``view`` is the image with the packages' files in place, ``database`` that of the base. With ``put_aside`` the
    packages are unpacked, and their scripts must still run: it names, by package, the conffiles that lie beside their
    places until dpkg configures the package. Of others dpkg takes what is recorded for decided (``main/configure.c``:
    "If the .dpkg-new file is no longer there, ignore this one").
    """
    holders: dict[str, set[str]] = {}
    for deb in placed:
        for name, recorded in deb.conffiles.items():
            if recorded:
                holders.setdefault(name, set()).add(deb.package.name)
    stanzas = {(each.name, each.architecture): _with_obsolete(each, holders) for each in database.packages}
    for package in removed:
        key = (package.name, package.architecture)
        stanza = stanzas.pop(key)
        if has_residue(package, view):
            left = {"Status": "deinstall ok config-files", "Config-Version": package.version}
            stanzas[key] = stanza.with_fields(left)
    for deb in placed:
        old = earlier_record(deb, database)
        if old is not None:
            stanzas.pop((old.name, old.architecture), None)
        new = put_aside[deb.info_name] if put_aside is not None else ()
        conffiles = "".join(f"\n {line}" for line in _conffile_lines(deb, old, view, new)) or None
        changes = {"Status": INSTALLED, "Conffiles": conffiles}
        if put_aside is not None:
            changes |= {"Status": UNPACKED, "Config-Version": old.configured_version or None if old else None}
        stanzas[deb.package.name, deb.package.architecture] = deb.control.with_fields(changes)
    return status_text(stanzas.values())


def earlier_record(deb: PlacedDeb, database: DpkgDatabase) -> InstalledPackage | None:
    """The package's record in the base: of an older version, or of what is left of a removed one."""
    found = database.get(deb.package.name, deb.package.architecture)
    return found or database.residue(deb.package.name, deb.package.architecture)


def obsolete_conffiles(deb: PlacedDeb, old: InstalledPackage | None, view: View) -> list[str]:
    """The conffiles of the old version that the new one does not have, and that are still there."""
    if old is None or not old.conffiles:
        return []
    shipped = {*deb.conffiles, *(f"/{path}" for path in deb.listed), *old.flagged_conffiles("remove-on-upgrade")}
    return [name for name in old.conffiles if name not in shipped and deb.context.target(name[1:]) in view]


def _with_obsolete(package: InstalledPackage, holders: dict[str, set[str]]) -> Paragraph:
    """The stanza of a package of the base; a conffile that another package has now is obsolete."""
    lines = package.fields.get("Conffiles", "").splitlines()
    changed = [
        f"{line} obsolete"
        if (words := line.split()) and holders.get(words[0], set()) - {package.name} and "obsolete" not in words[2:]
        else line
        for line in lines
    ]
    return package.fields if changed == lines else package.fields.with_fields({"Conffiles": "\n".join(changed)})


def _conffile_lines(deb: PlacedDeb, old: InstalledPackage | None, view: View, new: Container[str]) -> Iterator[str]:
    """The lines of Conffiles: what the package ships (``new`` is not in place), then what only the old version did."""
    before = old.conffiles if old is not None else {}
    for name, recorded in deb.conffiles.items():
        if recorded:
            yield f"{name} {NEW_CONFFILE if name in new else recorded}"
        else:
            yield f"{name} {before.get(name, NEW_CONFFILE)} remove-on-upgrade"
    for name in obsolete_conffiles(deb, old, view):
        yield f"{name} {before[name]} obsolete"
