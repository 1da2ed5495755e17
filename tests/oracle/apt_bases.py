"""The systems from which the solver and apt start: each a release, what is installed, and what apt is told."""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.ecosystem.apt.deb822 import Paragraph, read_paragraphs
from ocibuild.ecosystem.apt.package import PackageVersion
from ocibuild.ecosystem.apt.preferences import Preferences
from ocibuild.ecosystem.apt.solver import base_set, solve
from ocibuild.ecosystem.apt.universe import Universe
from tests.oracle.apt_system import KEYRING, AptSystem, machine_mirrors

__all__ = ["BASES", "MULTI_ARCH", "RELEASES", "Base", "make_system", "words_as_asks"]

RELEASES = ("bookworm", "trixie")
JAVA = {"bookworm": "openjdk-17-jre-headless", "trixie": "openjdk-21-jre-headless"}
LARGE = [
    "build-essential",
    "git",
    "curl",
    "python3-pip",
    "python3-numpy",
    "graphviz",
    "r-base-core",
    "locales",
    "vim",
    "nano",
    "less",
    "man-db",
    "openssh-client",
    "imagemagick",
    "sqlite3",
    "exim4-daemon-light",
    "libcurl4-gnutls-dev",
    "fonts-liberation",
    "systemd-sysv",
    "gfortran",
    "libboost-dev",
]
# What dpkg's status does not take over from a Packages index.
INDEX_ONLY = frozenset({"Filename", "Size", "MD5sum", "SHA1", "SHA256", "Description-md5", "Tag"})

THIRD_PARTY = """\
Package: git
Version: 1:99.1-1
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Depends: libc6 (>= 2.28), git-core-vendor (= 1:99.1-1), libcurl3-gnutls | libcurl4
Recommends: vendor-tools
Filename: ./git.deb
Size: 1
SHA256: 0

Package: git-core-vendor
Version: 1:99.1-1
Architecture: all
Provides: git-man (= 1:99.1-1)
Conflicts: git-man
Replaces: git-man
Filename: ./a.deb
Size: 1
SHA256: 0

Package: vendor-tools
Version: 2.0
Architecture: amd64
Depends: vendor-runtime, perl:any, python3:any
Breaks: graphviz (<< 99)
Filename: ./b.deb
Size: 1
SHA256: 0

Package: vendor-runtime-a
Version: 1
Architecture: amd64
Provides: vendor-runtime (= 1)
Filename: ./c.deb
Size: 1
SHA256: 0

Package: vendor-runtime-b
Version: 1
Architecture: amd64
Provides: vendor-runtime (= 2)
Priority: optional
Filename: ./d.deb
Size: 1
SHA256: 0

Package: vendor-mta
Version: 1
Architecture: amd64
Provides: mail-transport-agent
Conflicts: mail-transport-agent
Filename: ./e.deb
Size: 1
SHA256: 0

Package: vendor-foreign
Version: 1
Architecture: arm64
Filename: ./f.deb
Size: 1
SHA256: 0

Package: curl
Version: 0.1
Architecture: amd64
Essential: no
Filename: ./g.deb
Size: 1
SHA256: 0
"""
THIRD_PARTY_RELEASE = (
    "Origin: Vendor\nLabel: Vendor\nSuite: vendor\nCodename: vendor\nDate: Mon, 01 Jan 2024 00:00:00 UTC\n"
)

PINS = {
    "10first": "Package: src:openssl curl\nPin: release l=Debian\nPin-Priority: 1001\n\n"
    "Explanation: never from updates\nPackage: tzdata\nPin: release n=*-updates\nPin-Priority: -1\n",
    "20second.pref": "# a comment\nPackage: /^python3-n/\nPin: release c=main\nPin-Priority: 600\n\n"
    "Package: fonts-dejavu* src:graphviz\nPin: release o=Debian\nPin-Priority: -10\n\n"
    "Package: *\nPin: release l=Debian-Security\nPin-Priority: 400\n\n"
    "Package: nano\nPin: origin example.org\nPin-Priority: 999\n",
}


@dataclass(frozen=True)
class Base:
    """How to make one of the systems. ``status`` gives dpkg's status and apt's extended_states."""

    name: str
    status: Callable[[Universe, str], tuple[str, str]]
    preferences: Mapping[str, str]
    more_sources: Callable[[str, Path], list[str]]
    architectures: tuple[str, ...] = ("amd64",)
    only_main: bool = False


def words_as_asks(words: Iterable[str]) -> list[AptAsk]:
    """Words of a command line as the reader of apt.txt would give them, the third of its lines all."""
    asks = []
    for word in words:
        rest, _, version = word.partition("=")
        rest, _, suite = rest.partition("/")
        name, _, architecture = rest.partition(":")
        remove = name.endswith("-")
        asks.append(AptAsk(name.removesuffix("-"), Origin("apt.txt", 3), architecture, version, suite, remove))
    return asks


def status_text(versions: Iterable[PackageVersion]) -> str:
    """dpkg's status for these versions, all installed."""
    stanzas = []
    for version in sorted(versions, key=lambda one: one.package.key):
        fields = {"Package": version.name, "Status": "install ok installed"}
        fields |= {name: text for name, text in version.fields.items() if name not in INDEX_ONLY}
        stanzas.append(Paragraph(fields).text)
    return "\n".join(stanzas)


def minbase(universe: Universe, release: str) -> tuple[str, str]:
    """The 96 packages of mmdebstrap's minbase, at the newest versions."""
    solution = base_set(universe, preferences=Preferences(), origin=Origin(release))
    return status_text(solution.installed), ""


def older(universe: Universe, release: str) -> tuple[str, str]:
    """minbase with the packages of half the sources at a lower version, as an image of last month holds them."""
    text, automatic = minbase(universe, release)
    return lowered(text, seed=1), automatic


def lowered(status: str, *, seed: int) -> str:
    """The same packages with the versions of some source packages lowered, and relations between them with them."""
    dice = random.Random(seed)
    paragraphs = list(read_paragraphs(status))
    sources = sorted({one.get("Source", one["Package"]).split()[0] for one in paragraphs})
    chosen = set(dice.sample(sources, len(sources) // 2))
    old = {one["Version"] for one in paragraphs if one.get("Source", one["Package"]).split()[0] in chosen}
    changed = []
    for one in paragraphs:
        fields = dict(one)
        if one.get("Source", one["Package"]).split()[0] in chosen:
            fields["Version"] += "~0"
        for name in ("Pre-Depends", "Depends", "Breaks", "Conflicts", "Provides"):
            for version in old:
                fields = fields | (
                    {name: fields[name].replace(f" {version})", f" {version}~0)")} if name in fields else {}
                )
        changed.append(Paragraph(fields).text)
    return "\n".join(changed)


def large(universe: Universe, release: str) -> tuple[str, str]:
    """About 400 packages, half of their sources outdated, with the automatic marks that apt would have set."""
    base, _ = minbase(universe, release)
    started = Universe(universe.indexes, architecture="amd64", status=base)
    solution = solve(started, words_as_asks([*LARGE, JAVA[release]]), preferences=Preferences())
    marks = "\n".join(
        f"Package: {package.name}\nArchitecture: {package.architecture}\nAuto-Installed: 1\n"
        for package in sorted(solution.automatic, key=lambda one: one.key)
    )
    return lowered(status_text(solution.installed), seed=2), marks


def held(universe: Universe, release: str) -> tuple[str, str]:
    """The outdated minbase with some packages held."""
    text, automatic = older(universe, release)
    for name in ("perl-base", "libssl3", "libssl3t64", "tzdata", "libpam0g", "libsystemd0", "bash"):
        text = text.replace(f"Package: {name}\nStatus: install", f"Package: {name}\nStatus: hold")
    return text, automatic


def third_party(release: str, root: Path) -> list[str]:
    """Backports, and a flat repository of a vendor."""
    folder = root / "vendor"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Packages").write_text(THIRD_PARTY)
    digest = hashlib.sha256(THIRD_PARTY.encode()).hexdigest()
    # Without checksums apt loses the index again at every second update.
    (folder / "Release").write_text(f"{THIRD_PARTY_RELEASE}SHA256:\n {digest} {len(THIRD_PARTY)} Packages\n")
    main, _ = machine_mirrors()
    return [f"deb [signed-by={KEYRING}] {main} {release}-backports main", f"deb [trusted=yes] file:{folder} ./"]


def no_more(release: str, root: Path) -> list[str]:
    return []


BASES = (
    Base("minbase", minbase, {}, no_more),
    Base("older", older, {}, no_more),
    Base("large", large, {}, no_more),
    Base("held", held, PINS, no_more),
    Base("third-party", older, {}, third_party),
)


MULTI_ARCH = Base("multi-arch", older, {}, no_more, ("amd64", "i386"), only_main=True)


def make_system(base: Base, release: str, folder: Path) -> AptSystem:
    """apt's system for a base; the indexes of all systems are fetched into one folder."""
    main, security = machine_mirrors()
    signed = f"[signed-by={KEYRING}]"
    sources = [
        f"deb {signed} {main} {release} main",
        f"deb {signed} {main} {release}-updates main",
        f"deb {signed} {security} {release}-security main",
    ]
    if base.only_main:
        sources = sources[:1]
    root = folder / f"{release}-{base.name}"
    all_sources = sources + base.more_sources(release, root)
    empty = AptSystem(root / "empty", sources, lists=folder / "lists")
    if not list((folder / "lists").glob(f"*dists_{release}_*Packages")):
        empty.update()
    status, marks = base.status(empty.universe(), release)
    system = AptSystem(root, all_sources, base.architectures, base.preferences, status, marks, folder / "lists")
    if all_sources != sources or len(base.architectures) > 1:
        system.update()
    assert len(system.universe().indexes) >= len(all_sources), "an index is missing"
    return system
