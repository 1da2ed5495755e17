import pytest
from hypothesis import given, strategies

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.relation import Relation, parse_groups, parse_provides


def test_groups_and_alternatives() -> None:
    assert parse_groups("libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0 , perl:any") == (
        (Relation("libc6", ">=", "2.36"),),
        (Relation("debconf", ">=", "0.5"), Relation("debconf-2.0")),
        (Relation("perl", qualifier="any"),),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a(<<1)", Relation("a", "<<", "1")),
        ("a (< 1)", Relation("a", "<=", "1")),
        ("a (> 1)", Relation("a", ">=", "1")),
        ("a (= 1:2-3)", Relation("a", "=", "1:2-3")),
        ("a ( >>   1~ )", Relation("a", ">>", "1~")),
        ("a (1)", Relation("a", "=", "1")),
        ("python3:any (>= 3.11~)", Relation("python3", ">=", "3.11~", "any")),
        ("gcc:amd64", Relation("gcc", qualifier="amd64")),
        ("a [amd64 !i386]", Relation("a", architectures=("amd64", "!i386"))),
        ("a:native (>= 1) [linux-any] <!nocheck> <cross>", Relation("a", ">=", "1", "native", ("linux-any",), "<!nocheck> <cross>")),
        ("\n a\n (>= 1)", Relation("a", ">=", "1")),
    ],
)  # fmt: skip
def test_forms(text: str, expected: Relation) -> None:
    assert parse_groups(text) == ((expected,),)


def test_stray_commas_are_overlooked() -> None:
    assert [group[0].name for group in parse_groups(" a, , b,")] == ["a", "b"]
    assert parse_groups("") == ()


@pytest.mark.parametrize("text", ["a b", "a (>= )", "a |", "a (>= 1", "(>= 1)", "a, )"])
def test_malformed_relations_are_named(text: str) -> None:
    with pytest.raises(ImageError, match="malformed relation"):
        parse_groups(text)


def test_provides() -> None:
    assert parse_provides("a, b (= 1), c (>= 2)") == (Relation("a"), Relation("b", "=", "1"))


@given(strategies.text(alphabet="ab |,():<>=[]!1~\n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        groups = parse_groups(text)
    except ImageError:
        return
    assert parse_groups(", ".join(" | ".join(map(str, group)) for group in groups)) == groups
