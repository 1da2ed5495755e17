"""The layers of a conda environment: its own files, and its packages."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ocibuild.core.asks import CondaAsks, PackageAsks
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError
from ocibuild.core.package import LockedPackage
from ocibuild.core.step import Step
from ocibuild.ecosystem.conda.environment import CondaPython, environment_entries, place_context
from ocibuild.ecosystem.conda.link_scripts import post_link_steps
from ocibuild.ecosystem.conda.place import PLACING_VERSION, place
from ocibuild.ecosystem.conda.remote_info import PackageFacts
from ocibuild.ecosystem.conda.settle import settle
from ocibuild.ecosystem.pip.prefix import DEFAULT_PREFIX
from ocibuild.layer.fragment import fragment_key
from ocibuild.spec.catalogue import Account
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.conda_resolution import DISTRIBUTIONS, PREFIX, ROOT_PREFIX
from ocibuild.work.fragments import KnownFragment
from ocibuild.work.layers import FragmentRecipe, MadeLayer
from ocibuild.work.stack import entries_fragment

__all__ = ["CondaEnvironments", "CondaLayers"]

_VERSION = f"conda {PLACING_VERSION}"


class CondaLayers:
    """Makes the recipes of one environment; all of it belongs to ``owner``.

    ``root_prefix`` is where conda itself is, empty where it is not in the image.
    """

    def __init__(
        self,
        packages: Sequence[LockedPackage],
        asks: CondaAsks,
        owner: Account,
        bodies: PackageBodies,
        *,
        prefix: str = DEFAULT_PREFIX,
        root_prefix: str = "",
    ) -> None:
        self._packages = tuple(packages)
        self._asks = asks
        self._owner = owner
        self._bodies = bodies
        self._prefix = prefix
        self._root_prefix = root_prefix
        self._python = CondaPython.among(packages)
        self._displaced: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def settle(self, layers: Sequence[MadeLayer]) -> bool:
        """Look at what the packages hold; True where some must be placed again, beside files of others."""
        fragments = {fragment.key: fragment for layer in layers for fragment in layer.fragments}
        placed = [(package, fragments[self.fragment(package).key]) for package in self._packages]
        for package, fragment in placed:
            _confirm(package, fragment)
        found = settle([(package, fragment.table) for package, fragment in placed])
        if not found.displaced:
            return False  # nothing to settle, or settled before: what is displaced is in nobody's way
        self._displaced = found.displaced
        return True

    def fragment(self, package: LockedPackage) -> FragmentRecipe:
        """The fragment of one package, without the places that files of others take."""
        context = place_context(
            package,
            prefix=self._prefix,
            python=self._python,
            uid=self._owner.uid,
            gid=self._owner.gid,
            displaced=self._displaced.get(package.name, ()),
        )
        key = fragment_key(package.digest, context=context.canonical(), placing_version=_VERSION)
        return FragmentRecipe(
            key, package.identity, lambda: place(package, self._bodies.path(package), context), (package,)
        )

    def environment(self) -> FragmentRecipe:
        """The fragment of the environment's own files."""
        owner = self._owner
        entries = list(environment_entries(self._asks, prefix=self._prefix, uid=owner.uid, gid=owner.gid))
        return entries_fragment("the conda environment", entries)

    def holds(self, package: LockedPackage) -> bool:
        """Whether the package is in this environment."""
        return package.fields.get(PREFIX, DEFAULT_PREFIX) == self._prefix

    def steps(self, layers: Sequence[MadeLayer]) -> list[Step]:
        """What the packages want to be run once all of them are there, dependencies first."""
        fragments = {fragment.key: fragment for layer in layers for fragment in layer.fragments}
        return self._steps({package.name: fragments[self.fragment(package).key].notes for package in self._packages})

    def planned_steps(self, facts: Mapping[Digest, PackageFacts]) -> list[Step]:
        """The same as far as is known of packages that are not here: ``facts`` by package digest."""
        scripts = {each.name: facts[each.digest].post_link for each in self._packages if facts[each.digest].post_link}
        return self._steps({name: {"post-link": script.encode()} for name, script in scripts.items()})

    def _steps(self, notes: Mapping[str, Mapping[str, bytes]]) -> list[Step]:
        return post_link_steps(
            self._packages, notes, prefix=self._prefix, user=self._owner.name, root_prefix=self._root_prefix
        )


class CondaEnvironments:
    """The environments of one image: the one that conda is in itself, where there is one, and the image's own."""

    def __init__(
        self, packages: Sequence[LockedPackage], asks: PackageAsks, owner: Account, bodies: PackageBodies
    ) -> None:
        root = [package for package in packages if package.fields.get(PREFIX) == ROOT_PREFIX]
        own = [package for package in packages if PREFIX not in package.fields]
        where = ROOT_PREFIX if root else ""
        of_root = CondaLayers(root, asks.conda_root, owner, bodies, prefix=ROOT_PREFIX, root_prefix=where)
        of_own = CondaLayers(own, asks.conda, owner, bodies, root_prefix=where)
        self._layers = (*([of_root] if root else []), of_own)

    def fragment(self, package: LockedPackage) -> FragmentRecipe:
        """As of the package's environment."""
        return next(layers for layers in self._layers if layers.holds(package)).fragment(package)

    def settle(self, layers: Sequence[MadeLayer]) -> bool:
        """As of each environment."""
        unsettled = [each.settle(layers) for each in self._layers]
        return any(unsettled)

    def environments(self) -> list[FragmentRecipe]:
        """The fragments of the environments' own files."""
        return [each.environment() for each in self._layers]

    def steps(self, layers: Sequence[MadeLayer]) -> list[Step]:
        """What the packages of each want to be run."""
        return [step for each in self._layers for step in each.steps(layers)]

    def planned_steps(self, facts: Mapping[Digest, PackageFacts]) -> list[Step]:
        """The same as far as is known of packages that are not here."""
        return [step for each in self._layers for step in each.planned_steps(facts)]


def _confirm(package: LockedPackage, fragment: KnownFragment) -> None:
    """An IntegrityError where the package brings other distributions than was read before it was verified."""
    said = package.fields.get(DISTRIBUTIONS)
    has = fragment.notes.get(DISTRIBUTIONS, b"").decode().splitlines()
    if said is not None and said.splitlines() != sorted(has):
        raise IntegrityError(
            f"{package.identity}: its channel told of other Python distributions than it holds ({said!r})",
            hint="build again with --refresh",
        )
