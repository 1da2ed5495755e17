"""How tests and benchmarks start the program."""

import sys
from pathlib import Path

__all__ = ["program_command"]

_BUILDING = frozenset({"build", "plan", "lock"})


def program_command(*arguments: str | Path) -> list[str]:
    """The command that starts ``ocibuild`` with these arguments.

    Where they say no profile, images are made in the profile ``plain``: most tests are not about Jupyter.
    """
    words = list(map(str, arguments))
    if words and words[0] in _BUILDING and "--profile" not in words:
        words[1:1] = ["--profile", "plain"]
    return [sys.executable, "-m", "ocibuild.cli", *words]
