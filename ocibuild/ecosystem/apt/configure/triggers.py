"""dpkg's triggers: which packages are told that others brought or took something.

Source: deb-triggers(5), triggers(7); dpkg 1.21's ``lib/dpkg/triglib.c``.
"""

from collections.abc import Iterable, Iterator, Mapping

from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage
from ocibuild.ecosystem.apt.deb822 import read_paragraphs
from ocibuild.image.overlay import Overlay

__all__ = ["activated_names", "activated_triggers", "triggered_packages"]

_FOLDER = "var/lib/dpkg/triggers"
_INFO = "var/lib/dpkg/info"
_STATUS = "var/lib/dpkg/status"


def triggered_packages(
    overlay: Overlay, packages: Iterable[ConfiguredPackage], changed_paths: Iterable[str] = ()
) -> list[tuple[ConfiguredPackage, tuple[str, ...]]]:
    """The packages whose ``postinst triggered`` runs, each with the names of its triggers.

    ``packages`` were configured just now: what they bring activates triggers, and their own are done with.
    ``changed_paths`` (absolute) went or came without a package. The interests are those in dpkg's database.
    """
    new = {(package.name, package.architecture) for package in packages}
    found = activated_triggers(overlay, packages, changed_paths)
    told = ((_installed(overlay, who), tuple(triggers)) for who, triggers in found.items())
    return [(each, names) for each, names in told if each is not None and (each.name, each.architecture) not in new]


def activated_triggers(
    overlay: Overlay, packages: Iterable[ConfiguredPackage], changed_paths: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Interested package, by its name in dpkg's database -> its triggers that ``packages`` activate.

    ``changed_paths`` as in :func:`triggered_packages`; names of triggers may be among them.
    """
    activated = set(changed_paths)
    for package in packages:
        activated.update(_activated_by(overlay, package))
    found: dict[str, list[str]] = {}
    for trigger, who in _interests(overlay):
        if trigger in activated or (trigger.startswith("/") and any(p.startswith(f"{trigger}/") for p in activated)):
            found.setdefault(who, []).append(trigger)
    return found


def activated_names(triggers: bytes) -> Iterator[str]:
    """The triggers that a control archive's ``triggers`` activates by name when the package's state changes."""
    for line in triggers.decode("utf-8", "replace").splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2 and words[0].startswith("activate"):  # noqa: PLR2004 - two words
            yield words[1]


def _activated_by(overlay: Overlay, package: ConfiguredPackage) -> Iterator[str]:
    yield from activated_names(package.scripts.get("triggers", b""))
    for name in (package.name, f"{package.name}:{package.architecture}"):
        yield from overlay.read_text(f"{_INFO}/{name}.list", "").splitlines()


def _interests(overlay: Overlay) -> Iterator[tuple[str, str]]:
    """Trigger and interested package (with its architecture where its name in the database has one)."""
    for line in overlay.read_text(f"{_FOLDER}/File", "").splitlines():
        trigger, _, who = line.rpartition(" ")
        yield trigger, who.removesuffix("/noawait")
    for name in overlay.children(_FOLDER):
        if name not in ("File", "Lock", "Unincorp"):
            for line in overlay.read_text(f"{_FOLDER}/{name}").splitlines():
                yield name, line.removesuffix("/noawait")


def _installed(overlay: Overlay, who: str) -> ConfiguredPackage | None:
    name, _, architecture = who.partition(":")
    for fields in read_paragraphs(overlay.read_text(_STATUS, "")):
        if fields.get("Package") == name and architecture in ("", fields.get("Architecture", "")):
            info = f"{_INFO}/{who}.postinst"
            scripts: Mapping[str, bytes] = {"postinst": overlay.read(info)} if overlay.is_file(info) else {}
            version = fields.get("Version", "")
            return ConfiguredPackage(name, fields.get("Architecture", ""), version, version, scripts)
    return None
