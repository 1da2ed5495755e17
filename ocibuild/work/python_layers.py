"""The layers of a Python environment: the environment itself, its wheels, and what several wheels share."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ocibuild.core.digest import Digest
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.bytecode import BYTECODE_VERSION, Compile, bytecode_entries
from ocibuild.ecosystem.pip.place import PLACING_VERSION, PipPlaceContext, place
from ocibuild.ecosystem.pip.prefix import DEFAULT_PREFIX, prefix_entries, prefix_interpreter
from ocibuild.ecosystem.pip.settle import Settlement, settle
from ocibuild.ecosystem.pip.source import body_digest
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry
from ocibuild.layer.fragment import fragment_key
from ocibuild.layer.placement import Placement
from ocibuild.spec.catalogue import Account
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.layers import FragmentRecipe, MadeLayer

__all__ = ["PythonLayers"]

_VERSION = f"pip {PLACING_VERSION}"
_PREFIX_VERSION = "prefix 1"


class PythonLayers:
    """Makes the recipes of one environment for one Python; all of it belongs to ``owner``."""

    def __init__(
        self, target: PythonTarget, owner: Account, bodies: PackageBodies, *, prefix: str = DEFAULT_PREFIX
    ) -> None:
        self.target = target
        self._owner = owner
        self._bodies = bodies
        self._prefix = prefix
        self._settlement = Settlement()

    def settle(self, packages: Sequence[LockedPackage], layers: Sequence[MadeLayer]) -> bool:
        """Look at what the wheels hold; True where some must be placed again, without paths that several carry."""
        fragments = {fragment.key: fragment for layer in layers for fragment in layer.fragments}
        tables = [(package, fragments[self.fragment(package).key].table) for package in packages]
        found = settle(tables)
        if not found.winners:
            return False  # nothing to settle, or settled before: what is left out is in no two fragments
        self._settlement = found
        return True

    def fragment(self, package: LockedPackage) -> FragmentRecipe:
        """The fragment of one wheel, without the paths that the fix-ups hold."""
        context = self._context(package, self._settlement.left_out.get(package.name, ()))
        key = fragment_key(body_digest(package), context=context.canonical(), placing_version=_VERSION)
        return FragmentRecipe(
            key, package.identity, lambda: place(package, self._bodies.path(package), context), (package,)
        )

    def fix_ups(self, packages: Sequence[LockedPackage]) -> FragmentRecipe | None:
        """The fragment of the entries that won over another wheel's; None where no path is in two wheels."""
        won = self._settlement.winners
        if not won:
            return None
        by_name = {package.name: package for package in packages}
        winners = [by_name[name] for name in sorted(set(won.values()))]
        contexts = [self._context(package, ()) for package in winners]
        state = "\n".join(f"{path} {body_digest(by_name[name])}" for path, name in sorted(won.items()))
        canonical = b"".join(context.canonical() for context in contexts)
        key = fragment_key(Digest.of(state.encode()), context=canonical, placing_version=f"{_VERSION} fix-ups")

        def place_winners() -> Placement:
            return Placement(
                entry
                for package, context in zip(winners, contexts, strict=True)
                for entry in place(package, self._bodies.path(package), context).entries
                if won.get(entry.path) == package.name
            )

        return FragmentRecipe(key, "files that several wheels carry", place_winners, tuple(winners))

    def bytecode(self, package: LockedPackage, compile_modules: Compile) -> FragmentRecipe:
        """The fragment of the bytecode of one wheel's modules, as far as :meth:`fragment` places them."""
        wheel = self.fragment(package)
        state = f"{wheel.key} {self.target.version}"
        key = fragment_key(Digest.of(state.encode()), context=b"", placing_version=BYTECODE_VERSION)

        def place_bytecode() -> Placement:
            entries = iter(wheel.place().entries)
            return Placement(bytecode_entries(entries, self.target, compile_modules))

        return FragmentRecipe(key, f"bytecode of {package.identity}", place_bytecode)

    def environment(self, view: Callable[[], View], *, below: Digest) -> FragmentRecipe:
        """The fragment of the environment itself.

        ``view`` gives the layers below, and is called only where the fragment must be made; ``below`` is a digest of
        all that they depend on.
        """
        facts = f"{self.target} {self._prefix} {self._owner.uid} {self._owner.gid} {below}"
        key = fragment_key(Digest.of(facts.encode()), context=b"", placing_version=_PREFIX_VERSION)

        def entries() -> list[Entry]:
            made = prefix_entries(self.target, view(), prefix=self._prefix, uid=self._owner.uid, gid=self._owner.gid)
            return [replace(entry, content=entry.read()) for entry in made]

        return FragmentRecipe(key, f"the Python {self.target.version} environment", lambda: Placement(entries()))

    def _context(self, package: LockedPackage, left_out: tuple[str, ...]) -> PipPlaceContext:
        return PipPlaceContext(
            prefix=self._prefix,
            python_version=self.target.minor_version,
            interpreter=prefix_interpreter(self.target, self._prefix),
            uid=self._owner.uid,
            gid=self._owner.gid,
            requested=package.requested,
            direct_url=package.fields.get("direct_url", ""),
            left_out=left_out,
        )
