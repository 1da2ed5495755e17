import time

import pytest

from ocibuild.core.errors import RepositoryError
from ocibuild.spec.ignore import IgnoreRules


def rules(*lines: str) -> IgnoreRules:
    return IgnoreRules.parse("\n".join(lines), file=".dockerignore")


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        # The examples of Docker's documentation.
        ("*/temp*", ["somedir/temporary.txt", "somedir/temp"], ["temporary.txt", "a/b/temp"]),
        ("*/*/temp*", ["somedir/subdir/temporary.txt"], ["somedir/temp"]),
        ("temp?", ["tempa", "tempb"], ["temp", "tempab", "a/tempa"]),
        ("**/*.go", ["a.go", "a/b.go", "a/b/c.go"], ["a.gone", "go"]),
        ("*.md", ["README.md"], ["docs/README.md"]),
        # What is below an ignored folder.
        ("data", ["data", "data/a", "data/a/b"], ["database", "x/data"]),
        ("data/", ["data", "data/a"], ["a"]),
        ("/data", ["data/a"], ["x/data"]),
        ("./data", ["data/a"], ["x/data"]),
        ("a/../b", ["b"], ["a"]),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "a/docs/b"]),
        ("**/build", ["build", "a/build", "a/b/build/c"], ["builder"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/bz", "z"]),
        ("**/a/**/b", ["a/b", "x/a/y/z/b", "x/a/b"], ["a", "ab"]),
        ("**", ["a", "a/b"], []),
        ("*", ["a", "a/b", ".hidden"], []),
        ("[a-c]x", ["ax", "cx"], ["dx", "a"]),
        ("[^a]x", ["bx"], ["ax", "a/x"]),
        ("[]x]y", ["]y", "xy"], ["y"]),
        ("[a\\]]", ["a", "]"], ["b"]),
        ("\\*", ["*"], ["a"]),
        ("\\#a", ["#a"], ["a"]),
        ("\\!a", ["!a"], ["a"]),
        ("a.b", ["a.b"], ["aXb"]),
        ("a+(b)$", ["a+(b)$"], ["aab"]),
        ("a*b*c", ["abc", "aXbXc", "abbcbc"], ["ab/c", "acb"]),
        ("*a*b*c/d", ["xaxbxc/d", "aabbcc/d"], ["abc", "xab/c/d"]),
        ("foo**bar", ["foobar", "foox/bar", "foo/x/bar"], ["fooxbar"]),
        ("é*", ["éa"], ["e"]),
        ("# a", [], ["# a", "a"]),
        ("  spaced  ", ["spaced"], [" "]),
    ],
)
def test_one_pattern(pattern: str, ignored: list[str], kept: list[str]) -> None:
    found = rules(pattern)
    assert [path for path in ignored if not found.ignores(path)] == []
    assert [path for path in kept if found.ignores(path)] == []


def test_the_last_match_decides() -> None:
    documented = rules("*.md", "!README*.md", "README-secret.md")
    assert [name for name in ("a.md", "README.md", "README-secret.md") if documented.ignores(name)] == [
        "a.md",
        "README-secret.md",
    ]
    other = rules("*.md", "README-secret.md", "!README*.md")
    assert [name for name in ("a.md", "README.md", "README-secret.md") if other.ignores(name)] == ["a.md"]


def test_an_exception_below_an_ignored_folder() -> None:
    found = rules("data", "!data/keep", "data/keep/not")
    paths = [("data", True), ("data/x", False), ("data/keep", True), ("data/keep/a", False), ("data/keep/not", False)]
    assert found.kept(paths) == {"data", "data/keep", "data/keep/a"}


def test_two_files_are_one() -> None:
    found = rules("a*") + rules("!ab")
    assert (found.ignores("aa"), found.ignores("ab")) == (True, False)


def test_nothing_is_ignored_without_patterns() -> None:
    assert not rules("", "# a comment").ignores("a")


@pytest.mark.parametrize("pattern", ["a[", "[", "[a", "a\\", "!", "[a-", "[z-a]"])
def test_what_is_no_pattern_is_named(pattern: str) -> None:
    with pytest.raises(RepositoryError, match=r"\.dockerignore:2: "):
        rules("ok", pattern)


@pytest.mark.parametrize("pattern", ["*a" * 30 + "*b", "**/a/" * 30 + "b", "**" * 50 + "b", "a*" * 40 + "/b"])
def test_no_pattern_takes_long(pattern: str) -> None:
    path = "/".join(["a" * 200] * 20) + "/" + "a/" * 200 + "c"
    started = time.process_time()
    rules(pattern).ignores(path)
    assert time.process_time() - started < 5
