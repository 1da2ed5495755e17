"""TOML of a repository's files."""

import re
from typing import Any

from ocibuild.core.errors import RepositoryError

__all__ = ["read_toml"]

_PLACE = re.compile(r" \(at line (\d+), column \d+\)")
"""Where tomli says that the fault is; nowhere at the end of a document."""


def read_toml(text: str, *, file: str) -> dict[str, Any]:
    """The document; a RepositoryError names file and line where the text is no TOML."""
    import tomli  # noqa: PLC0415 - many repositories have no such file

    try:
        return tomli.loads(text)
    except (tomli.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place else None
        raise RepositoryError(f"not TOML: {_PLACE.sub('', str(error))}", file=file, line=line) from error
