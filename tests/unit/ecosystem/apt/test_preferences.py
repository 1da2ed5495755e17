from dataclasses import replace

import pytest

from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.preferences import Policy, Preferences
from ocibuild.ecosystem.apt.universe import Universe
from tests.support.apt_universe import MAIN, universe

OLD = Archive("old", origin="Debian", label="Debian", suite="oldstable", codename="bullseye", version="11.9", site="deb.example", component="main")  # fmt: skip
VENDOR = Archive("vendor", origin="Vendor", label="Tools", suite="vendor", site="vendor.example", component="contrib")
BACKPORTS = Archive("bpo", suite="stable-backports", not_automatic=True, but_automatic_upgrades=True)
EXPERIMENTAL = Archive("exp", suite="experimental", not_automatic=True)


def system(installed: str = "") -> Universe:
    return universe("a 2\nb 2", installed, more=[(OLD, "a 1\nb 1"), (VENDOR, "a 3"), (BACKPORTS, "a 4\nc 1"), (EXPERIMENTAL, "a 5\nd 1")])  # fmt: skip


def candidate(preferences: str, name: str = "a", installed: str = "", target: str = "") -> str | None:
    made = system(installed)
    policy = Policy(made, Preferences.parse([("pins", preferences)], target_release=target))
    package = made.package(name, "amd64")
    assert package is not None
    version = policy.candidate(package)
    return None if version is None else version.version


def test_defaults() -> None:
    assert candidate("") == "3"
    assert candidate("", "c") == "1"  # backports: 100
    assert candidate("", "d") == "1"  # not automatic: 1
    assert candidate("", installed="a 3.5") == "4"  # 100, as what is installed, and newer
    assert candidate("", installed="a 4.5") == "4.5"


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ("Package: a\nPin: version 1\nPin-Priority: 600", "1"),
        ("Package: a\nPin: version 1*\nPin-Priority: 600", "1"),
        ("Package: b a\nPin: release n=bullseye\nPin-Priority: 600", "1"),
        ("Package: a\nPin: release a=oldstable, c=main\nPin-Priority: 600", "1"),
        ("Package: a\nPin: release a=oldstable, c=contrib\nPin-Priority: 600", "3"),
        ("Package: a\nPin: release v=12*\nPin-Priority: 600", "2"),
        ("Package: a\nPin: release l=Tools\nPin-Priority: -1", "2"),
        ("Package: a\nPin: origin vendor.example\nPin-Priority: -1", "2"),
        ('Package: *\nPin: origin "vendor.example"\nPin-Priority: 1', "2"),
        ("Package: *\nPin: release o=Vendor\nPin-Priority: never", "2"),
        ("Package: [ab]\nPin: version 2\nPin-Priority: 900", "2"),
        ("Package: /^A$/\nPin: version 2\nPin-Priority: 900", "2"),
        ("Package: a:i386\nPin: version 2\nPin-Priority: 900", "3"),
        ("Package: a:any\nPin: version 2\nPin-Priority: 900", "2"),
        ("Package: src:a\nPin: version 2\nPin-Priority: 900", "2"),
        ("Package: *\nPin: version 2\nPin-Priority: 900", "3"),
        ("Package: a\nPin: release experimental\nPin-Priority: 501", "5"),
        ("Package: a\nPin: nonsense x\nPin-Priority: 900", "3"),
        ("# comment\nExplanation: of it\nPackage: a\nPin: version 2\nPin-Priority: 900", "2"),
        ("Package: a\nPin: version 2\nPin-Priority: 900\n\nPackage: a\nPin: version 2\nPin-Priority: -1", "2"),
        ("Package: a\nPin: release *\nPin-Priority: -1", None),
    ],
)  # fmt: skip
def test_pins(pin: str, expected: str | None) -> None:
    assert candidate(pin) == expected


def test_a_downgrade_needs_a_thousand() -> None:
    pin = "Package: a\nPin: version 1\nPin-Priority: {}"
    assert candidate(pin.format(999), installed="a 2") == "3"
    assert candidate(pin.format(1000), installed="a 2") == "1"


def test_the_target_release() -> None:
    assert candidate("", target="oldstable") == "1"
    assert candidate("", target="bookworm") == "2"
    assert candidate("Package: a\nPin: version 3\nPin-Priority: 995", target="bookworm") == "3"
    with pytest.raises(UsageError, match="no apt source is the release 'nosuch'"):
        candidate("", target="nosuch")


def test_a_source_may_have_a_priority_of_its_own() -> None:
    made = universe("a 2", more=[(replace(VENDOR, pin_priority=50), "a 3")])
    package = made.package("a", "amd64")
    assert package is not None
    found = Policy(made, Preferences()).candidate(package)
    assert found is not None
    assert found.version == "2"
    assert found.archives == (MAIN,)


@pytest.mark.parametrize(
    "text",
    ["Pin: version 1\nPin-Priority: 1", "Package: a\nPin: version 1\nPin-Priority: 0", "Package: a\nPin: version 1",
     "Package: a\nPin: version 1\nPin-Priority: 99999", "Package: a\nPin: version 1\nPin-Priority: never"],
)  # fmt: skip
def test_malformed_records_are_named(text: str) -> None:
    with pytest.raises(RepositoryError, match=r"^pins: "):
        Preferences.parse([("pins", text)])
