import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.core.errors import NetworkError
from ocibuild.net.address import Origin, is_loopback, joined, redacted, split_userinfo


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@host.example/a/b", "https://host.example/a/b"),
        (
            "https://host.example/blob?X-Amz-Signature=abc&X-Amz-Expires=1",
            "https://host.example/blob?X-Amz-Signature=...&X-Amz-Expires=...",
        ),
        (
            "https://h.example/v2/a/blobs/uploads/1?_state=s3cret&digest=sha256:00",
            "https://h.example/v2/a/blobs/uploads/1?_state=...&digest=sha256:00",
        ),
        ("https://h.example/x#sha256=secret", "https://h.example/x"),
        ("https://[::1", "(a malformed URL)"),
        ("https://user@h.example:8443/", "https://h.example:8443/"),
        ("https://h.example/t/ab-s3cret/team/linux-64/a.conda", "https://h.example/t/.../team/linux-64/a.conda"),
        ("https://h.example/data/t/x/y", "https://h.example/data/t/x/y"),
    ],
)
def test_what_may_be_secret_is_not_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_userinfo_is_taken_out_and_decoded() -> None:
    assert split_userinfo("https://us%40er:p%3Aw@h.example/a?b=c") == ("https://h.example/a?b=c", "us@er", "p:w")
    assert split_userinfo("https://h.example/a@b") == ("https://h.example/a@b", None, None)


def test_an_origin_has_the_port_of_its_scheme() -> None:
    assert Origin.of("https://H.example/a") == Origin.of("https://h.EXAMPLE:443/b")
    assert Origin.of("http://h.example") != Origin.of("https://h.example")
    assert Origin.of("http://h.example") != Origin.of("http://h.example:8080")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://h.example/", "https:///a", "h.example/a", "http://h:port/"]
)
def test_only_http_has_an_origin(url: str) -> None:
    with pytest.raises(NetworkError):
        Origin.of(url)


def test_a_location_may_be_relative_or_absolute_but_not_leave_encryption() -> None:
    assert joined("https://h.example/v2/a/", "/v2/b?x=1") == "https://h.example/v2/b?x=1"
    assert joined("https://h.example/v2/", "//other.example/c") == "https://other.example/c"
    assert joined("http://h.example/", "https://h.example/") == "https://h.example/"
    assert joined("https://h.example/", "https://evil:pw@other.example/") == "https://other.example/"
    with pytest.raises(NetworkError, match="not encrypted"):
        joined("https://h.example/", "http://h.example/")
    with pytest.raises(NetworkError):
        joined("https://h.example/", "file:///etc/passwd")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:80", True), ("127.9.9.9", True), ("[::1]:5000", True),
        ("localhost.example.org", False), ("127.0.0.1.example.org", False), ("10.0.0.1", False), ("registry", False), ("[::1", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_alone(host: str, *, is_local: bool) -> None:
    assert is_loopback(host) is is_local


SECRETS = st.text("ghijklmnopqrstuvwxyzGHIJ%", min_size=8, max_size=12)  # letters that are in nothing else shown


@given(SECRETS, SECRETS, SECRETS)
def test_no_secret_is_shown_wherever_it_stands(password: str, signature: str, fragment: str) -> None:
    shown = redacted(f"https://a:{password}@b.cd/e?X-Sig={signature}&f={signature}#{fragment}")
    assert not any(secret in shown for secret in (password, signature, fragment))


@given(st.text(max_size=100))
def test_any_text_can_be_shown(url: str) -> None:
    assert isinstance(redacted(url), str)
