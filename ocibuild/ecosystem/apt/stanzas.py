"""Stanzas of Packages indexes and of dpkg's status, found by name and by what they provide, not yet read."""

from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.deb822 import Paragraph
from ocibuild.ecosystem.apt.package import Occurrence, Package, PackageVersion
from ocibuild.ecosystem.apt.version import sort_key

__all__ = ["Stanza", "Stanzas", "merged_versions"]

_START = "Package: "
# What apt hashes to tell two builds of one version apart (debListParser::VersionHash).
_SAMENESS = ("Installed-Size", "Depends", "Pre-Depends", "Conflicts", "Breaks", "Replaces")


class Stanza:
    """One stanza of ``source``, from ``start`` to ``end``; ``archive`` is None in dpkg's status.

    ``number`` counts over all texts. Equal only to itself. Of the 63,000 stanzas of Debian's main few hundred are ever
    looked at, so the others stay where they are: as texts of their own they would take 50 MB.
    """

    __slots__ = ("_end", "_source", "_start", "_text", "archive", "number")

    def __init__(self, source: str, start: int, end: int, archive: Archive | None, number: int) -> None:
        self._source = source
        self._start = start
        self._end = end
        self._text: str | None = None
        self.archive = archive
        self.number = number

    @property
    def text(self) -> str:
        """The text: the same object every time."""
        if self._text is None:
            self._text = self._source[self._start : self._end]
        return self._text

    def holds(self, text: str) -> bool:
        """Whether ``text`` is in the stanza, which costs no memory."""
        return self._source.find(text, self._start, self._end) >= 0


class Stanzas:
    """Every stanza of several texts, in their order.

    Reading 63,000 stanzas so costs 0.3 s of CPU; parsing them all would cost ten times that.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, list[Stanza]] = {}
        self.by_provided: dict[str, list[Stanza]] = {}
        self.installed: list[Stanza] = []
        self._count = 0

    def add(self, text: str, archive: Archive | None) -> None:
        """Note the stanzas of ``text``: of a stanza only Package and Provides are looked at."""
        end = -2
        while (start_of_part := end + 2) <= len(text):
            end = text.find("\n\n", start_of_part)
            end = len(text) if end < 0 else end
            part = text[start_of_part:end]
            if part.startswith(_START):
                name = part[len(_START) : part.find("\n")].rstrip()
                start = part.find("\nProvides:")
                provided = part[start + len("\nProvides:") : _end_of_field(part, start + 1)] if start >= 0 else ""
            else:
                fields = Paragraph.parse(part)
                name, provided = fields.get("Package", ""), fields.get("Provides", "")
                if not name:
                    continue
            stanza = Stanza(text, start_of_part, end, archive, self._count)
            self._count += 1
            self.by_name.setdefault(name, []).append(stanza)
            if archive is None:
                self.installed.append(stanza)
            for item in provided.split(",") if provided else ():
                virtual = item.partition("(")[0].strip().partition(":")[0]
                if self.by_provided.setdefault(virtual, [stanza])[-1] is not stanza:
                    self.by_provided[virtual].append(stanza)


def _end_of_field(part: str, start: int) -> int:
    """Where the field that begins at ``start`` ends, continuation lines included."""
    end = part.find("\n", start)
    while end >= 0 and part[end + 1 : end + 2] in (" ", "\t"):
        end = part.find("\n", end + 1)
    return len(part) if end < 0 else end


def _sameness(fields: Paragraph) -> str:
    """What apt compares to tell whether two stanzas of one version are one build (dpkg reformats the fields)."""
    text = "".join(fields.get(name, "") for name in _SAMENESS)
    return "".join(text.replace("0:", "").replace("=", "").lower().split())


def _is_same_build(known: Paragraph, fields: Paragraph) -> bool:
    """debListParser::SameVersion; dpkg's status has no Size."""
    sizes = {known.get("Size", ""), fields.get("Size", "")} - {""}
    return (
        len(sizes) <= 1
        and known.get("Multi-Arch", "no") == fields.get("Multi-Arch", "no")
        and _sameness(known) == _sameness(fields)
    )


def merged_versions(package: Package, stanzas: list[tuple[Stanza, Paragraph]]) -> tuple[PackageVersion, ...]:
    """The versions of a package, newest first: stanzas of one build are one version, in the order of the texts.

    Builds of one version text that differ stay apart, as in apt, in the order of the texts.
    """
    merged: dict[str, list[tuple[Paragraph, list[Stanza]]]] = {}
    for stanza, fields in stanzas:
        builds = merged.setdefault(fields["Version"], [])
        for known, occurrences in builds:
            if _is_same_build(known, fields):
                occurrences.append(stanza)
                break
        else:
            builds.append((fields, [stanza]))
    versions = [
        PackageVersion(
            package, text, tuple(Occurrence(one.archive, one.text) for one in occurrences), occurrences[0].number
        )
        for text, builds in merged.items()
        for _, occurrences in builds
    ]
    return tuple(sorted(versions, key=lambda version: sort_key(version.version), reverse=True))
