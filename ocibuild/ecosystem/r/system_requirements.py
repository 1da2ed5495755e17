"""What R packages want of the system, in the words of their ``SystemRequirements``, as Debian packages.

The field is free text. A complete set of rules is kept by Posit (github.com/rstudio/r-system-requirements, MIT); the
few here are written for this program, each from the text that the named CRAN packages carry and the Debian package that
holds the library. A text that no rule knows adds nothing: ``apt.txt`` says what is missing.
"""

import re
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["system_packages"]


def system_packages(text: str) -> tuple[str, ...]:
    """The Debian packages for a ``SystemRequirements`` text, in the order of the rules."""
    found: dict[str, None] = {}
    for pattern, packages in _rules():
        if pattern.search(text):
            found.update(dict.fromkeys(packages))
    return tuple(found)


@cache
def _rules() -> tuple[tuple["re.Pattern[str]", tuple[str, ...]], ...]:
    import tomli  # noqa: PLC0415 - most builds have no R packages

    file = resources.files("ocibuild.ecosystem.r").joinpath("system_requirements.toml")
    rules: list[dict[str, Any]] = tomli.loads(file.read_text("utf-8"))["rule"]
    return tuple((_words(rule["words"]), tuple(rule["packages"])) for rule in rules)


def _words(expression: str) -> "re.Pattern[str]":
    """Whole words: in ``libcurl4-openssl-dev`` there is no ``openssl``."""
    return re.compile(rf"(?<![\w-])(?:{expression})(?![\w-])", re.IGNORECASE)
