"""What packages share in an image once they are installed: dpkg's and apt's state, and what their scripts would make.

Source: dpkg 1.21's ``main/unpack.c`` and ``lib/dpkg/trigdeferred.c``, deb-triggers(5), apt's ``extended_states``.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ocibuild.ecosystem.apt.configure import ConfiguredPackage, UnknownScript, configure
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage, status_text
from ocibuild.ecosystem.apt.deb822 import Paragraph, read_paragraphs
from ocibuild.ecosystem.apt.place import INFO_FOLDER, info_name
from ocibuild.ecosystem.apt.removal import has_residue
from ocibuild.ecosystem.apt.settle import PlacedDeb
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry

__all__ = ["STATE_VERSION", "AptState", "make_state"]

STATE_VERSION = 1
"""Part of the state layer's key: raise it whenever the same packages give other entries."""

_FOLDER = "var/lib/dpkg"
_EXTENDED = "var/lib/apt/extended_states"
_INSTALLED = "install ok installed"
_SCRIPTS = ("preinst", "postinst", "config", "templates", "triggers")


@dataclass(frozen=True, slots=True)
class AptState:
    """The entries of the state layer, and the scripts whose work is not known as data: with any, it is not complete."""

    entries: tuple[Entry, ...]
    unknown: tuple[UnknownScript, ...]


def make_state(
    placed: Sequence[PlacedDeb],
    removed: Sequence[InstalledPackage],
    *,
    view: View,
    database: DpkgDatabase,
    architecture: str,
    seeds: Iterable[Entry] = (),
) -> AptState:
    """The state after installing ``placed`` (in the order of configuration) and removing ``removed``.

    ``view`` is the image with the packages' files in place, ``database`` that of the base, ``architecture`` the image's
    own. ``seeds`` are entries that must be there first: what a base from nothing needs.
    """
    overlay = Overlay(view)
    for seed in seeds:
        _put(overlay, seed)
    overlay.make_folders(f"{_FOLDER}/info")
    _write_status(overlay, placed, removed, database, view)
    _write_lists(overlay, placed, removed, database)
    _write_triggers(overlay, placed, removed)
    _write_extended_states(overlay, placed, removed, architecture)
    for name, content in (("info/format", "1\n"), ("diversions", ""), ("statoverride", ""), ("available", "")):
        if f"{_FOLDER}/{name}" not in overlay:
            overlay.write(f"{_FOLDER}/{name}", content)
    if f"{_FOLDER}/arch" not in overlay:
        overlay.write(f"{_FOLDER}/arch", f"{architecture}\n")
    report = configure(overlay, [_configured(deb, database, view) for deb in placed], architecture=architecture)
    return AptState(tuple(overlay.changes()), report.unknown)


def _put(overlay: Overlay, entry: Entry) -> None:
    folder = entry.path.rpartition("/")[0]
    overlay.make_folders(folder)
    if entry.kind.value == "symlink":
        overlay.symlink(entry.path, entry.link)
    elif entry.kind.value == "directory":
        overlay.make_folders(entry.path, mode=entry.mode, uid=entry.uid, gid=entry.gid)
    else:
        overlay.write(entry.path, entry.read(), mode=entry.mode, uid=entry.uid, gid=entry.gid)


def _write_status(
    overlay: Overlay,
    placed: Sequence[PlacedDeb],
    removed: Sequence[InstalledPackage],
    database: DpkgDatabase,
    view: View,
) -> None:
    stanzas = {(each.name, each.architecture): each.fields for each in database.packages}
    for package in removed:
        key = (package.name, package.architecture)
        if has_residue(package, view):
            changes = {"Status": "deinstall ok config-files", "Config-Version": package.version}
            stanzas[key] = package.fields.with_fields(changes)
        else:
            del stanzas[key]
    for deb in placed:
        old = database.get(deb.package.name, deb.package.architecture)
        if old is not None:
            stanzas.pop((old.name, old.architecture), None)
        stanzas[deb.package.name, deb.control.get("Architecture", "")] = _stanza(deb, old)
    overlay.write(f"{_FOLDER}/status", status_text(stanzas.values()))


def _stanza(deb: PlacedDeb, old: InstalledPackage | None) -> Paragraph:
    conffiles = _conffiles(deb)
    lines = [f"\n {path} {md5}" for path, md5 in conffiles.items()]
    if old is not None:  # what the new version does not ship any more stays, and is marked
        lines += [f"\n {path} {md5} obsolete" for path, md5 in old.conffiles.items() if path not in conffiles]
    return deb.control.with_fields({"Status": _INSTALLED, "Conffiles": "".join(lines) or None})


def _write_lists(
    overlay: Overlay, placed: Sequence[PlacedDeb], removed: Sequence[InstalledPackage], database: DpkgDatabase
) -> None:
    """The lists that change because of another package or an older version; a package's own list came with it."""
    for deb in placed:
        old = database.get(deb.package.name, deb.package.architecture)
        obsolete = [path for path in old.conffiles if path not in _conffiles(deb)] if old else []
        if obsolete:
            path = f"{INFO_FOLDER}/{_info_name(deb)}.list"
            overlay.write(path, overlay.read_text(path) + "".join(f"{line}\n" for line in obsolete))
    taken = {path for deb in placed for path, entry in deb.table.entries.items() if entry.kind != "directory"}
    replaced = {(deb.package.name, deb.control.get("Architecture", "")) for deb in placed}

    def remains(line: str, package: InstalledPackage) -> bool:
        """Whether a folder of a removed package is left to it: it is not empty, and no other package has it."""
        others = (each for each in database.packages if each is not package)
        folder = "" if line == "/." else line.strip("/")
        return overlay.is_folder(folder) and not any(line.strip("/") in database.paths(other) for other in others)

    for package in database.packages:
        path = f"{INFO_FOLDER}/{package.info_name}.list"
        if path not in overlay or (package.name, package.architecture) in replaced:
            continue
        kept = [line for line in _read_lines(overlay, path) if overlay.canonical(line.strip("/")) not in taken]
        if package in removed:
            kept = [line for line in kept if line in package.conffiles or remains(line, package)]
        overlay.write(path, "".join(f"{line}\n" for line in kept))


def _conffiles(deb: PlacedDeb) -> Mapping[str, str]:
    conffiles: Mapping[str, str] = json.loads(deb.notes["conffiles"])
    return conffiles


def _write_triggers(overlay: Overlay, placed: Sequence[PlacedDeb], removed: Sequence[InstalledPackage]) -> None:
    """The interest files: what dpkg's trigger machinery looks up by path or name."""
    overlay.make_folders(f"{_FOLDER}/triggers")
    interests: dict[str, list[str]] = {"File": _read_lines(overlay, f"{_FOLDER}/triggers/File")}
    going = {package.info_name for package in removed} | {_info_name(deb) for deb in placed}
    for name in overlay.children(f"{_FOLDER}/triggers"):
        if name not in ("Lock", "Unincorp"):
            lines = _read_lines(overlay, f"{_FOLDER}/triggers/{name}")
            interests[name] = [line for line in lines if line.split(" ")[-1].partition("/")[0] not in going]
    for deb in placed:
        text = overlay.read_text(f"{INFO_FOLDER}/{_info_name(deb)}.triggers", "")
        for trigger, suffix in _interests(text):
            who = f"{_info_name(deb)}{suffix}"
            if trigger.startswith("/"):
                interests["File"].append(f"{trigger} {who}")
            else:
                interests.setdefault(trigger, []).append(who)
    for name, lines in interests.items():
        path = f"{_FOLDER}/triggers/{name}"
        if lines or path in overlay:
            overlay.write(path, "".join(f"{line}\n" for line in lines))
    if f"{_FOLDER}/triggers/Unincorp" not in overlay:
        overlay.write(f"{_FOLDER}/triggers/Unincorp", "")


def _interests(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2 and words[0] in ("interest", "interest-await", "interest-noawait"):  # noqa: PLR2004 - two words
            yield words[1], "/noawait" if words[0] == "interest-noawait" else ""


def _write_extended_states(
    overlay: Overlay, placed: Sequence[PlacedDeb], removed: Sequence[InstalledPackage], native: str
) -> None:
    """Apt's marks of what was installed only because something else needs it (apt-mark(8))."""
    stanzas = {
        (fields["Package"], fields.get("Architecture", native)): fields
        for fields in read_paragraphs(overlay.read_text(_EXTENDED, ""))
        if "Package" in fields
    }
    before = dict(stanzas)
    for package in removed:
        stanzas.pop((package.name, _real(package.architecture, native)), None)
    for deb in placed:
        key = (deb.package.name, _real(deb.package.architecture, native))
        if deb.package.fields.get("automatic") == "yes":
            stanzas[key] = Paragraph({"Package": key[0], "Architecture": key[1], "Auto-Installed": "1"})
        else:
            stanzas.pop(key, None)
    if stanzas != before:
        overlay.make_folders("var/lib/apt")
        overlay.write(_EXTENDED, "".join(f"{fields.text}\n" for fields in stanzas.values()))


def _real(architecture: str, native: str) -> str:
    return native if architecture == "all" else architecture


def _info_name(deb: PlacedDeb) -> str:
    control = deb.control
    return info_name(deb.package.name, control.get("Architecture", ""), control.get("Multi-Arch", ""))


def _read_lines(overlay: Overlay, path: str) -> list[str]:
    return overlay.read_text(path, "").splitlines()


def _configured(deb: PlacedDeb, database: DpkgDatabase, view: View) -> ConfiguredPackage:
    old = database.get(deb.package.name, deb.package.architecture)
    scripts = {}
    for member in _SCRIPTS:
        path = f"{INFO_FOLDER}/{_info_name(deb)}.{member}"
        if path in view:
            scripts[member] = view.read(path)
    return ConfiguredPackage(
        name=deb.package.name,
        architecture=deb.package.architecture,
        version=deb.package.version,
        previous_version=old.version if old else "",
        scripts=scripts,
    )
