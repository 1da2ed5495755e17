"""Running a program of version control: without a terminal, in one folder, its complaints as this program's errors."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocibuild.core.errors import MachineError
from ocibuild.net.address import redacted

__all__ = ["complaint", "run_program"]

_TAIL_LINES = 5
_URL = re.compile(r"[a-z]+://[^\s'\"]+")

Result = subprocess.CompletedProcess[str]


def run_program(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, subject: str, package: str
) -> Result:
    """What the program answered, whatever its exit code.

    A MachineError where it is not installed: ``subject`` is what it was to fetch, ``package`` what to install.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise MachineError(
            f"{subject} is fetched by {command[0]}, which is not installed", hint=f"install the package {package}"
        ) from error


def complaint(result: Result) -> str:
    """The end of what a program that failed said, in one line, without the credentials of addresses in it."""
    said = [_URL.sub(lambda url: redacted(url[0]), line) for line in result.stderr.splitlines() if line.strip()]
    return "; ".join(said[-_TAIL_LINES:]) or f"exit code {result.returncode}"
