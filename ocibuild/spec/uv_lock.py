"""``uv.lock``: what ``uv sync`` would install, as requirements pinned to their hashes.

Source: uv's documentation ("Project locking and syncing") and the lock's own form, version 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ocibuild.core.asks import RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.lock_tables import LockTables
from ocibuild.spec.requirement_lines import placed_requirements, rebased_path

__all__ = ["parse_uv_lock"]

_DEFAULT_GROUPS = ("dev",)
_PYPI = "https://pypi.org/simple"

_Package = Mapping[str, Any]
_Node = tuple[int, str]
"""The place of a package in the lock, and one of its extras or ``""``."""
_Alternatives = frozenset[frozenset[str]]
"""A condition: any one of these sets of markers holds whole. The empty set holds always."""


def parse_uv_lock(text: str, *, file: str, default_groups: Sequence[str] | None = None) -> RequirementsFile:
    """The packages that the project at the top needs, with its default groups (``[tool.uv] default-groups``).

    Each is pinned and has its hashes, and the markers under which it is needed; the project itself is not among them.
    A RepositoryError names file and line of what is not as uv writes it.
    """
    tables = LockTables.parse(text, file=file, array="package")
    if tables.document.get("version") != 1:
        raise RepositoryError(
            f"a lock of version {tables.document.get('version')!r}", file=file, hint="version 1 can be read"
        )
    walk = _Walk(tables)
    for root in walk.roots():
        walk.add_root(root, _DEFAULT_GROUPS if default_groups is None else default_groups)
    return placed_requirements(file, walk.lines())


class _Walk:
    """Follows dependencies from the project and collects the conditions under which each package is needed."""

    def __init__(self, tables: LockTables) -> None:
        self._tables = tables
        self._packages: Sequence[_Package] = tables.members
        self._places: dict[str, list[int]] = {}
        for place in range(len(self._packages)):
            self._places.setdefault(tables.name(place), []).append(place)
        self._conditions: dict[_Node, _Alternatives] = {}
        self._roots: list[int] = []

    def roots(self) -> list[int]:
        """The project at the top; every member of the workspace where the top is none."""
        members = [
            place
            for place, package in enumerate(self._packages)
            if isinstance(package.get("source"), dict) and package["source"].keys() & {"editable", "virtual"}
        ]
        top = [place for place in members if "." in self._packages[place]["source"].values()]
        self._roots = top or members
        return self._roots

    def add_root(self, place: int, groups: Iterable[str]) -> None:
        """Follow the project's dependencies and those of these groups of it."""
        package = self._packages[place]
        grouped = self._tables.table(place, "dev-dependencies")
        edges = [*self._edges(place, package.get("dependencies")), *self._edges_of(place, grouped, groups)]
        self._follow([(edge, frozenset({frozenset[str]()})) for edge in edges])

    def lines(self) -> list[tuple[int, str]]:
        """A requirement for each package that was reached."""
        reached: dict[int, _Alternatives] = {}
        for (place, _), condition in self._conditions.items():
            reached[place] = _either(reached.get(place, frozenset()), condition)
        lines = [
            (self._tables.line(place), self._requirement(place, condition))
            for place, condition in sorted(reached.items())
            if place not in self._roots
        ]
        registries = {self._packages[place].get("source", {}).get("registry", _PYPI) for place in reached}
        others = sorted(str(url) for url in registries if "://" in str(url) and str(url).rstrip("/") != _PYPI)
        return [*((1, f"--extra-index-url {url}") for url in others), *lines]

    def _follow(self, waiting: list[tuple[Mapping[str, Any], _Alternatives]]) -> None:
        while waiting:
            edge, condition = waiting.pop()
            if edge.get("marker"):
                condition = frozenset(alternative | {str(edge["marker"])} for alternative in condition)
            place = self._target(edge)
            for extra in ("", *edge.get("extra", ())):
                node = (place, str(extra))
                known = self._conditions.get(node, frozenset())
                joined = _either(known, condition)
                if joined == known:
                    continue
                self._conditions[node] = joined
                optional = self._tables.table(place, "optional-dependencies")
                edges = (
                    self._edges_of(place, optional, [str(extra)])
                    if extra
                    else self._edges(place, self._packages[place].get("dependencies"))
                )
                waiting += [(each, joined) for each in edges]

    def _target(self, edge: Mapping[str, Any]) -> int:
        """The package that an edge leads to: by name, and by version and source where the lock holds several."""
        name = str(edge.get("name"))
        found = [
            place
            for place in self._places.get(name, [])
            if all(key not in edge or self._packages[place].get(key) == edge[key] for key in ("version", "source"))
        ]
        if len(found) != 1:
            raise RepositoryError(
                f"{name} is needed, and the lock has {len(found)} such packages",
                file=self._tables.file,
                hint="uv lock writes it anew",
            )
        return found[0]

    def _edges_of(self, place: int, table: Mapping[str, Any], keys: Iterable[str]) -> list[Mapping[str, Any]]:
        return [edge for key in keys for edge in self._edges(place, table.get(key))]

    def _edges(self, place: int, value: Any) -> list[Mapping[str, Any]]:
        edges = [] if value is None else value
        if not isinstance(edges, list) or not all(isinstance(edge, dict) for edge in edges):
            raise self._tables.error(place, "dependencies must be a list of tables")
        return edges

    def _requirement(self, place: int, condition: _Alternatives) -> str:
        package, name = self._packages[place], self._tables.name(place)
        source = self._tables.table(place, "source")
        hashes: set[str] = set()
        if "git" in source:
            address, _, commit = str(source["git"]).partition("#")
            text = f"{name} @ git+{address.partition('?')[0]}@{commit}"
        elif "url" in source:
            text = f"{name} @ {source['url']}"
            hashes = self._hashes(package)
        elif "registry" in source:
            text = f"{name}=={package.get('version')}"
            hashes = self._hashes(package)
        else:  # path, directory, editable, virtual
            path = next((source[key] for key in ("path", "directory", "editable", "virtual") if key in source), None)
            if not isinstance(path, str):
                raise self._tables.error(place, f"{name} has no source")
            text = rebased_path(self._tables.file, path)
        return text + _marker(condition) + "".join(f" --hash={value}" for value in sorted(hashes))

    def _hashes(self, package: _Package) -> set[str]:
        files = [*package.get("wheels", []), package.get("sdist", {})]
        return {str(each["hash"]) for each in files if isinstance(each, dict) and "hash" in each}


def _either(first: _Alternatives, second: _Alternatives) -> _Alternatives:
    """Both alternatives, without those that another one makes needless."""
    every = first | second
    return frozenset(one for one in every if not any(other < one for other in every))


def _marker(condition: _Alternatives) -> str:
    """The condition as a marker behind a requirement, nothing where it holds always."""
    if frozenset() in condition:
        return ""
    alternatives = sorted(" and ".join(f"({marker})" for marker in sorted(one)) for one in condition)
    return " ; " + " or ".join(f"({one})" if len(alternatives) > 1 else one for one in alternatives)
