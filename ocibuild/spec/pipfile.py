"""``Pipfile`` and ``Pipfile.lock``: what pipenv would install, as requirements.

Sources: pipenv's documentation ("Pipfile & Pipfile.lock", "Specifiers"), and repo2docker's ``PipfileBuildPack``, which
runs ``pipenv install --system --dev`` with ``--ignore-pipfile`` where there is a lock and ``--skip-lock`` otherwise.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ocibuild.core.asks import Origin, RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.requirement_lines import line_of, placed_requirements, rebased_path
from ocibuild.spec.toml import read_toml

__all__ = ["PipenvProject", "read_pipfile"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"\d+(\.\d+)*")
_PYPI = frozenset({"pypi.org", "pypi.python.org", "www.pypi.org"})
_VERSION_CONTROL = ("git", "hg", "svn", "bzr")
# Markers of PEP 508 that an entry may have as keys of their own.
_MARKERS = (
    "os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_release",
    "platform_system", "platform_version", "python_version", "python_full_version", "implementation_name",
    "implementation_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PipenvProject:
    """The packages as a requirements file, and the Python asked for: ``3.11`` or ``3``, ``""`` where none is."""

    requirements: RequirementsFile
    python: str = ""
    python_origin: Origin | None = None


def read_pipfile(files: ConfigFiles) -> PipenvProject | None:
    """What the lock says where there is one, else the Pipfile; None where there is neither.

    Packages and development packages are taken alike, as Binder does. A RepositoryError names the file and, as far as
    it is known, the line of what cannot be read.
    """
    lock, pipfile = files.path("Pipfile.lock"), files.path("Pipfile")
    lock_text, pipfile_text = files.text(lock), files.text(pipfile)
    pinned = None if lock_text is None else _Reader(lock, lock_text, _lock_document(lock_text, lock))
    asked = None if pipfile_text is None else _Reader(pipfile, pipfile_text, read_toml(pipfile_text, file=pipfile))
    if pinned is not None:
        requirements = pinned.requirements(("default", "develop"), pinned.table(pinned.document, "_meta"))
        pythons = [pinned.python(pinned.table(pinned.document, "_meta"))]
    elif asked is not None:
        requirements = asked.requirements(("packages", "dev-packages"), {"sources": asked.document.get("source", [])})
        pythons = []
    else:
        return None
    pythons += [asked.python(asked.document)] if asked is not None else []
    version, origin = next((found for found in pythons if found[0]), ("", None))
    return PipenvProject(requirements, version, origin)


def _lock_document(text: str, file: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise RepositoryError(f"not JSON: {error.msg}", file=file, line=error.lineno) from error
    except RecursionError as error:
        raise RepositoryError("not JSON that can be read: it is nested too deeply", file=file) from error
    if not isinstance(value, dict):
        raise RepositoryError("must be an object with the members default and develop", file=file)
    return value


class _Reader:
    """Reads a Pipfile or its lock: their entries have the same form."""

    def __init__(self, file: str, text: str, document: Mapping[str, Any]) -> None:
        self.document = document
        self._file = file
        self._text = text

    def python(self, holder: Mapping[str, Any]) -> tuple[str, Origin | None]:
        """The major and minor version in ``requires``; a full version counts first, as in repo2docker."""
        requires = self.table(holder, "requires")
        for key in ("python_full_version", "python_version"):
            found = _VERSION.match(str(requires.get(key, "")))
            if found:
                line = line_of(self._text, rf'"?{key}"?\s*[=:]')
                return ".".join(found[0].split(".")[:2]), Origin(self._file, line)
        return "", None

    def requirements(self, sections: tuple[str, ...], meta: Mapping[str, Any]) -> RequirementsFile:
        """The entries of these sections, each a line where it stands; indexes first."""
        lines = self._indexes(meta.get("sources", []))
        for section in sections:
            start = line_of(self._text, rf'\[\s*"?{section}"?\s*\]|"{section}"\s*:')
            for name, entry in self.table(self.document, section).items():
                line = line_of(self._text, rf"""["']?{re.escape(name)}["']?\s*[=:.]""", start=start)
                lines.append((line, self._requirement(name, entry, line)))
        return placed_requirements(self._file, lines)

    def table(self, holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """The table with this name, empty where there is none."""
        value = holder.get(key, {})
        if not isinstance(value, dict):
            raise RepositoryError(f"{key}: must be a table", file=self._file, line=line_of(self._text, f'"?{key}"?'))
        return value

    def _indexes(self, sources: Any) -> list[tuple[int, str]]:
        """Options for the indexes, but for PyPI: which one stands for that is this machine's business."""
        lines: list[tuple[int, str]] = []
        urls = (
            [source.get("url") for source in sources if isinstance(source, dict)] if isinstance(sources, list) else []
        )
        for place, url in enumerate(urls):
            if not isinstance(url, str) or not url or any(space in url for space in " \t\n"):
                raise RepositoryError("a source without a url", file=self._file, line=line_of(self._text, '"?source'))
            if urlsplit(url).hostname not in _PYPI:
                option = "--extra-index-url" if place else "--index-url"
                lines.append((1, f"{option} {url}"))
        return lines

    def _requirement(self, name: str, entry: Any, line: int) -> str:
        """One entry as a line of a requirements file."""
        if not _NAME.fullmatch(name):
            raise RepositoryError(f"{name!r} is no name of a package", file=self._file, line=line)
        if isinstance(entry, str):
            return f"{name}{_specifier(entry)}"
        if not isinstance(entry, dict):
            raise RepositoryError(f"{name}: must be a version or a table", file=self._file, line=line)
        extras = f"[{','.join(map(str, entry.get('extras', [])))}]" if entry.get("extras") else ""
        markers = [f"({entry['markers']})"] if entry.get("markers") else []
        markers += [f"({key} {entry[key]})" for key in _MARKERS if entry.get(key)]
        marker = f" ; {' and '.join(markers)}" if markers else ""
        control = next((key for key in _VERSION_CONTROL if key in entry), None)
        if "path" in entry or "file" in entry:
            text = self._local(name, str(entry.get("path", entry.get("file"))), extras)
        elif control is not None:
            reference = f"@{entry['ref']}" if entry.get("ref") else ""
            folder = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
            text = f"{name}{extras} @ {control}+{entry[control]}{reference}{folder}"
        else:
            text = f"{name}{extras}{_specifier(str(entry.get('version', '*')))}"
        hashes = "".join(f" --hash={value}" for value in sorted(map(str, entry.get("hashes", []))))
        return f"{text}{marker}{hashes}"

    def _local(self, name: str, place: str, extras: str) -> str:
        """A file by its URL, or a path: pipenv runs in the folder of its files."""
        if "://" in place:
            return f"{name}{extras} @ {place}"
        return f"{rebased_path(self._file, place)}{extras}"


def _specifier(text: str) -> str:
    """``*`` is any version; a bare one, which pipenv takes too, is exact."""
    text = text.strip()
    if text in ("*", ""):
        return ""
    return f"=={text}" if text[0].isdigit() else text
