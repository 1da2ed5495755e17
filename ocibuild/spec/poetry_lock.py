"""``poetry.lock``: what ``poetry install`` would install, as requirements pinned to their hashes.

Source: the lock's own form, version 2.1 (Poetry 2), which tells the groups and markers of every package.
"""

from collections.abc import Collection, Mapping
from typing import Any

from ocibuild.core.asks import RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.lock_tables import LockTables
from ocibuild.spec.requirement_lines import placed_requirements, rebased_path

__all__ = ["parse_poetry_lock"]

_LEAST_VERSION = (2, 1)
_PYPI = "https://pypi.org/simple"


def parse_poetry_lock(text: str, *, file: str, optional_groups: Collection[str] = ()) -> RequirementsFile | None:
    """The packages of all groups but the optional ones, without optional packages (extras).

    Each is pinned and has its hashes and markers. None for a lock before version 2.1: it does not tell under which
    conditions a package is needed. A RepositoryError names file and line of what is not as Poetry writes it.
    """
    tables = LockTables.parse(text, file=file, array="package")
    metadata = tables.document.get("metadata")
    version = str(metadata.get("lock-version", "")) if isinstance(metadata, dict) else ""
    if not all(part.isdigit() for part in version.split(".")):
        raise RepositoryError("metadata: no lock-version", file=file, hint="poetry lock writes the file anew")
    if tuple(map(int, version.split("."))) < _LEAST_VERSION:
        return None
    indexes: list[tuple[int, str]] = []
    lines: list[tuple[int, str]] = []
    for place, package in enumerate(tables.members):
        groups = [group for group in _groups(tables, place) if group not in optional_groups]
        if groups and not package.get("optional"):
            lines.append((tables.line(place), _requirement(tables, place, groups)))
            source = tables.table(place, "source")
            url = str(source.get("url", ""))
            if source.get("type") == "legacy" and url.rstrip("/") != _PYPI:
                indexes.append((1, f"--extra-index-url {url}"))
    return placed_requirements(file, [*dict.fromkeys(indexes), *lines])


def _groups(tables: LockTables, place: int) -> list[str]:
    groups = tables.members[place].get("groups", ["main"])
    if not isinstance(groups, list):
        raise tables.error(place, "groups: must be a list")
    return [str(group) for group in groups]


def _requirement(tables: LockTables, place: int, groups: list[str]) -> str:
    package, name, source = tables.members[place], tables.name(place), tables.table(place, "source")
    marker = _marker(package.get("markers"), groups)
    url, reference = str(source.get("url", "")), source.get("resolved_reference") or source.get("reference")
    match source.get("type", "legacy"):
        case "legacy":
            text = f"{name}=={package.get('version')}"
        case "git":
            folder = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
            text = f"{name} @ git+{url}@{reference}{folder}"
        case "url":
            text = f"{name} @ {url}"
        case _:  # file, directory
            text = rebased_path(tables.file, url)
    files = package.get("files", [])
    hashes = sorted({str(each["hash"]) for each in files if isinstance(each, dict) and "hash" in each})
    return f"{text}{marker}" + "".join(f" --hash={value}" for value in hashes)


def _marker(value: Any, groups: list[str]) -> str:
    """One marker for the package, or one for each group, of which any that is installed will do."""
    if isinstance(value, Mapping):
        if any(group not in value for group in groups):
            return ""
        return " ; " + " or ".join(f"({text})" for text in sorted({str(value[group]) for group in groups}))
    return f" ; {value}" if value else ""
