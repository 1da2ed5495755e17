"""Records in R's dialect of Debian's control format: ``DESCRIPTION`` files and the index ``PACKAGES``.

Source: R, ``?read.dcf`` and "Writing R Extensions", 1.1.1 and 1.1.3.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from ocibuild.core.r_asks import RRequirement, RVersion

__all__ = ["BuiltWith", "RDescription", "decode_description", "read_records"]

_NEEDED = ("Depends", "Imports", "LinkingTo")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
_BUILT = re.compile(r"R ([0-9]+\.[0-9]+\.[0-9]+)\s*;([^;]*);([^;]*);\s*unix", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BuiltWith:
    """What a binary package was built with: R's version, and the platform (empty where nothing was compiled)."""

    r_version: str
    platform: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ``Built`` field; a ValueError for anything else, a package for Windows included."""
        found = _BUILT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"its field Built is {text.strip()[:80]!r}")
        return cls(found[1], found[2].strip())


@dataclass(frozen=True, slots=True)
class RDescription:
    """The fields of one package. Continuation lines are joined with a blank."""

    fields: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The first record of a ``DESCRIPTION``; a ValueError where it is none, or names no package and version."""
        record = next(read_records(text), {})
        description = cls(record)
        description.check()
        return description

    def check(self) -> None:
        """A ValueError where the record names no package or version."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"its field Package is {self.name!r}")
        RVersion.parse(self.version)

    @property
    def name(self) -> str:
        """The package."""
        return self.fields.get("Package", "")

    @property
    def version(self) -> str:
        """Its version."""
        return self.fields.get("Version", "")

    @property
    def needs(self) -> tuple[RRequirement, ...]:
        """What must be there to install and load it, R itself among it (``Depends``, ``Imports``, ``LinkingTo``)."""
        return self.requirements(*_NEEDED)

    def requirements(self, *names: str) -> tuple[RRequirement, ...]:
        """The requirements in these fields, in their order; a ValueError where one is malformed."""
        words = (word for name in names for word in self.fields.get(name, "").split(","))
        return tuple(RRequirement.parse(word) for word in words if word.strip())

    @property
    def built(self) -> BuiltWith | None:
        """What a binary package was built with; None for a source package. A ValueError where it is malformed."""
        return BuiltWith.parse(self.fields["Built"]) if "Built" in self.fields else None


def read_records(text: str) -> Iterator[dict[str, str]]:
    """The records of a file, blank lines between them. A line that belongs to no field is overlooked, as R does."""
    record: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip():
            if record:
                yield record
            record, name = {}, ""
        elif line[0] in " \t":
            if name:
                record[name] = f"{record[name]} {line.strip()}".strip()
        else:
            name, colon, value = line.partition(":")
            name = name if colon else ""
            if name:
                record[name] = value.strip()
    if record:
        yield record


def decode_description(data: bytes) -> str:
    """The text of such a file: UTF-8, else Latin-1, as packages with an ``Encoding`` of their own have it."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
