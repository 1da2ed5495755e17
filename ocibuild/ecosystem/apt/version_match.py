"""What a pin or a word such as ``foo/bookworm`` picks among versions (apt 2.6, versionmatch.cc; apt_preferences(5))."""

import fnmatch
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.package import Package, PackageVersion

__all__ = ["MatchKind", "VersionMatch", "expression_matches"]

_RELEASE_FIELDS = {
    "v": "version",
    "o": "origin",
    "a": "suite",
    "n": "codename",
    "l": "label",
    "c": "component",
    "b": "architecture",
}
_STATUS = Archive(source="", suite="now", component="now")  # how apt names dpkg's status in a pin


class MatchKind(Enum):
    """The kinds of pins."""

    VERSION = "version"
    RELEASE = "release"
    ORIGIN = "origin"


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> "re.Pattern[str] | None":
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        try:
            return re.compile(pattern[1:-1], re.IGNORECASE)
        except re.error:
            return None  # apt warns, and nothing matches
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE)


def expression_matches(pattern: str, text: str) -> bool:
    """Whether a glob, or a regular expression between slashes, matches ``text``; case does not count."""
    compiled = _expression(pattern)
    if compiled is None:
        return False
    if pattern.startswith("/") and pattern.endswith("/") and len(pattern) > 1:
        return compiled.search(text) is not None
    return compiled.match(text) is not None


def _version_matches(text: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        wanted = wanted[:-1]
        if text.lower().startswith(wanted.lower()):
            return True
    return text.lower() == wanted.lower() or expression_matches(wanted, text)


@dataclass(frozen=True, slots=True)
class VersionMatch:
    """A condition on versions: on their text, or on an archive that carries them."""

    kind: MatchKind
    data: str

    def archive_matches(self, archive: Archive | None) -> bool:
        """Whether an archive (None is dpkg's status) is the one meant. False for conditions on a version's text."""
        if self.kind is MatchKind.ORIGIN:
            site = self.data[1:-1] if len(self.data) > 1 and self.data[0] == self.data[-1] == '"' else self.data
            return archive is not None and expression_matches(site, archive.site)
        if self.kind is MatchKind.VERSION:
            return False
        if self.data == "*":
            return True
        if "=" not in self.data:
            return self._simple_release_matches(archive)
        return self._release_matches(archive or _STATUS, in_status=archive is None)

    def _simple_release_matches(self, archive: Archive | None) -> bool:
        if not self.data:
            return False
        if self.data[0].isdigit():
            return archive is not None and _version_matches(archive.version, self.data)
        if archive is None:
            return expression_matches(self.data, _STATUS.suite)
        return expression_matches(self.data, archive.suite) or expression_matches(self.data, archive.codename)

    def _release_matches(self, archive: Archive, *, in_status: bool) -> bool:
        wanted = {
            _RELEASE_FIELDS[part.strip()[:1].lower()]: part.strip()[2:]
            for part in self.data.split(",")
            if part.strip()[1:2] == "=" and part.strip()[2:] and part.strip()[:1].lower() in _RELEASE_FIELDS
        }
        if not wanted or (in_status and wanted.keys() & {"origin", "label", "version", "codename"}):
            return False
        return all(
            _version_matches(getattr(archive, field), text)
            if field == "version"
            else expression_matches(text, getattr(archive, field))
            for field, text in wanted.items()
        )

    def matches(self, version: PackageVersion) -> bool:
        """Whether the version's text, or one of its archives, is the one meant."""
        if self.kind is MatchKind.VERSION:
            return _version_matches(version.version, self.data)
        return any(self.archive_matches(one.archive) for one in version.occurrences)

    def find(self, package: Package) -> PackageVersion | None:
        """The newest version of the package that matches."""
        return next((version for version in package.versions if self.matches(version)), None)
