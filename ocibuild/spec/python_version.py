"""``.python-version``: the Python of pyenv and uv."""

import re

from ocibuild.core.asks import Origin

__all__ = ["parse_python_version"]

_VERSION = re.compile(r"(?:python-?|cpython-?)?(3(?:\.\d+)?)(?:\.\d+)?")


def parse_python_version(text: str, *, file: str) -> tuple[str, Origin] | None:
    """The first version in the file, as ``3`` or ``3.11``, and where it stands.

    None where the first is anything else: another implementation, or the name of a virtual environment. Binder does not
    read this file at all, so it says what is preferred, and never what must be. Source: pyenv's "Choosing the Python
    version" and uv's "Python version files": one a line, ``#`` starts a comment, the first counts.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip()
        if word:
            found = _VERSION.fullmatch(word)
            return (found[1], Origin(file, number)) if found else None
    return None
