"""The layers of R packages: those that are placed, and the step that builds the others."""

from collections.abc import Sequence

from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.r.place import PLACING_VERSION, RPlaceContext, place
from ocibuild.ecosystem.r.source import is_source
from ocibuild.ecosystem.r.target import DEBIAN_LIBRARY
from ocibuild.layer.fragment import fragment_key
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.layers import FragmentRecipe

__all__ = ["RLayers", "placed_packages"]

_VERSION = f"r {PLACING_VERSION}"


class RLayers:
    """Makes the recipes of one library; all of it belongs to root, as what is installed for everybody does."""

    def __init__(
        self, packages: Sequence[LockedPackage], bodies: PackageBodies, *, library: str = DEBIAN_LIBRARY
    ) -> None:
        self._packages = tuple(packages)
        self._bodies = bodies
        self._library = library

    def fragment(self, package: LockedPackage) -> FragmentRecipe:
        """The fragment of one binary package."""
        context = RPlaceContext(self._library)
        key = fragment_key(package.digest, context=context.canonical(), placing_version=_VERSION)
        return FragmentRecipe(
            key, package.identity, lambda: place(package, self._bodies.path(package), context), (package,)
        )

    def fetch_sources(self) -> None:
        """Have the files of source packages in the store."""
        for package in self._packages:
            if is_source(package):
                self._bodies.path(package)


def placed_packages(packages: Sequence[LockedPackage]) -> list[LockedPackage]:
    """The packages that are placed in layers, without those of R that are built."""
    return [package for package in packages if not is_source(package)]
