"""Which forms of packages are wanted, compared with pip's own rule for random options."""

import random

import pytest
from pip._internal.models.format_control import FormatControl

from ocibuild.ecosystem.pip.formats import Formats

NAMES = ("numpy", "My_Thing", "my-thing", "six")


@pytest.mark.parametrize("seed", range(60))
def test_as_pip_has_it(seed: int) -> None:
    numbers = random.Random(seed)
    ours, pips = Formats(), FormatControl()
    for _ in range(numbers.randint(1, 5)):
        value = ",".join(numbers.choices((":all:", ":none:", *NAMES), k=numbers.randint(1, 3)))
        if numbers.random() < 0.5:
            ours = ours.told("no-binary", value)
            pips.handle_mutual_excludes(value, pips.no_binary, pips.only_binary)
        else:
            ours = ours.told("only-binary", value)
            pips.handle_mutual_excludes(value, pips.only_binary, pips.no_binary)
        assert (set(ours.no_wheels), set(ours.only_wheels)) == (pips.no_binary, pips.only_binary)
        for name in ("numpy", "my-thing", "six", "unnamed"):
            allowed = pips.get_allowed_formats(name)
            assert ours.allows_wheels(name) == ("binary" in allowed)
            assert ours.allows_sources(name) == ("source" in allowed)


def test_for_uv() -> None:
    formats = Formats().told("no-binary", ":all:").told("only-binary", "six")
    assert formats.arguments() == ["--no-binary=:all:", "--only-binary=six"]
