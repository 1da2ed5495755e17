"""The suites of Debian and Ubuntu that a base can be made of, and the sources of each."""

from ocibuild.core.errors import UsageError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.keyring import Keyring, shipped_keyring
from ocibuild.ecosystem.apt.mirrors import ArchiveName, Mirrors
from ocibuild.ecosystem.apt.source import Source

__all__ = ["archive_source", "distribution_of", "suite_archives", "suite_sources"]

_DEBIAN = ("bullseye", "bookworm", "trixie", "forky", "oldstable", "stable", "testing")
_ROLLING = ("sid", "unstable")
_UBUNTU = ("focal", "jammy", "noble", "plucky", "questing", "resolute")
_UBUNTU_PRIMARY = ("amd64", "i386")  # all others are on the ports mirror


def distribution_of(suite: str) -> tuple[str, str]:
    """Distribution and suite of ``bookworm`` or ``noble``; ``debian/NAME`` is for a name newer than this program.

    A UsageError lists the known ones.
    """
    prefix, slash, name = suite.partition("/")
    if slash and prefix in ("debian", "ubuntu") and name:
        return prefix, name
    if suite in (*_DEBIAN, *_ROLLING):
        return "debian", suite
    if suite in _UBUNTU:
        return "ubuntu", suite
    raise UsageError(
        f"apt:{suite}: unknown suite",
        hint=f"known: {', '.join((*_DEBIAN, *_ROLLING, *_UBUNTU))}; another one is written apt:debian/NAME or"
        " apt:ubuntu/NAME",
    )


def suite_archives(suite: str, architecture: str) -> tuple[list[tuple[ArchiveName, str]], tuple[str, ...]]:
    """Where the packages of a system of this suite come from: archives, each with the name of a suite, and components.

    Debian's component is ``main``; Ubuntu's are ``main`` and ``universe``, which hold what Debian's main holds.
    """
    distribution, name = distribution_of(suite)
    if distribution == "debian":
        archives = [(ArchiveName.DEBIAN, name)]
        if name not in _ROLLING:
            archives += [(ArchiveName.DEBIAN, f"{name}-updates"), (ArchiveName.DEBIAN_SECURITY, f"{name}-security")]
        return archives, ("main",)
    is_primary = architecture in _UBUNTU_PRIMARY
    archive = ArchiveName.UBUNTU if is_primary else ArchiveName.UBUNTU_PORTS
    security = ArchiveName.UBUNTU_SECURITY if is_primary else ArchiveName.UBUNTU_PORTS
    return [(archive, name), (archive, f"{name}-updates"), (security, f"{name}-security")], ("main", "universe")


def suite_sources(suite: str, platform: Platform, mirrors: Mirrors) -> tuple[Source, ...]:
    """The sources of a new system of this suite: the release, its updates and its security updates."""
    archives, components = suite_archives(suite, platform.debian_architecture)
    return tuple(archive_source(archive, one, components, mirrors, origin=f"apt:{suite}") for archive, one in archives)


def archive_source(
    archive: ArchiveName,
    suite: str,
    components: tuple[str, ...],
    mirrors: Mirrors,
    *,
    origin: str,
    keyring: Keyring | None = None,
) -> Source:
    """A suite of a distribution's archive, at its address for this build.

    Verified with ``keyring``, or with the shipped one.
    """
    address = mirrors.address(archive)
    return Source(
        name=archive.value,
        url=address.url,
        suite=suite,
        components=components,
        signed_by=keyring or shipped_keyring(archive.distribution),
        origin=origin,
        check_valid_until=mirrors.machine.check_valid_until or not address.is_of_machine,
        as_of=address.as_of,
    )
