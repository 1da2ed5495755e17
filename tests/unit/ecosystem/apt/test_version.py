"""The order of Debian versions, compared with dpkg's where dpkg is installed."""

import random
import shutil
import subprocess

import pytest
from hypothesis import given, settings, strategies

from ocibuild.ecosystem.apt.version import compare, satisfies, sort_key, source_text, upstream_version

# deb-version(7)'s own examples and the traps of Policy 5.6.12
ASCENDING = [
    "0~~", "0~", "0", "0a", "0+", "1~~", "1~~a", "1~", "1", "1-0.1", "1-1~bpo12+1", "1-1", "1-1+b1", "1-1.1", "1-2", "1-10", "1a-1",
    "1+dfsg-1", "1.0", "1.0a", "1.0.1", "1.2", "1.10", "2", "9999", "1:0", "1:1.2", "2:0", "10:0",
]  # fmt: skip


def test_a_list_in_order_stays_in_order() -> None:
    assert sorted(random.Random(1).sample(ASCENDING, len(ASCENDING)), key=sort_key) == ASCENDING
    for position, older in enumerate(ASCENDING):
        for newer in ASCENDING[position + 1 :]:
            assert compare(older, newer) == -1
            assert compare(newer, older) == 1


@pytest.mark.parametrize(
    ("a", "b"),
    [("1", "1-0"), ("0:1", "1"), ("1.0", "1.00"), ("1-1", "1-01"), ("00:1", "1"), ("1.a", "1.a0"), ("1-", "1")],
)
def test_different_texts_of_one_version_are_equal(a: str, b: str) -> None:
    assert compare(a, b) == 0


@pytest.mark.parametrize(
    ("operator", "wanted", "expected"),
    [
        ("<<", "2", True),
        ("<<", "1", False),
        ("<=", "1", True),
        ("=", "1-0", True),
        (">=", "1", True),
        (">>", "1~", True),
    ],
)
def test_relations(operator: str, wanted: str, *, expected: bool) -> None:
    assert satisfies("1", operator, wanted) is expected


def test_parts_of_a_version() -> None:
    assert upstream_version("1:2.39.5-0+deb12u2") == "2.39.5"
    assert upstream_version("2-3-4") == "2-3"
    assert upstream_version("20230311") == "20230311"
    assert source_text("1:2.39.5-0+deb12u2") == "2.39.5-0+deb12u2"


# What dpkg takes for a version: digits, letters, . + ~ -, an epoch; the upstream version begins with a digit.
_TEXT = strategies.text(alphabet="0019a~.+-Z", max_size=6)
_VERSIONS = strategies.builds(
    lambda epoch, digit, upstream, revision: f"{epoch}{digit}{upstream}{revision}",
    strategies.sampled_from(["", "0:", "1:", "12:"]),
    strategies.sampled_from("0129"),
    _TEXT,
    strategies.sampled_from(["", "-0", "-1", "-1~", "-0a", "-1+b1", "-00"]),
)


@given(strategies.lists(_VERSIONS, min_size=3, max_size=3))
def test_the_order_is_total(versions: list[str]) -> None:
    a, b, c = versions
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="compares with dpkg")
def test_the_order_is_that_of_dpkg() -> None:
    pairs: list[tuple[str, str]] = []

    @settings(max_examples=400, database=None, derandomize=True)
    @given(_VERSIONS, _VERSIONS)
    def collect(a: str, b: str) -> None:
        if not a.endswith("-") and not b.endswith("-"):  # dpkg demands a revision behind a hyphen
            pairs.append((a, b))

    collect()
    # One shell for all: it starts dpkg 400 times, in about a second, and prints the relation that holds.
    script = 'while read -r a b; do for o in lt eq gt; do dpkg --compare-versions "$a" $o "$b" && echo $o; done; done'
    answer = subprocess.run(
        ["sh", "-c", script], input="".join(f"{a} {b}\n" for a, b in pairs), capture_output=True, text=True, check=False
    )
    expected = [{"lt": -1, "eq": 0, "gt": 1}[word] for word in answer.stdout.split()]
    assert len(expected) == len(pairs) > 100
    assert [compare(a, b) for a, b in pairs] == expected
