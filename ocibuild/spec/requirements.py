"""``requirements.txt`` and the files that it includes, read from the repository."""

import posixpath
import re
from collections.abc import Callable

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.text import decode_text

__all__ = ["read_requirements"]

_INCLUDE = re.compile(r"\s*(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>[^\s#]+)")


def read_requirements(path: str, read: Callable[[str], bytes | None]) -> PipAsks:
    """The requirements file at ``path`` with everything that it includes by ``-r`` and ``-c``, as text.

    ``read`` gives the bytes of a file of the repository, None where there is none. Included URLs are left to the
    resolver. A RepositoryError names file and line of an include that is missing or leaves the repository.
    """
    top = _read(path, read)
    included: dict[str, RequirementsFile] = {}
    waiting = [top]
    while waiting:
        for included_path in _includes(waiting.pop(), read):
            if included_path != path and included_path not in included:
                included[included_path] = _read(included_path, read)
                waiting.append(included[included_path])
    return PipAsks(files=(top,), included=tuple(included[name] for name in sorted(included)))


def _read(path: str, read: Callable[[str], bytes | None]) -> RequirementsFile:
    return RequirementsFile(path, decode_text(read(path) or b"", file=path))


def _includes(file: RequirementsFile, read: Callable[[str], bytes | None]) -> list[str]:
    paths = []
    for number, line in enumerate(file.text.splitlines(), start=1):
        found = _INCLUDE.match(line)
        if found is None or "://" in found["path"]:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), found["path"]))
        if path.startswith(("../", "/")) or path == "..":
            raise RepositoryError(f"{found['path']} is outside the repository", file=file.path, line=number)
        if read(path) is None:
            raise RepositoryError(f"{found['path']} does not exist", file=file.path, line=number)
        paths.append(path)
    return paths
