"""Made-up archives and systems for tests of the solver, written as short lines."""

from collections.abc import Iterable

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.preferences import Preferences
from ocibuild.ecosystem.apt.solution import Solution
from ocibuild.ecosystem.apt.solver import solve
from ocibuild.ecosystem.apt.universe import PackagesIndex, Universe

MAIN = Archive("debian", origin="Debian", label="Debian", suite="stable", codename="bookworm", version="12.1", component="main", site="deb.example", architecture="amd64")  # fmt: skip


def stanzas(text: str, *, installed: bool = False) -> str:
    """Stanzas from lines such as ``name 1.0 Depends: a, b; Provides: c``; all are amd64 unless they say otherwise."""
    made = []
    for line in text.strip().splitlines():
        name, version, *rest = line.strip().split(" ", 2)
        fields = dict(part.strip().split(": ", 1) for part in rest[0].split(";")) if rest else {}
        state = {"Status": "install ok installed"} if installed else {}
        place = {} if installed else {"Filename": f"pool/{name}.deb", "Size": "1", "SHA256": "0" * 64}
        whole = {"Package": name} | state | {"Architecture": "amd64", "Version": version} | place | fields
        made.append("".join(f"{key}: {value}\n" for key, value in whole.items()))
    return "\n".join(made)


def universe(
    available: str,
    installed: str = "",
    *,
    more: Iterable[tuple[Archive, str]] = (),
    foreign: tuple[str, ...] = (),
    automatic: Iterable[str] = (),
) -> Universe:
    """A universe of one archive, more archives, and what is installed; each as lines for :func:`stanzas`."""
    indexes = [PackagesIndex(MAIN, stanzas(available)), *(PackagesIndex(one, stanzas(text)) for one, text in more)]
    marks = "\n".join(f"Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n" for name in automatic)
    return Universe(
        indexes,
        architecture="amd64",
        foreign_architectures=foreign,
        status=stanzas(installed, installed=True),
        extended_states=marks,
    )


def asks(words: str) -> list[AptAsk]:
    """Words as lines of apt.txt, one a line: ``a b=1 c/stable d:i386 e-``."""
    made = []
    for line, word in enumerate(words.split(), 1):
        rest, _, version = word.partition("=")
        rest, _, suite = rest.partition("/")
        name, _, architecture = rest.partition(":")
        origin = Origin("apt.txt", line)
        made.append(AptAsk(name.removesuffix("-"), origin, architecture, version, suite, name.endswith("-")))
    return made


def solved(system: Universe, words: str, *, preferences: str = "", recommends: bool = False) -> Solution:
    """The solution for ``words`` with these preferences."""
    pins = Preferences.parse([("pins", preferences)] if preferences else [])
    return solve(system, asks(words), preferences=pins, recommends=recommends)


def installs(solution: Solution) -> set[str]:
    """``name=version`` of every change."""
    return {str(change.version) for change in solution.changes}


def removals(solution: Solution) -> set[str]:
    """The names of what goes."""
    return {removal.version.package.full_name for removal in solution.removals}
