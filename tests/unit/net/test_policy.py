import pytest

from ocibuild.net.policy import HttpPolicy, is_temporary, retry_after_seconds


@pytest.mark.parametrize(
    ("status", "temporary"),
    [(429, True), (500, True), (503, True), (599, True), (501, False), (404, False), (200, False), (408, False)],
)
def test_what_is_temporary(status: int, *, temporary: bool) -> None:
    assert is_temporary(status) is temporary


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), (" 0 ", 0.0), ("", None), ("soon", None), ("-3", None), ("²", None),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": text}, now=1000.0) == seconds


def test_waits_double_with_some_chance_up_to_the_cap() -> None:
    policy = HttpPolicy()
    for attempt, base in enumerate([0.5, 1, 2, 4, 8, 16], start=1):
        assert all(base <= policy.wait_seconds(attempt) <= base * 1.25 for _ in range(50))
    assert policy.wait_seconds(20) == 30.0
    assert policy.wait_seconds(1, 12.0) == 12.0
    assert policy.wait_seconds(1, 86400.0) == 30.0
