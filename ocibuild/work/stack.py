"""The layers of one image, made together: what they hold must agree, whichever was made first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.digest import Digest
from ocibuild.core.package import LockedPackage
from ocibuild.image.recording import Recorder
from ocibuild.image.view import LayerTable, View
from ocibuild.layer.entry import Entry
from ocibuild.layer.fragment import fragment_key
from ocibuild.layer.placement import Placement
from ocibuild.layer.tar import write_entries
from ocibuild.plan.packing import PackedLayer
from ocibuild.plan.skeleton import FolderOwner, declared_folders, skeleton
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.layers import FolderRule, FragmentRecipe, LayerMaker, LayerRecipe, MadeLayer

__all__ = ["PackageLayers", "entries_fragment", "table_of", "tables_of"]

FragmentOf = Callable[[LockedPackage], FragmentRecipe]


def tables_of(layers: Iterable[MadeLayer]) -> list[LayerTable]:
    """The tables of all fragments of these layers, in their order."""
    return [fragment.table for layer in layers for fragment in layer.fragments]


def table_of(entries: Iterable[Entry]) -> LayerTable:
    """The table of entries that are not in a layer yet, their contents observed."""
    recorder = Recorder("")
    for entry in recorder.passing(entries):
        for _ in entry.chunks():
            pass
    return recorder.table()


def entries_fragment(subject: str, entries: Sequence[Entry]) -> FragmentRecipe:
    """The fragment of a few entries that are in memory; its key is that of their bytes."""
    content = Digest.of(bytes(chunk) for chunk in write_entries(entries))
    key = fragment_key(content, context=b"", placing_version="entries")
    return FragmentRecipe(key, subject, lambda: Placement(entries))


@dataclass(frozen=True, slots=True)
class PackageLayers:
    """Makes the layers of packages on top of ``below``.

    ``owners`` own the folders that no package declares. ``beside`` gives, for an ecosystem, what more of each package
    goes into its layer, behind all packages.
    """

    maker: LayerMaker
    bodies: PackageBodies
    below: View
    owners: tuple[FolderOwner, ...] = ()
    beside: Mapping[str, FragmentOf] = field(default_factory=lambda: MappingProxyType({}))

    def make(self, packed: Sequence[PackedLayer], fragment_of: Mapping[str, FragmentOf]) -> list[MadeLayer]:
        """The layers of these packages, in their order; ``fragment_of`` knows each ecosystem's fragments.

        Layers are written while their packages are read, each with the folders that its own packages declare. A folder
        that packages of several layers declare differently is then put right: the first in the order of layers decides,
        and the others are made again from their fragments.
        """
        recipes = self._recipes(packed, fragment_of)
        layers = self.maker.make_all(recipes)
        declared = declared_folders(tables_of(layers))
        wrong = [
            number
            for number, layer in enumerate(layers)
            if self._folders(declared)(tables_of([layer])) != self._folders(None)(tables_of([layer]))
        ]
        again = [
            LayerRecipe(recipes[number].name, recipes[number].fragments, self._folders(declared)) for number in wrong
        ]
        for number, layer in zip(wrong, self.maker.make_all(again), strict=True):
            layers[number] = layer
        return layers

    def begin(self, packed: Sequence[PackedLayer], fragment_of: Mapping[str, FragmentOf]) -> None:
        """Begin to make layers that :meth:`make` will be asked for among others, which are not known yet."""
        self.maker.begin(self._recipes(packed, fragment_of))

    def single(self, name: str, fragments: Sequence[FragmentRecipe]) -> MadeLayer:
        """One layer of these fragments."""
        (layer,) = self.maker.make_all([LayerRecipe(name, tuple(fragments), self._folders(None))])
        return layer

    def _recipes(self, packed: Sequence[PackedLayer], fragment_of: Mapping[str, FragmentOf]) -> list[LayerRecipe]:
        """The recipes of these layers; the downloads that they need have begun then."""
        recipes = [
            LayerRecipe(
                layer.name,
                tuple(
                    of[layer.ecosystem](package)
                    for of in (fragment_of, self.beside)
                    if layer.ecosystem in of
                    for package in layer.packages
                ),
                self._folders(None),
            )
            for layer in packed
        ]
        missing = self.maker.missing(recipes)
        self.bodies.fetch_ahead(package for fragment in missing for package in fragment.packages)
        return recipes

    def _folders(self, declared: Mapping[str, Entry] | None) -> FolderRule:
        """The rule for folders, with what all layers declare or, with None, the layer's own packages."""

        def rule(tables: Sequence[LayerTable]) -> list[Entry]:
            own = declared_folders(tables) if declared is None else declared
            return skeleton(tables, below=self.below, declared=own, owners=self.owners)

        return rule
