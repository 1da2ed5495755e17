"""What packages share in an image once they are installed: dpkg's and apt's state, and what their scripts would make.

Source: dpkg 1.21's ``main/unpack.c`` and ``lib/dpkg/trigdeferred.c``, deb-triggers(5), apt's ``extended_states``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ocibuild.ecosystem.apt.configure import UnknownScript, configure
from ocibuild.ecosystem.apt.database import InstalledPackage
from ocibuild.ecosystem.apt.deb822 import Paragraph, read_paragraphs
from ocibuild.ecosystem.apt.installation import Installation
from ocibuild.ecosystem.apt.lists import write_lists
from ocibuild.ecosystem.apt.place import INFO_FOLDER
from ocibuild.ecosystem.apt.settle import PlacedDeb
from ocibuild.ecosystem.apt.status import status_after
from ocibuild.ecosystem.apt.unpacked import leave_unconfigured
from ocibuild.image.overlay import Overlay
from ocibuild.layer.entry import Entry

__all__ = ["STATE_VERSION", "AptState", "make_state"]

STATE_VERSION = 10
"""Part of the state layer's key: raise it whenever the same packages give other entries, the step's files too."""

_FOLDER = "var/lib/dpkg"
_EXTENDED = "var/lib/apt/extended_states"


@dataclass(frozen=True, slots=True)
class AptState:
    """The entries of the state layer, and the scripts that are not known as data.

    With no such script the packages are configured. Otherwise they are unpacked, and what else is in ``entries`` lets
    a step configure them (:mod:`ocibuild.ecosystem.apt.configure_step`).
    """

    entries: tuple[Entry, ...]
    unknown: tuple[UnknownScript, ...]


def make_state(installation: Installation, *, seeds: Sequence[Entry] = ()) -> AptState:
    """The state after this installation.

    ``seeds`` are entries that must be there first: what a base from nothing needs.
    """
    unknown = installation.unknown_scripts()
    if not unknown:
        overlay = _with_database(installation, seeds, configured=True)
        unknown = configure(
            overlay,
            installation.configured_packages(),
            architecture=installation.architecture,
            changed_paths=installation.activated_by_what_goes(),
        ).unknown
        if not unknown:
            return AptState(tuple(overlay.changes()), ())
    overlay = _with_database(installation, seeds, configured=False)
    leave_unconfigured(overlay, installation)
    return AptState(tuple(overlay.changes()), unknown)


def _with_database(installation: Installation, seeds: Iterable[Entry], *, configured: bool) -> Overlay:
    """The image with dpkg's and apt's databases after the installation."""
    overlay = Overlay(installation.view)
    for seed in seeds:
        _put(overlay, seed)
    overlay.make_folders(f"{_FOLDER}/info")
    placed, removed = installation.placed, installation.removed
    view, database = installation.view, installation.database
    put_aside = None if configured else installation.new_conffiles()
    status = status_after(placed, removed, view=view, database=database, put_aside=put_aside)
    overlay.write(f"{_FOLDER}/status", status)
    write_lists(overlay, placed, removed, view=view, database=database)
    _write_triggers(overlay, placed, removed)
    _write_extended_states(overlay, placed, removed, installation.architecture)
    for name, content in (("info/format", "1\n"), ("diversions", ""), ("statoverride", ""), ("available", "")):
        if f"{_FOLDER}/{name}" not in overlay:
            overlay.write(f"{_FOLDER}/{name}", content)
    _write_architectures(overlay, placed, installation.architecture)
    return overlay


def _put(overlay: Overlay, entry: Entry) -> None:
    folder = entry.path.rpartition("/")[0]
    overlay.make_folders(folder)
    if entry.kind.value == "symlink":
        overlay.symlink(entry.path, entry.link)
    elif entry.kind.value == "directory":
        overlay.make_folders(entry.path, mode=entry.mode, uid=entry.uid, gid=entry.gid)
    else:
        overlay.write(entry.path, entry.read(), mode=entry.mode, uid=entry.uid, gid=entry.gid)


def _write_architectures(overlay: Overlay, placed: Sequence[PlacedDeb], native: str) -> None:
    """The native architecture and the foreign ones (dpkg(1), ``--add-architecture``)."""
    known = _read_lines(overlay, f"{_FOLDER}/arch") or [native]
    new = sorted({deb.package.architecture for deb in placed} - {"all", *known})
    overlay.write(f"{_FOLDER}/arch", "".join(f"{architecture}\n" for architecture in [*known, *new]))


def _write_triggers(overlay: Overlay, placed: Sequence[PlacedDeb], removed: Sequence[InstalledPackage]) -> None:
    """The interest files: what dpkg's trigger machinery looks up by path or name."""
    overlay.make_folders(f"{_FOLDER}/triggers")
    interests: dict[str, list[str]] = {"File": _read_lines(overlay, f"{_FOLDER}/triggers/File")}
    going = {package.info_name for package in removed} | {deb.info_name for deb in placed}
    for name in overlay.children(f"{_FOLDER}/triggers"):
        if name not in ("Lock", "Unincorp"):
            lines = _read_lines(overlay, f"{_FOLDER}/triggers/{name}")
            interests[name] = [line for line in lines if line.split(" ")[-1].partition("/")[0] not in going]
    for deb in placed:
        text = overlay.read_text(f"{INFO_FOLDER}/{deb.info_name}.triggers", "")
        for trigger, suffix in _interests(text):
            who = f"{deb.info_name}{suffix}"
            if trigger.startswith("/"):
                interests["File"].append(f"{trigger} {who}")
            else:
                interests.setdefault(trigger, []).append(who)
    for name, lines in interests.items():
        path = f"{_FOLDER}/triggers/{name}"
        if lines:
            overlay.write(path, "".join(f"{line}\n" for line in lines))
        else:
            overlay.remove(path)
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


def _read_lines(overlay: Overlay, path: str) -> list[str]:
    return overlay.read_text(path, "").splitlines()
