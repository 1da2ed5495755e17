"""The packages of a lock file in TOML, with the lines at which they stand."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocibuild.core.errors import RepositoryError
from ocibuild.spec.toml import read_toml

__all__ = ["LockTables"]


@dataclass(frozen=True, slots=True)
class LockTables:
    """A document whose array of tables (``[[package]]``) lists packages: ``members``, and ``lines`` beside them."""

    file: str
    document: Mapping[str, Any]
    members: Sequence[Mapping[str, Any]]
    lines: Sequence[int]

    @classmethod
    def parse(cls, text: str, *, file: str, array: str) -> "LockTables":
        """Read the document; a RepositoryError where it is no TOML, or ``array`` is no array of tables in it."""
        document = read_toml(text, file=file)
        members = document.get(array, [])
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise RepositoryError(f"{array}: must be tables, each begun with [[{array}]]", file=file)
        header = re.compile(rf"\s*\[\[\s*{re.escape(array)}\s*\]\]")
        lines = [number for number, line in enumerate(text.splitlines(), start=1) if header.match(line)]
        return cls(file, document, members, lines if len(lines) == len(members) else [1] * len(members))

    def name(self, place: int) -> str:
        """The name of a package; a RepositoryError where it has none."""
        name = self.members[place].get("name")
        if not isinstance(name, str) or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is None:
            raise self.error(place, "a package without a name")
        return name

    def line(self, place: int) -> int:
        """The line at which a package begins."""
        return self.lines[place]

    def table(self, place: int, key: str) -> Mapping[str, Any]:
        """A table of a package, empty where there is none."""
        value = self.members[place].get(key, {})
        if not isinstance(value, dict):
            raise self.error(place, f"{key}: must be a table")
        return value

    def error(self, place: int, message: str) -> RepositoryError:
        """An error about a package of the lock."""
        return RepositoryError(message, file=self.file, line=self.line(place))
