"""Where packages come from: the suites of a distribution, on this machine's mirror or the public one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ocibuild.core.asks import AptSourceAsk
from ocibuild.core.defaults import apt_defaults
from ocibuild.core.errors import UsageError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.deb822 import read_paragraphs
from ocibuild.ecosystem.apt.keyring import Keyring, shipped_keyring

__all__ = ["AptSource", "distribution_of", "suite_sources", "third_party_source"]

_DEBIAN = ("buster", "bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable")
_UBUNTU = ("bionic", "focal", "jammy", "noble", "oracular", "plucky", "questing")
_UBUNTU_MAIN = frozenset({"amd64", "i386"})  # other architectures are on the ports mirror
_ONE_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?(?P<url>\S+)\s+(?P<suite>\S+)")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One suite of one archive. ``name`` is what the lock calls the archive; ``url`` its address on this machine.

    ``suite`` ends in ``/`` for a flat repository. ``is_dated`` marks a snapshot: its Valid-Until is long past.
    """

    name: str
    url: str
    suite: str
    components: tuple[str, ...]
    keyring: Keyring
    pin_priority: int | None = None
    is_dated: bool = False

    @property
    def is_flat(self) -> bool:
        """Whether Release and packages lie in one folder (sources.list(5))."""
        return self.suite.endswith("/")

    @property
    def release_url(self) -> str:
        """The folder of the Release file, with a slash behind it."""
        base = self.url.rstrip("/")
        if self.is_flat:
            return f"{base}/{self.suite.removeprefix('./')}"
        return f"{base}/dists/{self.suite}/"


def distribution_of(suite: str) -> str:
    """``debian`` or ``ubuntu``; a UsageError for a suite of neither."""
    if suite in _DEBIAN:
        return "debian"
    if suite in _UBUNTU:
        return "ubuntu"
    raise UsageError(f"unknown suite: {suite!r}", hint=f"write apt:{', apt:'.join((*_DEBIAN[2:6], *_UBUNTU[2:4]))}")


def suite_sources(
    suite: str, platform: Platform, *, mirror: str | None, as_of: date | None, machine: Path = Path("/etc/apt")
) -> tuple[AptSource, ...]:
    """The suite with its updates and security fixes, main components only, as a fresh system has them.

    ``mirror`` is the user's own; without one the mirror of this machine's apt configuration (``machine``) is taken
    where it serves the distribution, else the public default. ``as_of`` names a day of the snapshot archive instead.
    """
    distribution = distribution_of(suite)
    keyring = shipped_keyring(distribution)
    main, security = _addresses(distribution, platform, mirror=mirror, as_of=as_of, machine=machine)
    components = ("main",) if distribution == "debian" else ("main", "universe")
    dated = as_of is not None
    sources = [AptSource(distribution, main, suite, components, keyring, is_dated=dated)]
    if suite in ("sid", "unstable"):
        return tuple(sources)
    sources.append(replace(sources[0], suite=f"{suite}-updates"))
    name = f"{distribution}-security"
    sources.append(AptSource(name, security, f"{suite}-security", components, keyring, is_dated=dated))
    return tuple(sources)


def third_party_source(ask: AptSourceAsk) -> AptSource:
    """The source of an ``[[apt.source]]``."""
    keyring = Keyring(f"{ask.origin}'s source {ask.name}", (ask.signed_by,))
    return AptSource(ask.name, ask.url, ask.suite, ask.components, keyring, ask.pin_priority)


def _addresses(
    distribution: str, platform: Platform, *, mirror: str | None, as_of: date | None, machine: Path
) -> tuple[str, str]:
    """The addresses of the main and the security archive."""
    public = apt_defaults(distribution)
    if as_of is not None:
        if "snapshot" not in public:
            raise UsageError(f"there is no archive of {distribution}'s past", hint="--as-of works with Debian's suites")
        stamp = as_of.strftime("%Y%m%dT235959Z")
        return f"{public['snapshot']}/{stamp}", f"{public['snapshot-security']}/{stamp}"
    is_ports = distribution == "ubuntu" and platform.debian_architecture not in _UBUNTU_MAIN
    if mirror is not None:
        same = mirror.rstrip("/")
        return same, f"{same.removesuffix('/debian')}/debian-security" if distribution == "debian" else same
    if is_ports:
        return public["ports"], public["ports"]
    configured = _configured(machine)
    known = _DEBIAN if distribution == "debian" else _UBUNTU
    main = next((url for suite, url in configured.items() if suite in known), None)
    security = next((url for suite, url in configured.items() if suite.removesuffix("-security") in known), None)
    if distribution == "debian":
        security = next(
            (u for s, u in configured.items() if s.endswith("-security") and s.removesuffix("-security") in known), None
        )
    return main or public["mirror"], security or public["security"]


def _configured(machine: Path) -> Mapping[str, str]:
    """Suite -> address, of the sources that this machine's apt is configured with, in apt's order."""
    found: dict[str, str] = {}
    for path in _source_files(machine):
        try:
            text = path.read_text("utf-8", "surrogateescape")
        except OSError:
            continue
        for suite, url in _deb822_sources(text) if path.suffix == ".sources" else _one_line_sources(text):
            if url.startswith(("http://", "https://")):
                found.setdefault(suite, url.rstrip("/"))
    return found


def _source_files(machine: Path) -> list[Path]:
    parts = machine / "sources.list.d"
    names = sorted(path for path in parts.glob("*") if path.suffix in (".list", ".sources")) if parts.is_dir() else []
    return [machine / "sources.list", *names]


def _one_line_sources(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        entry = _ONE_LINE.match(line.strip())
        if entry is not None:
            yield entry["suite"], entry["url"]


def _deb822_sources(text: str) -> Iterator[tuple[str, str]]:
    for fields in read_paragraphs(text, comments=True):
        if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes") == "no":
            continue
        urls: Sequence[str] = fields.get("URIs", "").split()
        for suite in fields.get("Suites", "").split() if urls else ():
            yield suite, urls[0]
