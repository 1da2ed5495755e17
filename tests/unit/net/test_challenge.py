import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.core.errors import NetworkError
from ocibuild.net.challenge import Challenge, basic_authorization, checked_realm


def test_a_bearer_challenge_has_its_parameters() -> None:
    (challenge,) = Challenge.parse_all(
        'Bearer realm="https://auth.example/t",service="r.example",scope="repository:a/b:pull,push repository:c:pull"'
    )
    assert challenge.scheme == "bearer"
    assert dict(challenge.parameters) == {
        "realm": "https://auth.example/t", "service": "r.example", "scope": "repository:a/b:pull,push repository:c:pull",
    }  # fmt: skip


def test_several_challenges_in_one_header() -> None:
    challenges = Challenge.parse_all(
        'BASIC Realm="a \\"b\\"", charset=UTF-8, Bearer realm = "x" , error=bad, Negotiate'
    )
    assert [(c.scheme, dict(c.parameters)) for c in challenges] == [
        ("basic", {"realm": 'a "b"', "charset": "UTF-8"}), ("bearer", {"realm": "x", "error": "bad"}), ("negotiate", {}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "header", ["", ",,,", "=", 'Bearer realm="open', "Negotiate abc==", "Bearer " + "a=b," * 2000, "\x00", '"']
)
def test_malformed_headers_are_read_as_far_as_they_go(header: str) -> None:
    assert isinstance(Challenge.parse_all(header), tuple)


def test_basic_credentials_may_hold_colons_and_umlauts() -> None:
    assert basic_authorization("user", "pä:ss") == "Basic dXNlcjpww6Q6c3M="


@pytest.mark.parametrize(
    ("realm", "server", "allowed"),
    [
        ("https://auth.example/token", "https://r.example", True),
        ("http://auth.example/token", "https://r.example", False),
        ("http://r.example/token", "https://r.example", False),
        ("http://127.0.0.1/token", "https://r.example", False),
        ("http://r.example:8080/token", "http://r.example", True),
        ("http://127.0.0.1:1/token", "http://127.0.0.1:2", True),
        ("http://other.example/token", "http://r.example", False),
        ("https://other.example/token", "http://r.example", True),
        ("file:///etc/passwd", "https://r.example", False),
        ("", "https://r.example", False),
    ],
)
def test_a_token_server_is_asked_only_over_a_way_as_good_as_the_registrys(
    realm: str, server: str, *, allowed: bool
) -> None:
    if allowed:
        assert checked_realm(realm, server_url=server) == realm
    else:
        with pytest.raises(NetworkError):
            checked_realm(realm, server_url=server)


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(st.lists(st.tuples(WORDS, st.dictionaries(WORDS, VALUES, max_size=4)), max_size=4))
def test_what_is_written_as_the_standard_has_it_is_read_back(challenges: list[tuple[str, dict[str, str]]]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(
        f"{scheme} {', '.join(f'{name}={quoted(value)}' for name, value in parameters.items())}".rstrip()
        for scheme, parameters in challenges
    )
    assert [(c.scheme, dict(c.parameters)) for c in Challenge.parse_all(header)] == challenges


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(header: str) -> None:
    Challenge.parse_all(header)
