"""Fetching a source's Release: its signature, suite, dates, and the memory that refuses an older one."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ocibuild.core.errors import IntegrityError, NetworkError
from ocibuild.core.events import EventSink, Notice
from ocibuild.ecosystem.apt.release import Release
from ocibuild.ecosystem.apt.signature import Signed, check_expiry, verify_detached, verify_inline
from ocibuild.ecosystem.apt.source import Source
from ocibuild.net.address import redacted
from ocibuild.net.client import HttpClient
from ocibuild.net.document import fetch_bytes
from ocibuild.store.records import RecordStore

__all__ = ["ReleaseReader"]

_LARGEST_RELEASE_BYTES = 32 << 20  # Ubuntu's have 0.3 MB, Debian unstable's 0.2 MB
_NOT_FOUND = frozenset({404, 410})
_KIND = "apt-release"


@dataclass(frozen=True, slots=True)
class ReleaseReader:
    """Fetches and verifies Releases. ``now`` is the present time; ``records`` remembers the date of each one seen."""

    http: HttpClient
    records: RecordStore
    now: datetime
    events: EventSink

    def read(self, source: Source) -> Release:
        """The verified Release of the source.

        A NetworkError where it cannot be fetched (its hint says so for an unknown suite); an IntegrityError where its
        signature is missing or wrong, its signers are unknown or have expired, it is another suite's, or it is out of
        its dates. Of one that is older than another seen before (a mirror that lags behind, or a replay) the newer is
        taken, as apt does; an IntegrityError where that is not known whole.
        """
        where = redacted(f"{source.folder_url}/InRelease")
        inline = self._get(source, "InRelease")
        release = self._checked(source, self._signed(source, inline), where=where)
        if source.as_of is None:
            release = self._newest(source, release, inline, where=where)
            self._tell_stale(release, where=where)
        return release

    def _checked(self, source: Source, signed: Signed, *, where: str) -> Release:
        release = Release.parse(signed.body, where=where)
        if signed.signers:
            check_expiry(signed, self.now if source.as_of is None else release.date, where=where)
        if not source.is_flat:
            release.check_suite(source.suite, where=where)
        checks_validity = source.check_valid_until and source.as_of is None
        release.check_time(source.as_of or self.now, check_valid_until=checks_validity, where=where)
        return release

    def _tell_stale(self, release: Release, *, where: str) -> None:
        if release.valid_until is not None and release.valid_until < self.now:
            # Only where the check is switched off: by this machine's apt configuration, or by the image's own list.
            until = f"{release.valid_until:%Y-%m-%d}"
            self.events(Notice(f"{where} was valid until {until}, and the check is switched off", warning=True))

    def _signed(self, source: Source, inline: bytes | None) -> Signed:
        """The verified text: that of ``inline``, or else of Release and its signature beside it."""
        if inline is not None:
            if source.signed_by is not None:
                return verify_inline(inline, source.signed_by, where=redacted(f"{source.folder_url}/InRelease"))
            return Signed(_unverified_body(inline), self._warned(source))
        where = redacted(f"{source.folder_url}/Release")
        body = self._get(source, "Release")
        if body is None:
            raise NetworkError(
                f"{redacted(source.folder_url)}/InRelease: not found: the archive {redacted(source.url)} has no suite"
                f" {source.suite} ({source.origin})",
                url=where,
                status=404,
                hint="check the suite's name; a suite that has reached its end may have moved to another archive",
            )
        if source.signed_by is None:
            return Signed(body, self._warned(source))
        signature = self._get(source, "Release.gpg")
        if signature is None:
            raise IntegrityError(
                f"{where}: not signed (no InRelease and no Release.gpg; {source.origin})",
                url=where,
                hint="unsigned sources are not used",
            )
        return verify_detached(body, signature, source.signed_by, where=where)

    def _warned(self, source: Source) -> tuple[()]:
        self.events(Notice(f"{redacted(source.url)} is trusted without a signature: {source.origin}", warning=True))
        return ()

    def _get(self, source: Source, name: str) -> bytes | None:
        """A file of the suite's folder, or None where there is none."""
        url = f"{source.folder_url}/{name}"
        try:
            return fetch_bytes(
                self.http, url, limit_bytes=_LARGEST_RELEASE_BYTES, attempted=f"reading the apt source {source.name}"
            )
        except NetworkError as error:
            if error.status in _NOT_FOUND:
                return None
            raise

    def _newest(self, source: Source, release: Release, inline: bytes | None, *, where: str) -> Release:
        """This Release, or the newer one that was seen before.

        An attacker who replays an old signed Release hides every security update since. The servers behind one name of
        a mirror differ for some hours after each update.
        """
        key = hashlib.sha256(f"{source.url} {source.suite}".encode()).hexdigest()
        value: Any = self.records.get(_KIND, key)
        known = value if isinstance(value, dict) else {}
        seen, kept = known.get("date"), known.get("inrelease")
        if not isinstance(seen, (int, float)) or release.date.timestamp() >= seen:
            text = inline.decode("utf-8", "surrogateescape") if inline is not None else None
            if (seen, kept) != (release.date.timestamp(), text):
                self.records.put(_KIND, key, {"date": release.date.timestamp(), "inrelease": text})
            return release
        before = f"{datetime.fromtimestamp(seen, UTC):%Y-%m-%d %H:%M} UTC was seen before"
        told = f"{where}: dated {release.date:%Y-%m-%d %H:%M} UTC, and one of {before}"
        if isinstance(kept, str):
            newer = self._checked(source, self._signed(source, kept.encode("utf-8", "surrogateescape")), where=where)
            if newer.date.timestamp() == seen:
                self.events(Notice(f"{told}: that one is used"))
                return newer
        raise IntegrityError(
            told,
            url=where,
            hint="a mirror that lags behind, or a replay of old files: try again later or use another mirror",
        )


def _unverified_body(data: bytes) -> bytes:
    """The text of an InRelease whose signature nobody checks, for a source that is trusted without one."""
    head, begin, rest = data.partition(b"-----BEGIN PGP SIGNED MESSAGE-----")
    if not begin:
        return head
    return rest.partition(b"\n\n")[2].partition(b"\n-----BEGIN PGP SIGNATURE-----")[0]
