"""The Release file of a suite, and what it must say before anything below it is fetched.

Format: https://wiki.debian.org/DebianRepository/Format, "Release files". Only SHA256 sums are read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode

__all__ = ["IndexFile", "Release"]

_SUM = re.compile(r"([0-9a-f]{64})[ \t]+([0-9]{1,15})[ \t]+(\S+)")
_CLOCK_TOLERANCE = timedelta(seconds=10)  # apt's Acquire::Max-FutureTime


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file that a Release names: its path below the suite's folder, size and digest."""

    path: str
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Release:
    """A verified Release. ``files`` are by path; fields that it lacks are empty."""

    origin: str
    label: str
    suite: str
    codename: str
    version: str
    date: datetime
    valid_until: datetime | None
    architectures: tuple[str, ...]
    components: tuple[str, ...]
    acquire_by_hash: bool
    not_automatic: bool
    but_automatic_upgrades: bool
    has_all_in_each: bool
    files: Mapping[str, IndexFile]

    @classmethod
    def parse(cls, body: bytes, *, where: str) -> "Release":
        """Read the verified body; an IntegrityError that names ``where`` if it is not such a file."""
        fields = Paragraph.parse(decode(body))
        if "Date" not in fields:
            raise IntegrityError(f"{where}: a Release without Date")
        if "SHA256" not in fields:
            raise IntegrityError(
                f"{where}: a Release without SHA256 sums",
                hint="MD5 and SHA-1 prove nothing: the source must be renewed",
            )
        return cls(
            origin=fields.get("Origin", ""),
            label=fields.get("Label", ""),
            suite=fields.get("Suite", ""),
            codename=fields.get("Codename", ""),
            version=fields.get("Version", ""),
            date=_date(fields["Date"], where=where),
            valid_until=_date(fields["Valid-Until"], where=where) if "Valid-Until" in fields else None,
            architectures=tuple(fields.get("Architectures", "").split()),
            components=tuple(fields.get("Components", "").split()),
            acquire_by_hash=fields.get("Acquire-By-Hash", "no").lower() == "yes",
            not_automatic=fields.get("NotAutomatic", "no").lower() == "yes",
            but_automatic_upgrades=fields.get("ButAutomaticUpgrades", "no").lower() == "yes",
            has_all_in_each="Packages" in fields.get("No-Support-for-Architecture-all", "").split(),
            files={file.path: file for file in _files(fields["SHA256"], where=where)},
        )

    def check_suite(self, suite: str, *, where: str) -> None:
        """Refuse another suite's Release: an attacker could serve an old suite's signed files under a new name.

        A Release that states neither Suite nor Codename (some third-party sources) says nothing to compare.
        """
        # Releases up to buster name their security suite "buster/updates"; apt strips that too.
        wanted = suite.removesuffix("/updates")
        if (self.suite or self.codename) and wanted not in (self.suite, self.codename):
            stated = " / ".join(dict.fromkeys(filter(None, (self.suite, self.codename))))
            raise IntegrityError(
                f"{where}: this is the Release of {stated}, and {suite} was asked for",
                hint="write the suite or codename that the source states",
            )

    def check_time(self, now: datetime, *, check_valid_until: bool, where: str) -> None:
        """Refuse a Release from after ``now``, and one past its Valid-Until where that is to be checked."""
        if self.date > now + _CLOCK_TOLERANCE:
            raise IntegrityError(
                f"{where}: dated {_shown(self.date)}, which is after {_shown(now)}",
                hint="this machine's clock is wrong, or the archive does not give the state that was asked for",
            )
        if check_valid_until and self.valid_until is not None and self.valid_until < now:
            raise IntegrityError(
                f"{where}: valid until {_shown(self.valid_until)} only, and now it is {_shown(now)}",
                hint="the mirror is stale: use another one, or --as-of DATE for the state of a past day",
            )


def _date(text: str, *, where: str) -> datetime:
    try:
        # RFC 5322, with "UTC" as the zone, which reads as no zone at all.
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{where}: not a date: {text!r}") from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _files(text: str, *, where: str) -> Iterator[IndexFile]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        found = _SUM.fullmatch(line.strip())
        if found is None:
            raise IntegrityError(f"{where}: not a SHA256 sum: {line.strip()!r}")
        yield IndexFile(found[3].removeprefix("./"), int(found[2]), Digest.sha256(found[1]))
