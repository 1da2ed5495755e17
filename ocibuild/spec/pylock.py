"""``pylock.toml``: a lock of Python packages, as requirements pinned to their hashes.

Source: PEP 751 (https://packaging.python.org/specifications/pylock-toml/).
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from ocibuild.core.asks import RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.lock_tables import LockTables
from ocibuild.spec.requirement_lines import placed_requirements, rebased_path

__all__ = ["parse_pylock"]

_MEMBERSHIP = re.compile(r"""(['"])(?P<name>[^'"]*)\1\s+(?P<negated>not\s+)?in\s+(?P<set>extras|dependency_groups)\b""")
_TRUE, _FALSE = "python_version >= '0'", "python_version < '0'"
_PYPI = "https://pypi.org/simple"


def parse_pylock(text: str, *, file: str) -> RequirementsFile:
    """The packages that are installed without any extra and with the default groups.

    Each is pinned and has its hashes and its marker. A RepositoryError names file and line of what the specification
    does not allow.
    """
    tables = LockTables.parse(text, file=file, array="packages")
    version = str(tables.document.get("lock-version", ""))
    if version.partition(".")[0] != "1":
        raise RepositoryError(f"lock-version: {version!r} cannot be read", file=file, hint="version 1.0 can")
    groups = tables.document.get("default-groups", [])
    lines = []
    for place, package in enumerate(tables.members):
        marker = f" ; {_without_sets(str(package['marker']), groups)}" if package.get("marker") else ""
        hashes = "".join(f" --hash={value}" for value in _hashes(package))
        lines.append((tables.line(place), _requirement(tables, place) + marker + hashes))
    indexes = {str(package["index"]) for package in tables.members if package.get("index")}
    others = sorted(url for url in indexes if url.rstrip("/") != _PYPI)
    return placed_requirements(file, [*((1, f"--extra-index-url {url}") for url in others), *lines])


def _without_sets(marker: str, groups: Collection[str]) -> str:
    """The marker with what it says of extras and groups (PEP 751, "marker") decided: requirements know neither."""

    def decided(found: re.Match[str]) -> str:
        is_member = found["set"] == "dependency_groups" and found["name"] in groups
        return _FALSE if is_member == bool(found["negated"]) else _TRUE

    return _MEMBERSHIP.sub(decided, marker)


def _requirement(tables: LockTables, place: int) -> str:
    package, name = tables.members[place], tables.name(place)
    if "vcs" in package:
        vcs = tables.table(place, "vcs")
        where = vcs.get("url") or rebased_path(tables.file, str(vcs.get("path")))
        folder = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        return f"{name} @ {vcs.get('type')}+{where}@{vcs.get('commit-id')}{folder}"
    if "directory" in package:
        return rebased_path(tables.file, str(tables.table(place, "directory").get("path")))
    if "archive" in package:
        archive = tables.table(place, "archive")
        return f"{name} @ {archive['url']}" if "url" in archive else rebased_path(tables.file, str(archive.get("path")))
    if not isinstance(package.get("version"), str):
        raise tables.error(place, f"{name} has no version")
    return f"{name}=={package['version']}"


def _hashes(package: Mapping[str, Any]) -> list[str]:
    """The hashes of every file of the package that is named, as requirements files write them."""
    found = set()
    for each in (*package.get("wheels", ()), package.get("sdist"), package.get("archive")):
        hashes = each.get("hashes") if isinstance(each, dict) else None
        if isinstance(hashes, dict):
            found |= {f"{kind}:{value}" for kind, value in hashes.items() if kind in ("sha256", "sha384", "sha512")}
    return sorted(found)
