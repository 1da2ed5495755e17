"""The layers of Debian packages: what goes, the packages, and the state that they share."""

from collections.abc import Mapping, Sequence

from ocibuild.core.digest import Digest
from ocibuild.core.package import LockedPackage
from ocibuild.core.step import Step
from ocibuild.ecosystem.apt.configure_step import configure_step, read_unknown_scripts, write_unknown_scripts
from ocibuild.ecosystem.apt.database import DpkgDatabase, InstalledPackage
from ocibuild.ecosystem.apt.installation import Installation
from ocibuild.ecosystem.apt.place import PLACING_VERSION, AptPlaceContext, place
from ocibuild.ecosystem.apt.removal import removed_packages, whiteouts
from ocibuild.ecosystem.apt.settle import PlacedDeb, first_context, settle
from ocibuild.ecosystem.apt.state import STATE_VERSION, make_state
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry
from ocibuild.layer.fragment import fragment_key
from ocibuild.layer.placement import Placement
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.layers import FragmentRecipe, MadeLayer

__all__ = ["AptLayers"]

_VERSION = f"apt {PLACING_VERSION}"
_STATE_VERSION = f"apt-state {STATE_VERSION}"
_UNKNOWN = "unknown-scripts"
"""The note beside the state's fragment that names the scripts for which a step must run."""


class AptLayers:
    """Makes the recipes of a set of Debian packages on one base.

    ``packages`` are in the order of configuration; ``removals`` are packages of the base that go. ``view`` is the base
    with whatever was put on it already, and ``below`` a digest of all that it depends on.
    """

    def __init__(
        self,
        packages: Sequence[LockedPackage],
        removals: Sequence[str],
        *,
        view: View,
        below: Digest,
        architecture: str,
        bodies: PackageBodies,
        seeds: Sequence[Entry] = (),
    ) -> None:
        self._packages = tuple(packages)
        self._view = view
        self._below = below
        self._architecture = architecture
        self._bodies = bodies
        self._seeds = tuple(seeds)
        self._database = DpkgDatabase.read(view)
        self._removed: list[InstalledPackage] = removed_packages(removals, self._database)
        self._contexts = {
            package.digest: first_context(package, view=view, database=self._database) for package in packages
        }

    def fragment(self, package: LockedPackage) -> FragmentRecipe:
        """The fragment of one package, in the context that is settled so far."""
        context = self._contexts[package.digest]
        key = fragment_key(package.digest, context=context.canonical(), placing_version=_VERSION)
        return FragmentRecipe(
            key, package.identity, lambda: place(package, self._bodies.path(package), context), (package,)
        )

    def settle(self, layers: Sequence[MadeLayer]) -> bool:
        """Look at what the packages hold; True where some must be placed again, in contexts that are changed now."""
        placed = self._placed(layers)
        changed: Mapping[int, AptPlaceContext] = settle(
            placed, view=self._view, database=self._database, removed=self._removed
        )
        for number, context in changed.items():
            self._contexts[placed[number].package.digest] = context
        return bool(changed)

    def whiteouts(self, layers: Sequence[MadeLayer]) -> list[Entry]:
        """What hides files of the base that go."""
        return whiteouts(self._placed(layers), self._removed, view=self._view, database=self._database)

    def state(self, layers: Sequence[MadeLayer], view: View) -> FragmentRecipe:
        """The fragment of the shared state; ``view`` is the image with the packages' files.

        Where all scripts are known as data the packages are configured in it. Otherwise they are unpacked, and
        :meth:`configure_step` tells what has to run on top of it.
        """
        parts = [
            str(self._below),
            self._architecture,
            *(fragment.key for layer in layers for fragment in layer.fragments),
        ]
        parts += [package.info_name for package in self._removed]
        parts += [f"{package.name} {package.fields.get('automatic', '')}" for package in self._packages]
        parts += [f"{seed.path} {seed.link}" for seed in self._seeds]
        key = fragment_key(Digest.of("\n".join(parts).encode()), context=b"", placing_version=_STATE_VERSION)
        return FragmentRecipe(key, "the state of dpkg and apt", lambda: self._place_state(layers, view))

    def _place_state(self, layers: Sequence[MadeLayer], view: View) -> Placement:
        installation = Installation(
            self._placed(layers), self._removed, self._view, view, self._database, self._architecture
        )
        state = make_state(installation, seeds=self._seeds)
        notes = {_UNKNOWN: write_unknown_scripts(state.unknown)} if state.unknown else {}
        return Placement(state.entries, notes)

    def configure_step(self, state: MadeLayer) -> Step | None:
        """What must run in an image whose uppermost layer is ``state``, made of :meth:`state`; None for nothing.

        Its result depends on the layers up to that one alone.
        """
        notes = [fragment.notes[_UNKNOWN] for fragment in state.fragments if _UNKNOWN in fragment.notes]
        return configure_step(read_unknown_scripts(notes[0])) if notes else None

    def _placed(self, layers: Sequence[MadeLayer]) -> list[PlacedDeb]:
        """The packages with what placing them gave, in the order of configuration."""
        fragments = {fragment.key: fragment for layer in layers for fragment in layer.fragments}
        placed = []
        for package in self._packages:
            fragment = fragments[self.fragment(package).key]
            placed.append(PlacedDeb(package, self._contexts[package.digest], fragment.table, fragment.notes))
        return placed
