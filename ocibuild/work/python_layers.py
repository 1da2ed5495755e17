"""The layers of a Python environment: the environment itself, its wheels, and what several wheels share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ocibuild.core.digest import Digest
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.place import PLACING_VERSION, PipPlaceContext, place
from ocibuild.ecosystem.pip.prefix import DEFAULT_PREFIX, prefix_entries, prefix_interpreter
from ocibuild.ecosystem.pip.settle import Settlement
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry
from ocibuild.layer.fragment import fragment_key
from ocibuild.layer.placement import Placement
from ocibuild.spec.catalogue import Account
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.layers import FragmentRecipe

__all__ = ["PythonLayers"]

_VERSION = f"pip {PLACING_VERSION}"
_PREFIX_VERSION = "prefix 1"


@dataclass(frozen=True, slots=True)
class PythonLayers:
    """Makes the recipes of one environment for one Python; all of it belongs to ``owner``."""

    target: PythonTarget
    owner: Account
    bodies: PackageBodies
    prefix: str = DEFAULT_PREFIX

    def fragment(self, package: LockedPackage, *, left_out: Sequence[str] = ()) -> FragmentRecipe:
        """The fragment of one wheel, without the paths that the fix-ups hold."""
        context = self._context(package, tuple(left_out))
        key = fragment_key(package.digest, context=context.canonical(), placing_version=_VERSION)
        return FragmentRecipe(
            key, package.identity, lambda: place(package, self.bodies.path(package), context), (package,)
        )

    def fix_ups(self, packages: Sequence[LockedPackage], settlement: Settlement) -> FragmentRecipe:
        """The fragment of the entries that won over another wheel's."""
        by_name = {package.name: package for package in packages}
        winners = sorted({by_name[name] for name in settlement.winners.values()}, key=lambda package: package.name)
        state = "\n".join(f"{path} {by_name[name].digest}" for path, name in sorted(settlement.winners.items()))
        context = self._context(winners[0], ()).canonical()
        key = fragment_key(Digest.of(state.encode()), context=context, placing_version=f"{_VERSION} fix-ups")

        def place_winners() -> Placement:
            return Placement(
                entry
                for package in winners
                for entry in place(package, self.bodies.path(package), self._context(package, ())).entries
                if settlement.winners.get(entry.path) == package.name
            )

        return FragmentRecipe(key, "files that several wheels carry", place_winners, tuple(winners))

    def environment(self, view: Callable[[], View], *, below: Digest) -> FragmentRecipe:
        """The fragment of the environment itself.

        ``view`` gives the layers below, and is called only where the fragment must be made; ``below`` is a digest of
        all that they depend on.
        """
        facts = f"{self.target} {self.prefix} {self.owner.uid} {self.owner.gid} {below}"
        key = fragment_key(Digest.of(facts.encode()), context=b"", placing_version=_PREFIX_VERSION)

        def entries() -> list[Entry]:
            made = prefix_entries(self.target, view(), prefix=self.prefix, uid=self.owner.uid, gid=self.owner.gid)
            return [replace(entry, content=entry.read()) for entry in made]

        return FragmentRecipe(key, f"the Python {self.target.version} environment", lambda: Placement(entries()))

    def _context(self, package: LockedPackage, left_out: tuple[str, ...]) -> PipPlaceContext:
        return PipPlaceContext(
            prefix=self.prefix,
            python_version=self.target.minor_version,
            interpreter=prefix_interpreter(self.target, self.prefix),
            uid=self.owner.uid,
            gid=self.owner.gid,
            requested=package.requested,
            direct_url=package.fields.get("direct_url", ""),
            left_out=left_out,
        )
