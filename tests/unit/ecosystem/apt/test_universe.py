import pytest

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.package import Target
from ocibuild.ecosystem.apt.universe import PackagesIndex, Universe
from tests.support.apt_universe import MAIN, stanzas, universe

UPDATES = Archive("updates")


def versions(made: Universe, name: str) -> list[str]:
    return [version.version for package in made.group(name) for version in package.versions]


def test_versions_are_ordered_newest_first_over_all_indexes() -> None:
    made = universe("a 1\nb 1\na 1.10", more=[(UPDATES, "a 1.9\na 1.10~rc1")])
    assert versions(made, "a") == ["1.10", "1.10~rc1", "1.9", "1"]
    assert versions(made, "missing") == []
    assert list(made.names) == ["a", "b"]


def test_one_build_in_several_places_is_one_version() -> None:
    made = universe("a 1 Depends: x (>= 1)", "a 1 Depends: x (>=1)", more=[(UPDATES, "a 1 Depends: x (>= 1)")])
    (version,) = made.group("a")[0].versions
    assert version.archives == (MAIN, UPDATES)
    assert version.in_status
    assert made.installed[version.package] is version


def test_another_build_of_a_version_stays_apart() -> None:
    made = universe("a 1 Depends: x", "a 1 Depends: y")
    first, second = made.group("a")[0].versions
    assert first.archives == (MAIN,)
    assert made.installed[first.package] is second


def test_states_of_dpkg() -> None:
    made = universe(
        "a 1",
        "a 1 Status: hold ok installed\nb 1 Status: deinstall ok config-files\nc 1 Status: install ok half-configured\nd 1 Status: unknown ok not-installed",
    )  # fmt: skip
    assert [package.name for package in made.installed] == ["a", "c"]
    assert [package.name for package in made.held] == ["a"]


def test_a_stanza_may_begin_with_any_field_and_lines_with_carriage_returns() -> None:
    text = "Version: 1\nPackage: a\nArchitecture: all\nProvides: v,\n w (= 2)\n\n\nPackage: b\nVersion: 2\nArchitecture: amd64\nProvides: x,\n y\n"
    made = Universe([PackagesIndex(MAIN, text)], architecture="amd64")
    assert versions(made, "a") == ["1"]
    for name in ("v", "w", "x", "y"):
        assert len(made.solutions(Target(f"{name}:amd64"))) == 1
    assert [str(one) for one in made.solutions(Target("w:amd64", ">=", "2"))] == ["a=1"]
    assert made.solutions(Target("v:amd64", ">=", "0")) == ()


def test_a_broken_stanza_hurts_only_who_looks_at_it() -> None:
    text = stanzas("good 1\nbad 1 Depends: a b c")
    made = Universe([PackagesIndex(MAIN, text + "\nno fields at all\n\nPackage: half\n")], architecture="amd64")
    assert versions(made, "good") == ["1"]
    assert versions(made, "half") == []
    with pytest.raises(ImageError, match="malformed relation"):
        made.dependencies(made.group("bad")[0].versions[0])


def test_provides_and_architectures() -> None:
    made = universe(
        "f 1 Multi-Arch: foreign; Provides: vf\nw 1 Multi-Arch: allowed; Provides: va\np 1 Provides: vp",
        more=[(MAIN, "q 1 Architecture: i386; Provides: vp, named:amd64")],
        foreign=("i386",),
    )

    def names(key: str) -> list[str]:
        return [str(one) for one in made.solutions(Target(key))]

    assert names("f:i386") == names("vf:i386") == names("f:amd64") == ["f=1"]
    assert names("w:any") == names("va:any") == ["w=1"]
    assert names("f:any") == names("w:i386") == []
    assert names("vp:amd64") == ["p=1"]
    assert names("vp:i386") == ["q:i386=1"]
    assert names("p::amd64") == ["p=1"]
    assert names("named:amd64") == ["q:i386=1"]


def test_the_later_mentioned_of_two_packages_has_the_later_place() -> None:
    made = universe("a 1 Suggests: late\nb 1\nc 1 Depends: any-name:any\nlate 1\nany-name 1")
    order = [made.creation_order(made.group(name)[0]) for name in ("a", "late", "b", "c", "any-name")]
    assert order == sorted(order)


def test_packages_of_other_architectures_are_not_the_native_ones() -> None:
    made = universe("a 1 Architecture: arm64")
    assert made.package("a", "amd64") is None
    assert made.package("a", "arm64") is not None
