"""Which of several packages owns a path that they all carry: rattler's answer, that the one installed last does.

The others' files are not lost: they go to ``__clobbers__/PACKAGE/`` below the prefix, and their records say so. Source:
rattler 0.28's ``clobber_registry.rs``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import ancestors
from ocibuild.ecosystem.conda.order import install_order
from ocibuild.image.view import LayerTable

__all__ = ["Settlement", "settle"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """``displaced`` maps a package's name to the paths that a package installed later carries too.

    Placing those packages again with these paths (:class:`.place.CondaPlaceContext`) leaves no path in two fragments.
    ``winners`` names, for each such path, the package that has it. Both are empty in the common case.
    """

    displaced: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    winners: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def settle(tables: Sequence[tuple[LockedPackage, LayerTable]]) -> Settlement:
    """Settle every path that is a file or link of more than one of these packages; folders are shared freely.

    The order of ``tables`` does not matter. A BuildError where one package has a file or link at a path that another
    needs as a folder: conda's tools install such packages in an order that nobody can tell.
    """
    order = install_order([package for package, _ in tables])
    rank = {package.name: position for position, package in enumerate(order)}
    carriers: dict[str, list[str]] = {}
    for package, table in tables:
        for path, entry in table.entries.items():
            if entry.kind != "directory":
                carriers.setdefault(path, []).append(package.name)
    _refuse_files_as_folders(tables, carriers)
    displaced: dict[str, list[str]] = {}
    winners: dict[str, str] = {}
    for path, names in sorted(carriers.items()):
        if len(names) > 1:
            winners[path] = max(names, key=rank.__getitem__)
            for name in names:
                if name != winners[path]:
                    displaced.setdefault(name, []).append(path)
    return Settlement(
        MappingProxyType({name: tuple(paths) for name, paths in sorted(displaced.items())}), MappingProxyType(winners)
    )


def _refuse_files_as_folders(
    tables: Sequence[tuple[LockedPackage, LayerTable]], carriers: Mapping[str, Sequence[str]]
) -> None:
    for package, table in tables:
        for path in table.entries:
            for above in ancestors(path):
                if above in carriers:
                    raise BuildError(
                        f"{package.identity} puts /{path} into a folder that is a file or link of {carriers[above][0]}",
                        hint="the two packages cannot be installed together: leave one out, or ask for another version",
                    )
