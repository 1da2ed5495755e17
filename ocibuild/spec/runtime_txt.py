"""``runtime.txt``: the language that a repository is for, with its version or the day of its packages."""

import re
from dataclasses import dataclass
from datetime import date

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError

__all__ = ["Runtime"]

_FORMS = "python-3.11, r-2025-06-22 or r-4.4-2025-06-22"


@dataclass(frozen=True, slots=True)
class Runtime:
    """``NAME-VERSION``, ``NAME-YEAR-MONTH-DAY`` or ``NAME-VERSION-YEAR-MONTH-DAY``; ``""`` and None for what is unsaid.

    Source: repo2docker's ``BaseImage.runtime``, which checks neither the name nor the version.
    """

    name: str
    version: str
    day: date | None
    origin: Origin

    @classmethod
    def parse(cls, text: str, *, file: str) -> "Runtime":
        """Read the whole file; a RepositoryError for any other form, an empty file included."""
        parts = text.strip().split("-")
        if len(parts) not in (2, 4, 5) or not all(parts):
            raise _wrong(text, file)
        day = _day("-".join(parts[-3:]), text, file) if len(parts) > 2 else None  # noqa: PLR2004 - name and version
        version = parts[1] if len(parts) in (2, 5) else ""
        return cls(parts[0], version, day, Origin(file, _line(text)))


def _day(day: str, text: str, file: str) -> date:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day) is None:
        raise _wrong(text, file)
    try:
        return date.fromisoformat(day)
    except ValueError as error:
        raise _wrong(text, file) from error


def _wrong(text: str, file: str) -> RepositoryError:
    return RepositoryError(
        f"{text.strip()[:80]!r} names no runtime", file=file, line=_line(text), hint=f"write {_FORMS}, and nothing else"
    )


def _line(text: str) -> int:
    """The first line that is not blank, 1 where all are."""
    return next((number for number, line in enumerate(text.splitlines(), start=1) if line.strip()), 1)
