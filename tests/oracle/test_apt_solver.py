"""The solver against apt: the same packages, versions, removals and automatic marks, or a refusal where apt repairs.

``OCIBUILD_APT_CASES=full`` tries every case on every base (about half an hour); by default each base takes a share.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.apt.preferences import Policy, Preferences
from ocibuild.ecosystem.apt.solver import base_set, solve
from ocibuild.ecosystem.apt.universe import Universe
from tests.oracle import apt_cases
from tests.oracle.apt_bases import BASES, MULTI_ARCH, RELEASES, Base, make_system, words_as_asks
from tests.oracle.apt_cases import REALISTIC, random_cases
from tests.oracle.apt_system import AptSystem, Marker, Outcome, Refused

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(
        subprocess.run(["/usr/bin/python3", "-c", "import apt_pkg"], capture_output=True, check=False).returncode != 0,
        reason="compares with python3-apt",
    ),
]

FULL = os.environ.get("OCIBUILD_APT_CASES") == "full"
SHARE, SINGLES, SETS = (1, 120, 120) if FULL else (12, 3, 4)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("OCIBUILD_APT_FOLDER")
    return Path(kept) if kept else tmp_path_factory.mktemp("apt")


def own_answer(universe: Universe, system: AptSystem, words: Sequence[str], *, recommends: bool) -> Outcome | Refused:
    try:
        solution = solve(
            universe,
            words_as_asks(words),
            preferences=system.parsed_preferences(),
            recommends=recommends,
            allow_held=True,
        )
    except RepositoryError as error:
        return Refused(str(error))
    return Outcome(
        {change.version.package.full_name: change.version.version for change in solution.changes},
        tuple(sorted(removal.version.package.full_name for removal in solution.removals)),
        tuple(sorted(package.full_name for package in solution.automatic)),
    )


def difference(apt: Outcome | Refused, own: Outcome | Refused) -> str:
    """What differs, in words; empty where nothing does."""
    if isinstance(apt, Refused) or isinstance(own, Refused):
        if isinstance(apt, Refused) and isinstance(own, Refused):
            return ""
        return f"apt: {apt}\n  own: {own}"[:1000]
    parts = []
    if apt.install != own.install:
        parts.append(f"only apt: {sorted(apt.install.items() - own.install.items())}")
        parts.append(f"only own: {sorted(own.install.items() - apt.install.items())}")
    if apt.remove != own.remove:
        parts.append(f"removed by apt: {apt.remove}, own: {own.remove}")
    if apt.automatic is not None and apt.automatic != own.automatic:
        parts.append(f"automatic marks: {sorted(set(apt.automatic) ^ set(own.automatic or ()))}")
    return "\n  ".join(parts)[:1000]


def compare(system: AptSystem, cases: Sequence[Sequence[str]], *, recommends: bool) -> tuple[int, int, list[str]]:
    """(same outcome, both refuse, differences)."""
    universe = system.universe()
    marker = Marker(system, recommends=recommends)
    same = refused = 0
    differences = []
    try:
        for words in cases:
            apt = marker.answer(words)
            found = difference(apt, own_answer(universe, system, words, recommends=recommends))
            if found:
                differences.append(f"{' '.join(words)}{' (recommends)' if recommends else ''}\n  {found}")
            elif isinstance(apt, Refused):
                refused += 1
            else:
                same += 1
    finally:
        marker.close()
    return same, refused, differences


def cases_for(number: int, names: Sequence[str], *, recommends: bool) -> list[list[str]]:
    share = [line for place, line in enumerate(REALISTIC) if (place + number + 2 * recommends) % SHARE == 0]
    return share + random_cases(names, singles=SINGLES, sets=SETS, seed=number * 2 + recommends)


SYSTEMS = [(release, base) for release in RELEASES for base in BASES]


@pytest.mark.parametrize("number", range(len(SYSTEMS)), ids=[f"{release}-{base.name}" for release, base in SYSTEMS])
def test_the_outcome_is_that_of_apt(number: int, folder: Path) -> None:
    release, base = SYSTEMS[number]
    system = make_system(base, release, folder)
    names = list(system.universe().names)
    total_same = total_refused = 0
    everything: list[str] = []
    for recommends in (False, True):
        same, refused, differences = compare(
            system, cases_for(number, names, recommends=recommends), recommends=recommends
        )
        total_same, total_refused = total_same + same, total_refused + refused
        everything += differences
    print(f"{release} {base.name}: same {total_same}, both refuse {total_refused}, different {len(everything)}")
    assert not everything, "\n".join(everything)
    assert total_same > 3 * total_refused


def named(name: str) -> Base:
    return next(base for base in BASES if base.name == name)


@pytest.mark.parametrize(
    ("base", "cases"),
    [(named("third-party"), apt_cases.WORDS), (named("held"), apt_cases.PINNED), (MULTI_ARCH, apt_cases.MULTI_ARCH)],
    ids=["words", "held and pinned", "multi-arch"],
)
@pytest.mark.parametrize("release", RELEASES if FULL else RELEASES[:1])
def test_words_holds_pins_and_architectures_are_taken_as_apt_get_takes_them(
    base: Base, cases: list[list[str]], release: str, folder: Path
) -> None:
    system = make_system(base, release, folder)
    universe = system.universe()
    differences = []
    same = 0
    for number, line in enumerate(cases):
        words = [word.replace("{release}", release) for word in line]
        recommends = number % 2 == 1
        apt = system.simulate(words, recommends=recommends)
        found = difference(apt, own_answer(universe, system, words, recommends=recommends))
        if found:
            differences.append(f"{' '.join(words)}\n  {found}")
        same += isinstance(apt, Outcome)
    print(f"{release} {base.name}: {len(cases)} lines, {same} accepted by apt, {len(differences)} different")
    assert not differences, "\n".join(differences)
    assert same >= len(cases) // 2


def test_candidates_are_those_of_apt_cache_policy(folder: Path) -> None:
    for release, base in (("bookworm", named("held")), ("trixie", named("third-party"))):
        system = make_system(base, release, folder)
        universe = system.universe()
        policy = Policy(universe, system.parsed_preferences())
        names = sorted({*(one.name for one in universe.installed), "git", "curl", "graphviz", "cmake", "python3-numpy", "fonts-dejavu"})  # fmt: skip
        text = system.run("apt-cache", "policy", *names)
        expected = dict(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", text, re.MULTILINE))
        own = {}
        for name in names:
            package = universe.package(name, "amd64")
            candidate = policy.candidate(package) if package else None
            own[name] = candidate.version if candidate else "(none)"
        assert own == expected


def test_the_base_is_what_apt_would_install_for_its_names(folder: Path) -> None:
    for release in RELEASES:
        base = make_system(named("minbase"), release, folder)
        empty = AptSystem(base.root / "empty", base.sources, lists=base.lists)
        solution = base_set(empty.universe(), preferences=Preferences(), origin=Origin(release))
        apt = empty.simulate([one.version.name for one in solution.changes if one.requested], recommends=False)
        assert isinstance(apt, Outcome)
        assert apt.install == {one.version.name: one.version.version for one in solution.changes}
        assert "dpkg" in apt.install
