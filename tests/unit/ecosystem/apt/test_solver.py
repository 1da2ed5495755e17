"""The solver's rules one by one, on made-up archives; the oracle test compares with apt on real ones."""

import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.preferences import Preferences
from ocibuild.ecosystem.apt.solution import locked_package
from ocibuild.ecosystem.apt.solver import base_set, solve
from tests.support.apt_universe import MAIN, asks, installs, removals, solved, universe

BACKPORTS = Archive("backports", suite="stable-backports", codename="bookworm-backports", not_automatic=True, but_automatic_upgrades=True)  # fmt: skip


def test_dependencies_are_followed_and_explained() -> None:
    solution = solved(universe("a 1 Depends: b (>= 1), c\nb 2\nc 1 Pre-Depends: b\nd 1"), "a")
    assert [str(change.version) for change in solution.changes] == ["b=2", "c=1", "a=1"]
    by_name = {change.version.name: change for change in solution.changes}
    assert by_name["a"].why == ("apt.txt:1",)
    assert by_name["a"].requested
    assert not by_name["a"].automatic
    assert by_name["b"].why == ("a", "c")
    assert by_name["b"].automatic
    assert {package.name for package in solution.automatic} == {"b", "c"}


def test_nothing_is_done_for_what_is_there_in_its_newest_version() -> None:
    system = universe("a 1", "a 1\nb 1", automatic=["a", "b"])
    solution = solved(system, "a")
    assert not solution.changes
    assert not solution.removals
    assert [str(version) for version in solution.kept] == ["a=1", "b=1"]
    # asking for it makes it the user's own
    assert {package.name for package in solution.automatic} == {"b"}


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        ("a 1 Depends: b | c\nb 1\nc 1", "b=1"),
        ("a 1 Depends: b | c\nc 1", "c=1"),
        ("a 1 Depends: b (>= 2) | c\nb 1\nc 1", "c=1"),
        ("a 1 Depends: b | c\nb 1 Depends: missing\nc 1", "c=1"),
        ("a 1 Depends: v\nb 1 Provides: v\nc 1 Provides: v", "c=1"),
        ("a 1 Depends: v\nb 1 Provides: v; Priority: optional\nc 1 Provides: v; Priority: extra", "b=1"),
        ("a 1 Depends: v (>= 2)\nb 1 Provides: v (= 2)\nc 1 Provides: v", "b=1"),
        ("a 1 Depends: v\nv 1\nc 1 Provides: v", "v=1"),
    ],
)
def test_the_choice_between_alternatives(available: str, expected: str) -> None:
    assert installs(solved(universe(available), "a")) == {"a=1", expected}


def test_an_alternative_that_is_marked_already_is_enough() -> None:
    assert installs(solved(universe("a 1 Depends: b | c\nb 1\nc 1\nd 1"), "c a")) == {"a=1", "c=1"}


def test_recommends_are_followed_only_on_request() -> None:
    system = universe("a 1 Recommends: b, missing; Suggests: c\nb 1\nc 1")
    assert installs(solved(system, "a")) == {"a=1"}
    assert installs(solved(system, "a", recommends=True)) == {"a=1", "b=1"}


def test_an_upgrade_takes_siblings_of_the_same_source_and_what_it_would_break_along() -> None:
    system = universe(
        "lib 2 Source: s\nlib-data 2 Source: s\nuser 2 Depends: lib (= 2)\nother 2",
        "lib 1 Source: s\nlib-data 1 Source: s\nuser 1 Depends: lib (= 1)\nother 1",
    )
    solution = solved(system, "lib")
    assert installs(solution) == {"lib=2", "lib-data=2", "user=2"}
    changes = {change.version.name: change for change in solution.changes}
    assert changes["lib-data"].previous is not None
    assert changes["lib-data"].why == ("lib",)


def test_a_conflict_removes_what_is_installed() -> None:
    solution = solved(universe("new 1 Conflicts: mta; Provides: mta", "old 1 Provides: mta"), "new")
    assert installs(solution) == {"new=1"}
    assert removals(solution) == {"old"}
    assert solution.removals[0].why == ("new",)


def test_a_break_upgrades_what_is_installed_where_that_helps() -> None:
    solution = solved(universe("new 1 Breaks: old (<< 2)\nold 2", "old 1"), "new")
    assert installs(solution) == {"new=1", "old=2"}
    assert not solution.removals


def test_an_essential_package_is_never_removed() -> None:
    with pytest.raises(RepositoryError, match="unmet dependencies"):
        solved(universe("new 1 Conflicts: old", "old 1 Essential: yes"), "new")
    with pytest.raises(RepositoryError, match="the essential package old would be removed"):
        solved(universe("new 1", "old 1 Essential: yes"), "old-")


def test_a_held_package_is_left_alone() -> None:
    held = universe("a 2\nb 1 Depends: a (>= 2)", "a 1 Status: hold ok installed")
    with pytest.raises(RepositoryError, match=r"apt.txt:1: a is held at 1 and would be changed"):
        solved(held, "a")
    with pytest.raises(RepositoryError, match="a is held at 1"):
        solved(held, "b")
    allowed = solve(held, asks("a"), preferences=Preferences(), allow_held=True)
    assert installs(allowed) == {"a=2"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a", "a=2"),
        ("a=1", "a=1"),
        ("a=1*", "a=1"),
        ("a/stable-backports", "a=3~bpo"),
        ("a/bookworm", "a=2"),
        ("a/newest", "a=3~bpo"),
    ],
)
def test_versions_and_releases(word: str, expected: str) -> None:
    other = Archive("old", suite="oldstable", codename="bullseye")
    assert installs(solved(universe("a 2", more=[(other, "a 1"), (BACKPORTS, "a 3~bpo")]), word)) == {expected}


def test_a_release_is_followed_by_versioned_dependencies() -> None:
    system = universe("a 1 Depends: lib\nlib 1", more=[(BACKPORTS, "a 2 Depends: lib (>= 2)\nlib 2")])
    assert installs(solved(system, "a/stable-backports")) == {"a=2", "lib=2"}
    assert installs(solved(system, "a")) == {"a=1", "lib=1"}
    with pytest.raises(RepositoryError, match="unmet dependencies"):
        solved(system, "a=2")


def test_words_with_modifiers() -> None:
    system = universe("a 1 Recommends: b\nb 1\ng++ 1\nc 1", "d 1")
    assert installs(solved(system, "a b-", recommends=True)) == {"a=1"}
    assert installs(solved(system, "g++")) == {"g++=1"}
    assert installs(solved(system, "c+")) == {"c=1"}
    assert removals(solved(system, "d-")) == {"d"}


def test_virtual_names() -> None:
    system = universe("a 1 Provides: one, two\nb 1 Provides: two (= 5)")
    assert installs(solved(system, "one")) == {"a=1"}
    assert installs(solved(system, "two=5")) == {"b=1"}
    with pytest.raises(RepositoryError, match=r"apt.txt:1: two is a virtual package provided by a 1, b 1") as caught:
        solved(system, "two")
    assert caught.value.hint == "name one of them"


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("graphvix", "unable to locate package graphvix", "did you mean graphviz?"),
        ("zzz", "unable to locate package zzz", "no source has"),
        ("git=9", "git has no version 9", "known versions: 1"),
        ("git/testing", "git is not in the release testing", "bookworm, stable"),
        ("git:arm64", "the architecture arm64 is not among", ""),
        ("git/installed", "git is not installed", ""),
    ],
)
def test_unknown_words_are_explained(word: str, message: str, hint: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        solved(universe("graphviz 1\ngit 1"), f"git {word}")
    assert caught.value.file == "apt.txt"
    assert caught.value.line == 2
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_what_cannot_be_satisfied_is_named_to_the_bottom() -> None:
    system = universe("top 1 Depends: m | n\nm 1 Depends: low (>= 2)\nn 1 Depends: none\nlow 1\ngood 1")
    with pytest.raises(RepositoryError) as caught:
        solved(system, "good top")
    assert caught.value.line == 2
    text = str(caught.value)
    assert "top: Depends: m | n but it is not going to be installed" in text
    assert "  m: Depends: low (>= 2) but no source has such a version" in text
    assert "  n: Depends: none but it is not installable" in text


def test_two_asks_that_conflict_are_named() -> None:
    with pytest.raises(RepositoryError, match=r"b: Conflicts: a but a=1 is to be installed"):
        solved(universe("a 1\nb 1 Conflicts: a"), "a b")


def test_a_broken_base_is_refused_as_apt_refuses_it() -> None:
    with pytest.raises(RepositoryError, match="old: Depends: missing but it is not installable"):
        solved(universe("a 1", "old 1 Depends: missing"), "a")


def test_new_packages_that_nothing_needs_in_the_end_are_dropped() -> None:
    # b is given up after its dependency c was marked
    system = universe("a 1 Depends: b | d\nb 1 Depends: c, e\nc 1\ne 1 Depends: f\nf 1 Conflicts: keep\nd 1\n", "keep 1 Essential: yes")  # fmt: skip
    assert installs(solved(system, "a")) == {"a=1", "d=1"}


def test_architectures() -> None:
    system = universe(
        "lib 1 Multi-Arch: same\ntool 1 Multi-Arch: foreign\nplain 1\ndata 1 Architecture: all",
        more=[(MAIN, "app 1 Architecture: i386; Depends: lib, tool, data:any\nlib 1 Architecture: i386; Multi-Arch: same\nplain 1 Architecture: i386\nuser 1 Architecture: i386; Depends: lib, tool, plain")],
        foreign=("i386",),
    )  # fmt: skip
    assert installs(solved(system, "user:i386")) == {"user:i386=1", "lib:i386=1", "tool=1", "plain:i386=1"}
    assert installs(solved(system, "lib lib:i386")) == {"lib=1", "lib:i386=1"}
    assert installs(solved(system, "user")) == {"user:i386=1", "lib:i386=1", "tool=1", "plain:i386=1"}
    assert installs(solved(system, "data:all")) == {"data=1"}
    with pytest.raises(RepositoryError, match="plain:i386"):
        solved(system, "plain plain:i386")
    with pytest.raises(RepositoryError, match="data:any"):
        solved(system, "app:i386")  # data does not allow other architectures


def test_siblings_of_other_architectures_stay_at_one_version() -> None:
    system = universe(
        "lib 2 Multi-Arch: same",
        "lib 1 Multi-Arch: same\nlib 1 Multi-Arch: same; Architecture: i386",
        more=[(MAIN, "lib 2 Architecture: i386; Multi-Arch: same")],
        foreign=("i386",),
    )
    assert installs(solved(system, "lib")) == {"lib=2", "lib:i386=2"}


def test_a_deep_chain_of_dependencies_is_followed() -> None:
    lines = [f"p{number} 1 Depends: p{number + 1}" for number in range(900)] + ["p900 1"]
    assert len(solved(universe("\n".join(lines)), "p0").changes) == 901


def test_a_cycle_has_an_order() -> None:
    solution = solved(universe("a 1 Depends: b\nb 1 Depends: c\nc 1 Depends: a\nd 1 Pre-Depends: c"), "d")
    names = [change.version.name for change in solution.changes]
    assert sorted(names) == ["a", "b", "c", "d"]
    assert names[-1] == "d"


def test_the_base_is_what_is_essential_or_required_and_apt() -> None:
    system = universe("bash 1 Essential: yes; Depends: lib\nlib 1\nlogin 1 Priority: required\napt 1\nextra 1 Priority: standard")  # fmt: skip
    solution = base_set(system, preferences=Preferences(), origin=Origin("apt:bookworm"))
    assert installs(solution) == {"bash=1", "lib=1", "login=1", "apt=1"}
    assert {change.version.name: change.why for change in solution.changes}["apt"] == ("apt:bookworm",)


def test_what_the_lock_records() -> None:
    change = solved(universe("a 1:2 Depends: b\nb 1"), "a").changes[-1]
    locked = locked_package(change)
    assert (locked.name, locked.version, locked.architecture) == ("a", "1:2", "amd64")
    assert (locked.source, locked.path, locked.size_bytes) == ("debian", "pool/a.deb", 1)
    assert locked.requested
    assert locked.fields["suite"] == "stable"


def test_the_answer_depends_on_nothing_but_the_input() -> None:
    system = universe("a 1 Depends: v, w\nb 1 Provides: v\nc 1 Provides: v, w\nd 1 Provides: w")
    first = solved(system, "a")
    assert solved(system, "a") == first
    again = universe("a 1 Depends: v, w\nb 1 Provides: v\nc 1 Provides: v, w\nd 1 Provides: w")
    assert [str(one.version) for one in solved(again, "a").changes] == [str(one.version) for one in first.changes]
