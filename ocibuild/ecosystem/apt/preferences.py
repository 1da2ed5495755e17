"""Which version of a package is its candidate: apt_preferences(5), as apt 2.6's policy.cc reads it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.deb822 import read_paragraphs
from ocibuild.ecosystem.apt.package import Package, PackageVersion
from ocibuild.ecosystem.apt.universe import Universe
from ocibuild.ecosystem.apt.version import compare
from ocibuild.ecosystem.apt.version_match import MatchKind, VersionMatch, expression_matches

__all__ = ["NEVER", "Pin", "Policy", "Preferences"]

NEVER = -32768
"""The priority ``never``, which no other pin overrides."""

_HIGHEST = 32767
_TARGET_RELEASE_PRIORITY = 990
_DOWNGRADING = 1000
_NOT_INSTALLED_STATUS = -1
_PRIORITY = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Pin:
    """One record: ``packages`` are names, globs and ``src:`` names, empty for ``Package: *``."""

    packages: tuple[str, ...]
    match: VersionMatch
    priority: int

    def names(self, version: PackageVersion, universe: Universe) -> bool:
        """Whether the record names the package of this version (apt's pkgPolicy::CreatePin)."""
        return any(_names(text, version, universe) for text in self.packages)


def _names(text: str, version: PackageVersion, universe: Universe) -> bool:
    is_source = text.startswith("src:")
    text = text.removeprefix("src:")
    name, colon, architecture = text.rpartition(":")
    if not colon:
        name, architecture = text, universe.architecture
    own_name = version.source_package[0] if is_source else version.name
    own_architecture = version.package.architecture
    if architecture not in ("any", "*", own_architecture) and not (
        architecture == "native" and own_architecture == universe.architecture
    ):
        return False
    is_pattern = (name.startswith("/") and name.endswith("/")) or any(one in name for one in "*[?")
    return own_name == name or (is_pattern and expression_matches(name, own_name))


@dataclass(frozen=True, slots=True)
class Preferences:
    """Pins in the order of their files, and the release that the user prefers (``APT::Default-Release``, ``-t``)."""

    pins: tuple[Pin, ...] = ()
    target_release: str = ""

    @classmethod
    def parse(cls, files: Iterable[tuple[str, str]], *, target_release: str = "") -> "Preferences":
        """Read preference files: (name for messages, text), in apt's order (``preferences``, then the folder's).

        A record without ``Pin`` or with an unknown kind of pin is overlooked, as apt does; one without ``Package`` or
        with a bad ``Pin-Priority`` is a RepositoryError that names the file.
        """
        return cls(tuple(pin for name, text in files for pin in _read_pins(name, text)), target_release)


def _read_pins(file: str, text: str) -> Iterable[Pin]:
    for fields in read_paragraphs(text, comments=True):
        names = fields.get("Package", "")
        if not names:
            raise RepositoryError("a record of apt preferences without Package", file=file)
        if "Pin" not in fields:
            continue
        kind_word, _, data = " ".join(fields["Pin"].split()).partition(" ")
        kind = next((kind for kind in MatchKind if kind.value == kind_word.lower()), None)
        if kind is None or (kind is MatchKind.VERSION and names == "*"):
            continue
        packages = () if names == "*" else tuple(names.split())
        yield Pin(
            packages, VersionMatch(kind, data.strip()), _read_priority(fields.get("Pin-Priority", ""), names, file)
        )


def _read_priority(text: str, names: str, file: str) -> int:
    if text == "never":
        if names != "*":
            raise RepositoryError("Pin-Priority: never can only be used with Package: *", file=file)
        return NEVER
    priority = int(text) if _PRIORITY.fullmatch(text) else 0
    if priority == 0 or not NEVER <= priority <= _HIGHEST:
        raise RepositoryError(
            f"Pin-Priority {text!r} of {names}", file=file, hint=f"a whole number other than 0, up to {_HIGHEST}"
        )
    return max(priority, NEVER + 1)


class Policy:
    """Preferences applied to a universe: priorities and candidates, as ``apt-cache policy`` prints them."""

    def __init__(self, universe: Universe, preferences: Preferences) -> None:
        """A UsageError where the target release is that of no archive."""
        self._universe = universe
        self._installed = universe.installed
        self._package_pins = tuple(pin for pin in preferences.pins if pin.packages)
        self._archive_pins = [pin for pin in preferences.pins if not pin.packages]
        self._by_archive: dict[Archive | None, int] = {}
        if preferences.target_release:
            self._add_target_release(preferences.target_release)

    def _add_target_release(self, release: str) -> None:
        archives = set(self._universe.archives)
        match = VersionMatch(MatchKind.RELEASE, release)
        if "=" not in release and release != "now" and not any(map(match.archive_matches, archives)):
            raise UsageError(
                f"no apt source is the release {release!r}",
                hint="known: "
                + ", ".join(sorted({one.suite for one in archives} | {one.codename for one in archives})),
            )
        self._archive_pins.insert(0, Pin((), match, _TARGET_RELEASE_PRIORITY))

    def archive_priority(self, archive: Archive | None) -> int:
        """The priority of all that an archive carries; None stands for dpkg's status."""
        known = self._by_archive.get(archive)
        if known is None:
            known = self._by_archive[archive] = self._find_archive_priority(archive)
        return known

    def _find_archive_priority(self, archive: Archive | None) -> int:
        pins = [pin for pin in self._archive_pins if pin.match.archive_matches(archive)]
        if any(pin.priority == NEVER for pin in pins):
            return NEVER
        if pins:
            return pins[0].priority
        if archive is None or (archive.pin_priority is None and archive.but_automatic_upgrades):
            return 100
        if archive.pin_priority is not None:
            return archive.pin_priority
        return 1 if archive.not_automatic else 500

    def priority(self, version: PackageVersion) -> int:
        """The priority of a version: its own pin's, else the highest of its archives."""
        files = [self.archive_priority(one.archive) for one in version.occurrences]
        for pin in self._package_pins:
            if pin.names(version, self._universe) and pin.match.matches(version):
                if any(priority != NEVER for priority in files):
                    return pin.priority
                break
        if version.in_status and self._installed.get(version.package) is not version:
            files[-1] = _NOT_INSTALLED_STATUS  # what is left of a removed package cannot be fetched
        return max(files)

    def candidate(self, package: Package) -> PackageVersion | None:
        """The version that apt would install: of the highest priority, then the newest; None where none may be.

        An older version than the installed one needs a priority of at least 1000.
        """
        installed = self._installed.get(package)
        best, best_priority = None, -1
        for version in package.versions:
            priority = self.priority(version)
            if priority == 0 or priority <= best_priority:
                continue
            if installed is not None and priority < _DOWNGRADING and compare(version.version, installed.version) < 0:
                continue
            best, best_priority = version, priority
        return best
