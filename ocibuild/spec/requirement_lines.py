"""Requirements that stand in another format, as a requirements file."""

import posixpath
import re
from collections.abc import Iterable

from ocibuild.core.asks import RequirementsFile
from ocibuild.core.errors import RepositoryError

__all__ = ["line_of", "placed_requirements", "rebased_line", "rebased_path"]

_LOCAL = re.compile(r"(?P<editable>(?:-e|--editable)[\s=]\s*)?(?P<path>\.{1,2}(?:/[^\s;\[]*)?)(?P<rest>[\s;\[].*)?")


def placed_requirements(path: str, lines: Iterable[tuple[int, str]]) -> RequirementsFile:
    """A requirements file in the name of the file ``path``, whose lines stand where the entries of that file stand.

    So whatever is said of a requirement later names the right line. ``lines`` are pairs of a line number, counted from
    1, and a requirement or option; of several on one line the later ones stand below it. A RepositoryError names the
    line of an entry that holds a line break.
    """
    placed: list[str] = []
    for number, text in sorted(lines, key=lambda pair: pair[0]):
        if len(text.splitlines()) > 1:
            raise RepositoryError(f"{text.splitlines()[0]!r}: must be on one line", file=path, line=number)
        placed += [""] * (number - 1 - len(placed))
        placed.append(text)
    return RequirementsFile(path, "".join(f"{line}\n" for line in placed))


def line_of(text: str, pattern: str, *, start: int = 1) -> int:
    """The first line from ``start`` on that begins with the pattern, spaces aside; ``start`` where none does."""
    form = re.compile(r"\s*(?:" + pattern + ")")
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if number >= start and form.match(line)), start)


def rebased_path(file: str, path: str) -> str:
    """A path that is relative to the folder of ``file``, written relative to the repository (``./a``, ``.``, ``../b``).

    It begins with a dot, so that pip takes it for a path, whatever its name.
    """
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
    return whole if whole.startswith((".", "/")) else f"./{whole}"


def rebased_line(file: str, line: str) -> str:
    """A line of requirements whose local path (``.``, ``-e ../b[extra]``), if it is one, is relative to the repository.

    ``file`` is the path of the file whose folder the path is relative to now.
    """
    found = _LOCAL.fullmatch(line)
    if found is None:
        return line
    return f"{found['editable'] or ''}{rebased_path(file, found['path'])}{found['rest'] or ''}"
