from datetime import date

import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.runtime_txt import Runtime


@pytest.mark.parametrize(
    ("text", "name", "version", "day"),
    [
        ("python-3.11", "python", "3.11", None),
        ("\n r-4.4 \n", "r", "4.4", None),
        ("r-2025-06-22", "r", "", date(2025, 6, 22)),
        ("r-4.4-2025-06-22\n", "r", "4.4", date(2025, 6, 22)),
        ("a_b/c-0.0.1-2025-06-22", "a_b/c", "0.0.1", date(2025, 6, 22)),
    ],
)
def test_every_form(text: str, name: str, version: str, day: date | None) -> None:
    runtime = Runtime.parse(text, file="runtime.txt")
    assert (runtime.name, runtime.version, runtime.day) == (name, version, day)


def test_the_line_is_known() -> None:
    assert Runtime.parse("\n\npython-3.11\n", file="binder/runtime.txt").origin == Origin("binder/runtime.txt", 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "python",
        "python-",
        "-3.11",
        "r-2020-01",
        "r-2020-13-01",
        "r-2020-1-01",
        "r-4.4-2025-06-31",
        "r-4.4-x-2025-06-22",
        "r-٢٠٢٥-06-22",
        "r--2025-06-22",
        "a-b-c",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(RepositoryError, match=r"runtime\.txt:1: .* names no runtime") as caught:
        Runtime.parse(text, file="runtime.txt")
    assert "python-3.11" in str(caught.value.hint)
