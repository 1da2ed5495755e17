"""Which of two packages owns a path that both carry: pip's answer, that the one installed last does.

Source: pip 26.3's ``resolution/resolvelib/resolver.py`` (``get_topological_weights``, ``get_installation_order``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.package import LockedPackage
from ocibuild.image.view import LayerTable

__all__ = ["Settlement", "install_order", "settle"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """``winners`` maps each contested path to the name of the package whose entry belongs into the fix-ups.

    ``left_out`` maps a package's name to the contested paths that it carries, the winner's too: no fragment holds a
    path that another package's fragment holds. Both are empty in the common case.
    """

    winners: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


def settle(tables: Sequence[tuple[LockedPackage, LayerTable]]) -> Settlement:
    """Settle every path that is a file of more than one of these packages; folders are shared freely.

    The order of ``tables`` does not matter: it is pip's order of installation that decides.
    """
    carriers: dict[str, list[str]] = {}
    rank = {package.name: position for position, package in enumerate(install_order([each for each, _ in tables]))}
    for package, table in tables:
        for path, entry in table.entries.items():
            if entry.kind != "directory":
                carriers.setdefault(path, []).append(package.name)
    contested = {path: names for path, names in sorted(carriers.items()) if len(names) > 1}
    left_out: dict[str, list[str]] = {}
    for path, names in contested.items():
        for name in names:
            left_out.setdefault(name, []).append(path)
    return Settlement(
        MappingProxyType({path: max(names, key=rank.__getitem__) for path, names in contested.items()}),
        MappingProxyType({name: tuple(paths) for name, paths in sorted(left_out.items())}),
    )


def install_order(packages: Iterable[LockedPackage]) -> list[LockedPackage]:
    """The packages in the order in which pip would install them: dependencies first, as far as cycles allow.

    Dependencies are read from the packages' field ``requires``; names that are not among the packages are ignored.
    """
    by_name = {package.name: package for package in packages}
    graph = {
        name: {child for child in package.fields.get("requires", "").split() if child in by_name}
        for name, package in by_name.items()
    }
    weights = _weights(graph, roots=[name for name, package in by_name.items() if package.requested])
    return sorted(by_name.values(), key=lambda package: (weights[package.name], package.name), reverse=True)


def _weights(graph: Mapping[str, set[str]], roots: Iterable[str]) -> dict[str, int]:
    """How early each package is installed: leaves are pruned again and again, the first ones weigh most.

    What remains has cycles; there the longest path from the root counts, which pip bounds by five visits a package.
    """
    left = {name: set(children) for name, children in graph.items()}
    weights: dict[str, int] = {}
    while leaves := {name for name, children in left.items() if not children}:
        weights |= dict.fromkeys(leaves, len(left))
        left = {name: children - leaves for name, children in left.items() if name not in leaves}
    visits: dict[str, list[int]] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path or len(visits.get(name, ())) >= 5:  # noqa: PLR2004 - pip's own bound
            return
        for child in sorted(left[name]):
            visit(child, (*path, name))
        visits.setdefault(name, []).append(len(path) + 1)

    for name in sorted(set(roots) & left.keys()):
        visit(name, ())
    for name in sorted(left.keys() - visits.keys()):
        visit(name, ())
    return weights | {name: max(lengths) for name, lengths in visits.items()}
