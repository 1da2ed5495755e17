"""dpkg's database in an image: its packages, who owns a path, diversions, overrides.

Source: dpkg 1.21's ``lib/dpkg`` (``fields.c``, ``dump.c``, ``db-ctrl-access.c``), deb-triggers(5), dpkg-divert(1),
dpkg-statoverride(1).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.conffile import NEW_CONFFILE
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode, read_paragraphs
from ocibuild.ecosystem.apt.place import INFO_FOLDER, info_name
from ocibuild.image.view import View

__all__ = ["INSTALLED", "UNPACKED", "Diversion", "DpkgDatabase", "InstalledPackage", "status_text"]

INSTALLED = "install ok installed"
"""The Status of a package that is installed and configured, and meant to be."""

UNPACKED = "install ok unpacked"
"""The Status of a package that is meant to be installed, and whose ``postinst`` has not run."""

_FOLDER = "var/lib/dpkg"
# The order in which dpkg writes fields; others follow as they came (fields.c, fieldinfos).
_FIELD_ORDER = (
    "Package", "Essential", "Protected", "Status", "Priority", "Section", "Installed-Size", "Origin", "Maintainer",
    "Bugs", "Architecture", "Multi-Arch", "Source", "Version", "Config-Version", "Replaces", "Provides", "Depends",
    "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances", "Conffiles", "Description",
)  # fmt: skip
_OVERRIDE = re.compile(r"(\S+) (\S+) ([0-7]{1,5}) /(.*)")
_CONFIGURED = frozenset({"installed", "triggers-awaited", "triggers-pending"})
_HAS_FILES = _CONFIGURED | {"unpacked", "half-configured"}


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A stanza of the status file."""

    fields: Paragraph

    @property
    def name(self) -> str:
        """The package's name."""
        return self.fields["Package"]

    @property
    def architecture(self) -> str:
        """Its architecture; ``all`` for packages of none."""
        return self.fields.get("Architecture", "")

    @property
    def version(self) -> str:
        """Its version."""
        return self.fields.get("Version", "")

    @property
    def has_files(self) -> bool:
        """Whether its files are there: False for what was removed."""
        return self.fields.get("Status", "").rpartition(" ")[2] in _HAS_FILES

    @property
    def configured_version(self) -> str:
        """The version that was configured last, ``""`` where none was (dpkg writes it where it is another)."""
        known = self.fields.get("Config-Version", "")
        return known or (self.version if self.fields.get("Status", "").rpartition(" ")[2] in _CONFIGURED else "")

    @property
    def info_name(self) -> str:
        """The name of its files in dpkg's info folder, without what follows the dot."""
        return info_name(self.name, self.architecture, self.fields.get("Multi-Arch", ""))

    @property
    def conffiles(self) -> Mapping[str, str]:
        """Path (with a leading slash) -> MD5 of the version that the package shipped."""
        lines = (line.split() for line in self.fields.get("Conffiles", "").splitlines())
        return {words[0]: words[1] for words in lines if len(words) > 1}

    def flagged_conffiles(self, flag: str) -> frozenset[str]:
        """The conffiles that carry this flag: ``obsolete`` or ``remove-on-upgrade``."""
        lines = (line.split() for line in self.fields.get("Conffiles", "").splitlines())
        return frozenset(words[0] for words in lines if flag in words[2:])


@dataclass(frozen=True, slots=True)
class Diversion:
    """A path that everybody's but ``package``'s files are moved away from (``:`` is nobody, a local diversion)."""

    path: str
    target: str
    package: str


@dataclass(frozen=True, slots=True)
class DpkgDatabase:
    """What an image's dpkg knows. Paths have no leading slash."""

    packages: tuple[InstalledPackage, ...] = ()
    diversions: tuple[Diversion, ...] = ()
    overrides: tuple[tuple[str, int, int, int], ...] = ()
    architectures: tuple[str, ...] = ()
    _lists: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    _named: Mapping[str, tuple[InstalledPackage, ...]] = field(default_factory=lambda: MappingProxyType({}))
    _conffiles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def read(cls, view: View) -> "DpkgDatabase":
        """The database in this view; an empty one where the image has no dpkg.

        An ImageError for a status file that cannot be read as one.
        """
        packages = tuple(InstalledPackage(fields) for fields in _status_paragraphs(view))
        lists = {
            package.info_name: tuple(
                line.strip("/") for line in _lines(view, f"{INFO_FOLDER}/{package.info_name}.list")
            )
            for package in packages
            if package.has_files
        }
        named: dict[str, tuple[InstalledPackage, ...]] = {}
        conffiles: dict[str, str] = {}
        for package in packages:
            named[package.name] = (*named.get(package.name, ()), package)
            for path, md5 in package.conffiles.items():
                if md5 != NEW_CONFFILE:
                    conffiles.setdefault(path, md5)
        return cls(
            packages,
            tuple(_diversions(_lines(view, f"{_FOLDER}/diversions"))),
            tuple(_overrides(view)),
            tuple(_lines(view, f"{_FOLDER}/arch")),
            MappingProxyType(lists),
            MappingProxyType(named),
            MappingProxyType(conffiles),
        )

    def get(self, name: str, architecture: str) -> InstalledPackage | None:
        """The package of this name and architecture (``all`` counts as any), or None where it has no files here."""
        return self._found(name, architecture, with_files=True)

    def residue(self, name: str, architecture: str) -> InstalledPackage | None:
        """What is left of a removed package (its conffiles), or None."""
        return self._found(name, architecture, with_files=False)

    def _found(self, name: str, architecture: str, *, with_files: bool) -> InstalledPackage | None:
        named = [package for package in self._named.get(name, ()) if package.has_files is with_files]
        same = (package for package in named if architecture in (package.architecture, "all"))
        return next(same, None) or next((package for package in named if package.architecture == "all"), None)

    def conffile_md5(self, name: str, architecture: str, path: str) -> str:
        """The MD5 of the version of the conffile ``path`` (``/etc/...``) that was put there last, or ``""``.

        The package's own record counts, a removed version's too, then that of a package from which it takes over.
        """
        for package in (self.get(name, architecture), self.residue(name, architecture)):
            found = package.conffiles.get(path, NEW_CONFFILE) if package is not None else NEW_CONFFILE
            if found != NEW_CONFFILE:
                return found
        return self._conffiles.get(path, "")

    def paths(self, package: InstalledPackage) -> tuple[str, ...]:
        """The paths in the package's list, as the package names them (not through links of the image)."""
        return self._lists.get(package.info_name, ())


def status_text(paragraphs: Iterable[Paragraph]) -> str:
    """A status file of these stanzas, sorted and ordered as dpkg writes them, values kept as they are."""
    ordered = sorted(paragraphs, key=lambda fields: (fields["Package"], fields.get("Architecture", "")))
    return "".join(f"{_ordered(fields).text}\n" for fields in ordered)


def _ordered(fields: Paragraph) -> Paragraph:
    known = {name.lower(): number for number, name in enumerate(_FIELD_ORDER)}
    names = list(fields)
    return fields.ordered(sorted(names, key=lambda name: known.get(name.lower(), len(known) + names.index(name))))


def _status_paragraphs(view: View) -> Iterator[Paragraph]:
    """The stanzas of status, or of status.d, where distroless images keep them one a file and without a Status."""
    texts = [decode(view.read(f"{_FOLDER}/status"))] if f"{_FOLDER}/status" in view else []
    if not texts:
        names = [name for name in view.children(f"{_FOLDER}/status.d") if not name.endswith(".md5sums")]
        texts = [decode(view.read(f"{_FOLDER}/status.d/{name}")) for name in names]
    for text in texts:
        for fields in read_paragraphs(text):
            if "Package" not in fields:
                raise ImageError("dpkg's status file of the image has a stanza without Package")
            yield fields if "Status" in fields else fields.with_fields({"Status": INSTALLED})


def _lines(view: View, path: str) -> list[str]:
    return decode(view.read(path)).splitlines() if path in view else []


def _diversions(lines: list[str]) -> Iterator[Diversion]:
    if len(lines) % 3:
        raise ImageError(f"dpkg's diversions of the image have {len(lines)} lines, not a multiple of three")
    for path, target, package in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        yield Diversion(path.lstrip("/"), target.lstrip("/"), package)


def _overrides(view: View) -> Iterator[tuple[str, int, int, int]]:
    users, groups = (_ids(view, f"etc/{name}") for name in ("passwd", "group"))
    for line in _lines(view, f"{_FOLDER}/statoverride"):
        found = _OVERRIDE.fullmatch(line)
        if found is None:
            raise ImageError(f"dpkg's statoverride of the image has a malformed line: {line!r}")
        user, group, mode, path = found.groups()
        yield path, int(mode, 8), _id(user, users), _id(group, groups)


def _ids(view: View, path: str) -> dict[str, int]:
    rows = (line.split(":") for line in _lines(view, path))
    return {row[0]: int(row[2]) for row in rows if len(row) > 2 and row[2].isdigit()}  # noqa: PLR2004 - name, x, id


def _id(name: str, ids: Mapping[str, int]) -> int:
    if name.startswith("#") and name[1:].isdecimal():
        return int(name[1:])
    if name not in ids:
        raise ImageError(f"dpkg's statoverride of the image names {name!r}, which has no account there")
    return ids[name]
