"""Building the image of one platform: from a base and a lock to a manifest in the store."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry
from ocibuild.lock import LOCK_PATH, Lock, PlatformLock
from ocibuild.plan.accounts import ensure_account
from ocibuild.plan.packing import PackedLayer, pack
from ocibuild.plan.shared import Shared
from ocibuild.plan.skeleton import FolderOwner
from ocibuild.plan.source_layer import TreePlace
from ocibuild.source.tree import SourceTree
from ocibuild.spec.catalogue import Account
from ocibuild.spec.image_asks import ImageAsks
from ocibuild.work.apt_layers import AptLayers
from ocibuild.work.assemble import ImageSettings, assemble
from ocibuild.work.base import Base
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.catalogue_files import catalogue_fragments
from ocibuild.work.contents import FragmentContents
from ocibuild.work.editable import editable_entries
from ocibuild.work.frame import SOURCE_LAYER, Ground
from ocibuild.work.layers import FragmentRecipe, LayerMaker, MadeLayer
from ocibuild.work.machine import Machine
from ocibuild.work.python_layers import PythonLayers
from ocibuild.work.recall import state_key
from ocibuild.work.refill import source_recipe
from ocibuild.work.stack import PackageLayers, entries_fragment, table_of, tables_of
from ocibuild.work.steps import StepRunner, StepSettings
from ocibuild.work.wheel_root import SandboxRoot

__all__ = ["OTHER_LAYERS", "MadePlatform", "PlatformBuild"]

OTHER_LAYERS = 7
"""Layers that hold no packages: accounts and removals, state, environment, fix-ups, catalogue, lock, source."""

_MOST_ROUNDS = 3
"""One round shows which packages must be placed in another context, a second does so; a third finds a contradiction."""

EDITABLE_LAYER = "what editable installs left in the repository"
_STATE = "the state of the Debian packages"
_ENVIRONMENT = "the Python environment"
_CATALOGUE = "files of the catalogue's layers"
_RECORDS = "the lock and the catalogue"
_LOCAL_SOURCES = ("file", "find-links")
"""How sources are named that may be folders of the repository."""


@dataclass(frozen=True, slots=True)
class MadePlatform:
    """The manifest of one image. ``ground`` is what its last layer lies on, where that is all that files decide."""

    descriptor: Descriptor
    ground: Ground | None


@dataclass(frozen=True, slots=True)
class PlatformBuild:
    """All that decides one image. The account of ``asks`` owns the source and the Python environment.

    ``target`` is None where nothing is asked of pip. ``steps`` run when the source is in place, in their order.
    """

    platform: Platform
    base: Base
    lock: PlatformLock
    target: PythonTarget | None
    asks: ImageAsks
    tree: SourceTree
    source_time: int
    settings: ImageSettings
    most_layers: int
    steps: tuple[Step, ...]
    step_settings: StepSettings

    @property
    def account(self) -> Account:
        """The image's user."""
        return self.asks.account

    def packed(self) -> tuple[PackedLayer, ...]:
        """The package layers of the image, as the plan shows them."""
        return pack(self.lock.packages, most_layers=self._most_package_layers, shared=self._shared)

    @property
    def _shared(self) -> Shared:
        """What every image with these layers has."""
        origins = {str(ask.origin) for layer in self.asks.layers for asks in layer.apt.values() for ask in asks}
        return Shared(origins=origins, locks=[file.text for file in self.asks.pip.preferred])

    @property
    def _most_package_layers(self) -> int:
        return max(2, self.most_layers - OTHER_LAYERS)

    def of(self, ecosystem: Ecosystem) -> list[LockedPackage]:
        """The lock's packages of one ecosystem, in the lock's order."""
        return [package for package in self.lock.packages if package.ecosystem is ecosystem]

    def other_layers(self) -> list[str]:
        """The names of the layers that hold no packages, as far as they are known before anything is made."""
        names = ["accounts and removals"]
        names += [_STATE] if self.of(Ecosystem.APT) or self.lock.removals else []
        names += [_ENVIRONMENT] if self.target is not None else []
        names += [_CATALOGUE] if any(layer.files for layer in self.asks.layers) or self.asks.owned else []
        return [*names, _RECORDS, SOURCE_LAYER, *(step.name for step in self.steps)]

    def fragments(self, bodies: PackageBodies) -> dict[str, Callable[[LockedPackage], FragmentRecipe]]:
        """Each ecosystem's fragments, in the context in which packages are placed first."""
        view = self.base.view.extended([table_of(_account_entries(self))])
        fragments: dict[str, Callable[[LockedPackage], FragmentRecipe]] = {}
        fragments[Ecosystem.APT.value] = _apt_layers(self, view, bodies).fragment
        if self.target is not None:
            fragments[Ecosystem.PIP.value] = PythonLayers(self.target, self.account, bodies).fragment
        return fragments

    def begin_debs(self, maker: LayerMaker, bodies: PackageBodies, *, expected: Collection[Ecosystem]) -> None:
        """Begin to make the layers of the Debian packages, which are all that the lock holds so far.

        ``expected`` are the other ecosystems that it will hold.
        """
        view = self.base.view.extended([table_of(_account_entries(self))])
        packed = pack(self.lock.packages, most_layers=self._most_package_layers, expected=expected, shared=self._shared)
        fragment_of = {Ecosystem.APT.value: _apt_layers(self, view, bodies).fragment}
        PackageLayers(maker, bodies, view, self.owners).begin(packed, fragment_of)

    @property
    def owners(self) -> tuple[FolderOwner, ...]:
        """Who owns the folders that no package declares."""
        return (FolderOwner(), FolderOwner("srv/conda", self.account.uid, self.account.gid))

    def wheel_root(self, maker: LayerMaker, bodies: PackageBodies, machine: Machine) -> SandboxRoot:
        """The root in which wheels are built: the base and the Debian packages, which are all that the lock holds."""
        stack = _Stack(self, maker, bodies, machine)
        packages = [package.digest.hex for package in self.of(Ecosystem.APT)]
        key = state_key(str(_below(self)), packages, list(self.lock.removals))
        return SandboxRoot(key, stack.runner, stack.system)

    def make(self, maker: LayerMaker, bodies: PackageBodies, machine: Machine) -> MadePlatform:
        """Make what the store lacks; the manifest is in the store then."""
        stack = _Stack(self, maker, bodies, machine)
        layers = stack.made()
        timed = frozenset({SOURCE_LAYER, EDITABLE_LAYER, *(step.name for step in self.steps)})
        descriptor = assemble(
            self.base, layers, settings=self.settings, created=self.source_time, timed=timed, store=machine.store
        )
        return MadePlatform(descriptor, None if self._reads_files else stack.ground)

    @property
    def _reads_files(self) -> bool:
        """Whether more of the image than the source layer depends on what the repository's files hold."""
        return bool(self.steps) or any(package.source.startswith(_LOCAL_SOURCES) for package in self.lock.packages)


class _Stack:
    """The layers on one base, lowest first, and the view of what is there so far."""

    def __init__(self, build: PlatformBuild, maker: LayerMaker, bodies: PackageBodies, machine: Machine) -> None:
        self._build = build
        self._maker = maker
        self._bodies = bodies
        self._store = machine.store
        self._contents = FragmentContents(machine.store, build.base.view.read_content)
        self.runner = StepRunner(
            machine,
            maker,
            build.base,
            build.step_settings,
            environment={**build.base.config.environment, **build.settings.environment},
            homes=(build.account.home,),
        )
        self._accounts = _account_entries(build)
        self._base = build.base.view.extended([table_of(self._accounts)], read_content=self._contents)
        self._owners = build.owners
        self.ground: Ground | None = None

    def made(self) -> list[MadeLayer]:
        """All layers, in the order of the design's section 4."""
        build = self._build
        apt = _apt_layers(build, self._base, self._bodies)
        python = PythonLayers(build.target, build.account, self._bodies) if build.target else None
        debs, wheels = self._package_layers(apt, python)
        layers, view = self._system(apt, debs)
        return self._rest(python, wheels, layers, view)

    def system(self) -> list[MadeLayer]:
        """The layers of the accounts and the Debian packages alone: what wheels are built on."""
        apt = _apt_layers(self._build, self._base, self._bodies)
        debs, _ = self._package_layers(apt, None)
        return self._system(apt, debs)[0]

    def _system(self, apt: AptLayers, debs: list[MadeLayer]) -> tuple[list[MadeLayer], View]:
        build = self._build
        layers = self._first([*self._accounts, *apt.whiteouts(debs)]) + debs
        view = self._base.extended(tables_of(layers))
        if debs or build.lock.removals:
            state = self._single(view, _STATE, [apt.state(debs, view)])
            layers.append(state)
            view = view.extended(tables_of([state]))
            configure = apt.configure_step(state)
            if configure is not None and build.step_settings.skipped:
                self.runner.tell_skipped(configure)
            elif configure is not None:
                layers.append(self._changes(configure, layers, view))
                view = view.extended(tables_of(layers[-1:]))
        return layers, view

    def _rest(
        self, python: PythonLayers | None, wheels: list[MadeLayer], layers: list[MadeLayer], view: View
    ) -> list[MadeLayer]:
        build, below_python = self._build, len(layers)
        if python is not None:
            self._refuse_conflicts(view, wheels)
            below = Digest.of(" ".join([str(_below(build)), *(layer.key for layer in layers)]).encode())
            environment = [python.environment(lambda: view, below=below)]
            layers.append(self._single(view, _ENVIRONMENT, environment))
            layers += wheels
            winners = python.fix_ups(build.of(Ecosystem.PIP))
            if winners is not None:
                layers.append(self._single(view, "files that several wheels carry", [winners]))
        view = view.extended(tables_of(layers[below_python:]))
        files = self._files(view)
        layers += files
        view = view.extended(tables_of(files))
        for step in build.steps:
            if build.step_settings.skipped:
                self.runner.tell_skipped(step)
                continue
            layers.append(self._changes(step, layers, view, modified=build.source_time))
            view = view.extended(tables_of(layers[-1:]))
        return layers

    def _changes(self, step: Step, below: Sequence[MadeLayer], view: View, *, modified: int = FIXED_TIME) -> MadeLayer:
        """The layer of what a step changes in the image so far."""
        layers = PackageLayers(self._maker, self._bodies, view, self._owners)
        return self.runner.layer(step, below, view, layers, modified=modified)

    def _package_layers(self, apt: AptLayers, python: PythonLayers | None) -> tuple[list[MadeLayer], list[MadeLayer]]:
        """The layers of Debian packages and of wheels, made together until every package's place is settled."""
        packed = self._build.packed()
        fragment_of: dict[str, Callable[[LockedPackage], FragmentRecipe]] = {Ecosystem.APT: apt.fragment}
        if python is not None:
            fragment_of[Ecosystem.PIP] = python.fragment
        package_layers = PackageLayers(self._maker, self._bodies, self._base, self._owners)
        for _ in range(_MOST_ROUNDS):
            made = package_layers.make(packed, fragment_of)
            pairs = list(zip(packed, made, strict=True))
            debs = [layer for plan, layer in pairs if plan.ecosystem is Ecosystem.APT]
            wheels = [layer for plan, layer in pairs if plan.ecosystem is Ecosystem.PIP]
            unsettled = apt.settle(debs)
            if python is not None and python.settle(self._build.of(Ecosystem.PIP), wheels):
                unsettled = True
            if not unsettled:
                return debs, wheels
        raise BuildError("the packages' files contradict each other: no placing of them is settled")

    def _refuse_conflicts(self, view: View, wheels: Sequence[MadeLayer]) -> None:
        """A BuildError where a wheel's file is in the base or a Debian package too, unless the bytes are equal."""
        for layer in wheels:
            for fragment, package in zip(layer.fragments, layer.packages, strict=True):
                for path, entry in fragment.table.entries.items():
                    other = view.get(path)
                    if other is None or other.kind == entry.kind == "directory":
                        continue
                    same = (other.kind, other.link, other.size_bytes) == (entry.kind, entry.link, entry.size_bytes)
                    if not same or (entry.kind == "file" and view.read(path) != self._contents(path, entry)):
                        raise BuildError(
                            f"/{path} is in {package} and, with other content, in {self._build.base.name} "
                            "or a Debian package on it",
                            hint="take the package from one of them only",
                        )

    def _first(self, entries: Sequence[Entry]) -> list[MadeLayer]:
        """The layer of accounts and of everything that goes: all whiteouts, so that no package layer holds any."""
        if not entries:
            return []
        return [self._single(self._build.base.view, "accounts and removals", [entries_fragment("accounts", entries)])]

    def _files(self, below: View) -> list[MadeLayer]:
        """The layers of files: the catalogue's and the lock, then the repository's."""
        build = self._build
        lock = Lock({build.platform: build.lock}).to_text().encode()
        catalogue = catalogue_fragments(build.asks)
        layers = [self._single(below, _CATALOGUE, catalogue)] if catalogue else []
        below = below.extended(tables_of(layers))
        account = build.account
        place = TreePlace(build.asks.repository_folder.lstrip("/"), account.uid, account.gid, build.source_time)
        self.ground = Ground.of(below, place.path, uid=place.uid, gid=place.gid)
        layers.append(self._single(below, _RECORDS, [entries_fragment("lock", [Entry.file(LOCK_PATH, lock)])]))
        layers += self._maker.make_all([source_recipe(build.tree, place, below=below)])
        left = list(editable_entries(build.of(Ecosystem.PIP), self._store, place))
        if left:
            below = below.extended(tables_of(layers[-1:]))
            layers.append(self._single(below, EDITABLE_LAYER, [entries_fragment(EDITABLE_LAYER, left)]))
        return layers

    def _single(self, below: View, name: str, fragments: Sequence[FragmentRecipe]) -> MadeLayer:
        missing = [package for fragment in fragments for package in fragment.packages]
        self._bodies.fetch_ahead(missing if self._maker.lacks(fragments) else [])
        return PackageLayers(self._maker, self._bodies, below, self._owners).single(name, fragments)


def _below(build: PlatformBuild) -> Digest:
    """A digest of all that the layers below the packages depend on."""
    accounts = [account for layer in build.asks.layers for account in layer.accounts]
    return Digest.of(f"{build.base.digest} {build.base.recorded_name} {accounts}".encode())


def _apt_layers(build: PlatformBuild, view: View, bodies: PackageBodies) -> AptLayers:
    return AptLayers(
        build.of(Ecosystem.APT),
        build.lock.removals,
        view=view,
        below=_below(build),
        architecture=build.platform.debian_architecture,
        bodies=bodies,
    )


def _account_entries(build: PlatformBuild) -> list[Entry]:
    overlay = Overlay(build.base.view)
    for layer in build.asks.layers:
        for account in layer.accounts:
            ensure_account(overlay, account)
    return overlay.changes()
