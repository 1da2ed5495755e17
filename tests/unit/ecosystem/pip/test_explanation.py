import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import BuildError, NetworkError, RepositoryError
from ocibuild.ecosystem.pip.explanation import explained, near_names, source_only_names
from ocibuild.ecosystem.pip.requirement import PipRequirement
from ocibuild.ecosystem.pip.uv import UvAnswer


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("sklearn", "scikit-learn"),
        ("nunpy", "numpy"),
        ("matplotib", "matplotlib"),
        ("yaml", "pyyaml"),
        ("xyzzy-q", None),
    ],
)
def test_near_names(name: str, near: str | None) -> None:
    assert (near in near_names(name)) if near else near_names(name) == ()


def test_a_certificate_that_is_not_trusted() -> None:
    answer = UvAnswer(
        2, "", "error: Failed to fetch: `https://me@host/simple/x/`\n  cause: invalid peer certificate: UnknownIssuer\n"
    )
    error = explained(answer, ())
    assert isinstance(error, NetworkError)
    assert error.url == "https://host/simple/x/"
    assert error.hint is not None
    assert "SSL_CERT_FILE" in error.hint


@pytest.mark.parametrize(("status", "temporary"), [(404, False), (503, True)])
def test_a_status(status: int, temporary: bool) -> None:  # noqa: FBT001 - a parameter of the test
    answer = UvAnswer(
        2,
        "",
        f"error: Failed to fetch: `https://h/x`\n  cause: HTTP status server error ({status} Some Text) for url (https://h/x)\n",
    )
    error = explained(answer, ())
    assert isinstance(error, NetworkError)
    assert (error.status, error.temporary) == (status, temporary)


def test_a_conflict_names_every_line_that_takes_part() -> None:
    required = [
        PipRequirement(text, text.partition("<")[0], Origin("r.txt", line))
        for line, text in enumerate(("a", "b<3", "c"), 1)
    ]
    messages = (
        "warning: x\nerror: No solution found when resolving dependencies\n  cause: Because you require b<3 and c\n"
    )
    messages += "         And because you require c, we can conclude\n"
    error = explained(UvAnswer(1, "", messages), required)
    assert isinstance(error, RepositoryError)
    assert (error.file, error.line) == ("r.txt", 2)
    assert "(see also r.txt:3)" in error.message
    assert "warning" not in error.message


def test_anything_else_is_shown_as_it_is() -> None:
    error = explained(UvAnswer(2, "", "error: the moon is full\n"), ())
    assert type(error) is BuildError
    assert "the moon is full" in str(error)
    assert "nothing" in str(explained(UvAnswer(101, "", ""), ()))


def test_names_without_wheels() -> None:
    hint = "hint: Wheels are required for `docopt` because building from source is disabled for all packages\n"
    assert source_only_names(UvAnswer(1, "", hint * 2)) == ("docopt",)
