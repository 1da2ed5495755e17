"""Where the archives of the distributions are for this build: the user's mirror, this machine's, or the public one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlsplit

from ocibuild.core.defaults import apt_defaults
from ocibuild.core.errors import UsageError
from ocibuild.ecosystem.apt.machine import MachineApt
from ocibuild.ecosystem.apt.source_list import SourceEntry

__all__ = ["Address", "ArchiveName", "Mirrors"]

_PORTS_PATH = "ubuntu-ports"


class ArchiveName(StrEnum):
    """An archive of a distribution: what a lock calls it."""

    DEBIAN = "debian"
    DEBIAN_SECURITY = "debian-security"
    UBUNTU = "ubuntu"
    UBUNTU_SECURITY = "ubuntu-security"
    UBUNTU_PORTS = "ubuntu-ports"

    @property
    def distribution(self) -> str:
        """``debian`` or ``ubuntu``."""
        return self.value.partition("-")[0]

    @property
    def key(self) -> str:
        """Which of the distribution's default addresses this is."""
        return self.value.partition("-")[2] or "mirror"


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL, whether it came from this machine's apt configuration, and the past time whose state it shows."""

    url: str
    is_of_machine: bool = False
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Finds the address of an archive.

    With ``as_of`` that is the snapshot archive at the beginning of that day (UTC); otherwise the first of the
    environment's ``OCIBUILD_APT_MIRROR`` (``OCIBUILD_APT_SECURITY_MIRROR``), ``configured`` (``[apt] mirror``), this
    machine's apt sources, and the public default. ``OCIBUILD_APT_SNAPSHOT`` replaces the snapshot archive; the
    archive's name and the time are appended to it.
    """

    machine: MachineApt = field(default_factory=MachineApt)
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    configured: str | None = None
    as_of: date | None = None

    def address(self, archive: ArchiveName) -> Address:
        """The archive's address; a UsageError where it has no snapshots and a day is asked for."""
        if self.as_of is not None:
            time = datetime(self.as_of.year, self.as_of.month, self.as_of.day, tzinfo=UTC)
            return Address(self._snapshot(archive, time), as_of=time)
        is_security = archive.key == "security"
        variable = "OCIBUILD_APT_SECURITY_MIRROR" if is_security else "OCIBUILD_APT_MIRROR"
        chosen = self.environment.get(variable) or (None if is_security else self.configured)
        if chosen:
            if urlsplit(chosen).scheme not in ("http", "https"):
                raise UsageError(f"the apt mirror {chosen!r} is no http or https address")
            return Address(chosen.rstrip("/"))
        own = next((entry.url for entry in self.machine.entries if self._serves(entry, archive)), None)
        if own is not None:
            return Address(own, is_of_machine=True)
        return Address(apt_defaults(archive.distribution)[archive.key].rstrip("/"))

    def _snapshot(self, archive: ArchiveName, time: datetime) -> str:
        chosen = self.environment.get("OCIBUILD_APT_SNAPSHOT")
        if chosen:
            return f"{chosen.rstrip('/')}/{archive}/{time:%Y%m%dT%H%M%SZ}"
        defaults = apt_defaults(archive.distribution)
        key = "snapshot" if archive.key == "mirror" else f"snapshot-{archive.key}"
        if key not in defaults:
            raise UsageError(
                f"no snapshot archive of {archive} is known",
                hint="set OCIBUILD_APT_SNAPSHOT to one, or leave --as-of out",
            )
        return f"{defaults[key].rstrip('/')}/{time:%Y%m%dT%H%M%SZ}"

    def _serves(self, entry: SourceEntry, archive: ArchiveName) -> bool:
        """Whether an entry of this machine is the archive: by its keyring, its host, or the machine's own system.

        A third-party source may well lie under ``/debian`` and have the distribution's suite names: that is no proof.
        """
        parts = urlsplit(entry.url)
        if parts.scheme not in ("http", "https") or "main" not in entry.components or entry.suite.endswith("/"):
            return False
        is_security = "-security" in entry.suite or entry.suite.endswith("/updates")
        is_ports = parts.path.rstrip("/").endswith(_PORTS_PATH)
        kind = "security" if is_security else "mirror"
        if archive is ArchiveName.UBUNTU_PORTS:
            if not is_ports:
                return False
        elif is_ports or kind != archive.key:
            return False
        keyring = f"{archive.distribution}-archive-"
        if entry.signed_by:
            return any(keyring in path for path in entry.signed_by)
        codename = self.machine.os_release.get("VERSION_CODENAME", "")
        is_own = self.machine.os_release.get("ID") == archive.distribution and bool(codename)
        return is_distribution_host(entry.url, archive.distribution) or (is_own and entry.suite.startswith(codename))

    def archive_of(self, entry: SourceEntry) -> ArchiveName | None:
        """Which archive an entry of an image's list is, by its host; None for a third party's and for a snapshot."""
        path = urlsplit(entry.url).path.strip("/")
        is_security = "-security" in entry.suite or entry.suite.endswith("/updates")
        for archive in ArchiveName:
            own_path = urlsplit(apt_defaults(archive.distribution)[archive.key]).path.strip("/")
            if path != own_path or not is_distribution_host(entry.url, archive.distribution):
                continue
            if archive is ArchiveName.UBUNTU and is_security:
                return ArchiveName.UBUNTU_SECURITY
            return archive
        return None


def is_distribution_host(url: str, distribution: str) -> bool:
    """Whether the host belongs to the distribution: it is in the domain of the default mirror."""
    domain = ".".join((urlsplit(apt_defaults(distribution)["mirror"]).hostname or "").split(".")[-2:])
    host = urlsplit(url).hostname or ""
    return host == domain or host.endswith(f".{domain}")
