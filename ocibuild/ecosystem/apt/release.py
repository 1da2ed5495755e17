"""A suite's Release file: what is signed, and the hashes of everything else.

Source: https://wiki.debian.org/DebianRepository/Format, "Release".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, IntegrityError
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode

__all__ = ["IndexFile", "Release"]

_HASH_LINE = re.compile(r"([0-9a-f]{64})\s+(\d{1,12})\s+(\S+)")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file that the Release file vouches for; ``path`` is relative to it."""

    path: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Release:
    """The signed fields and the files by path. ``date`` is in seconds since the epoch."""

    fields: Paragraph
    files: Mapping[str, IndexFile]
    date: float

    @classmethod
    def parse(cls, signed: bytes, *, where: str) -> "Release":
        """Read the text that :meth:`Keyring.verified` returned; an ImageError where it is no Release file."""
        fields = Paragraph.parse(decode(signed).replace("\r\n", "\n"))
        files = {}
        for line in fields.get("SHA256", "").splitlines():
            found = _HASH_LINE.fullmatch(line.strip())
            if found is not None:
                files[found[3]] = IndexFile(found[3], Digest("sha256", found[1]), int(found[2]))
        date = _time(fields.get("Date", ""))
        if not files or date is None:
            raise ImageError(f"{where}: not a Release file: it lacks {'SHA256' if not files else 'Date'}")
        return cls(fields, MappingProxyType(files), date)

    @property
    def by_hash(self) -> bool:
        """Whether indexes can be fetched under their hashes, safe from an update of the mirror in between."""
        return self.fields.get("Acquire-By-Hash", "no") == "yes"

    def check(self, suite: str, *, now: float, is_dated: bool, where: str) -> None:
        """An IntegrityError where this is another suite's, or too old to be trusted (Valid-Until).

        A snapshot's (``is_dated``) Valid-Until is not looked at: it is old on purpose.
        """
        names = {self.fields.get("Suite", ""), self.fields.get("Codename", "")}
        wanted = {suite, suite.partition("/")[0]}
        if not names & wanted and not any(
            f"{name}-security" in wanted or f"{name}-updates" in wanted for name in names
        ):
            raise IntegrityError(f"{where}: it is the Release file of {' / '.join(sorted(names))}, not of {suite}")
        until = _time(self.fields.get("Valid-Until", ""))
        if until is not None and until < now and not is_dated:
            day = datetime.fromtimestamp(until, UTC).date()
            raise IntegrityError(
                f"{where}: valid until {day}, which is past",
                hint="the mirror is no longer updated, or somebody shows an old state of it: choose another mirror",
            )


def _time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
