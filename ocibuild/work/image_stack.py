"""The layers of one image in their order, each made on what lies below it (design, section 4)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.step import Step
from ocibuild.image.overlay import Overlay
from ocibuild.image.users import ImageUser, find_user
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry
from ocibuild.lock import LOCK_PATH, Lock
from ocibuild.plan.accounts import ensure_account
from ocibuild.plan.source_layer import TreePlace
from ocibuild.work.apt_layers import AptLayers
from ocibuild.work.below import Below
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.catalogue_files import catalogue_fragments
from ocibuild.work.conda_layers import CondaEnvironments
from ocibuild.work.conda_resolution import provided_distributions
from ocibuild.work.contents import FragmentContents
from ocibuild.work.editable import editable_entries
from ocibuild.work.frame import EDITABLE_LAYER, SOURCE_LAYER, Ground
from ocibuild.work.kept_steps import KeptSteps, changes_accounts
from ocibuild.work.layers import FragmentRecipe, LayerMaker, MadeLayer
from ocibuild.work.machine import Machine
from ocibuild.work.pip_overrides import replaced_files
from ocibuild.work.python_layers import PythonLayers
from ocibuild.work.r_layers import RLayers
from ocibuild.work.refill import source_recipe
from ocibuild.work.stack import PackageLayers, entries_fragment, table_of, tables_of
from ocibuild.work.steps import StepRunner

if TYPE_CHECKING:
    from ocibuild.work.platform_build import PlatformBuild

__all__ = [
    "ImageStack",
    "account_entries",
    "apt_layers",
    "below_packages",
    "conda_layers",
    "other_layers",
]

_MOST_ROUNDS = 3
"""One round shows which packages must be placed in another context, a second does so; a third finds a contradiction."""

_ACCOUNTS = "accounts and removals"
_STATE = "the state of the Debian packages"
_ENVIRONMENT = "the Python environment"
_CONDA_ENVIRONMENT = "the conda environment"
_REPLACED = "what pip replaces of the conda environment"
_CATALOGUE = "files of the catalogue's layers"
_RECORDS = "the lock"

_Made = dict[Ecosystem, list[MadeLayer]]


class ImageStack:
    """The layers on one base, lowest first, and the view of what is there so far. ``ground`` is set by :meth:`made`."""

    def __init__(self, build: "PlatformBuild", maker: LayerMaker, bodies: PackageBodies, machine: Machine) -> None:
        self._build = build
        self._maker = maker
        self._bodies = bodies
        self._store = machine.store
        self._contents = FragmentContents(machine.store, build.base.view.read_content)
        self._events = machine.events
        self.runner = StepRunner(
            machine.store,
            machine.events,
            machine.environment,
            maker,
            build.platform,
            build.step_settings,
            environment={**build.base.config.environment, **build.settings.environment},
            homes=(build.account.home,),
            cache=machine.cache,
        )
        self._accounts = account_entries(build)
        self._base = build.base.view.extended([table_of(self._accounts)], read_content=self._contents)
        self._owners = build.owners
        self._apt = apt_layers(build, self._base, bodies)
        self._conda = conda_layers(build, bodies)
        self._python = PythonLayers(build.target, build.account, bodies) if build.target else None
        self._r = RLayers(build.of(Ecosystem.R), bodies)
        self._compiler = build.compiler(maker, bodies, machine)
        self.ground: Ground | None = None

    def made(self) -> list[MadeLayer]:
        """All layers, in the order of the design's section 4."""
        packages = self._package_layers()
        layers, view = self._system(packages)
        layers, view = self._conda_environment(packages, layers, view)
        layers, view = self._python_environment(packages, layers, view)
        layers, view = self._r_library(packages, layers, view)
        files = self._files(view)
        layers += files
        return [*layers, *self._steps(layers, view.extended(tables_of(files)))]

    def below_wheels(self) -> Below:
        """What wheels are built on: accounts, Debian packages, and conda's where the Python is."""
        self._python = None
        packages = self._package_layers()
        return self._on_base(self._conda_environment(packages, *self._system(packages))[0])

    def _on_base(self, layers: Sequence[MadeLayer]) -> Below:
        return Below.of(self._build.base, layers, store=self._store, events=self._events)

    # Packages.

    def _package_layers(self) -> _Made:
        """The layers of all packages, made together until every package's place is settled."""
        packed = self._build.packed()
        fragment_of: dict[str, Callable[[LockedPackage], FragmentRecipe]] = {Ecosystem.APT: self._apt.fragment}
        if self._conda is not None:
            fragment_of[Ecosystem.CONDA] = self._conda.fragment
        if self._python is not None:
            fragment_of[Ecosystem.PIP] = self._python.fragment
        fragment_of[Ecosystem.R] = self._r.fragment
        python, compiler = self._python, self._compiler
        beside: dict[str, Callable[[LockedPackage], FragmentRecipe]] = {}
        if python is not None and compiler is not None:
            compiler.prepare()
            beside[Ecosystem.PIP] = lambda package: python.bytecode(package, compiler)
        package_layers = PackageLayers(self._maker, self._bodies, self._base, self._owners, beside)
        for _ in range(_MOST_ROUNDS):
            pairs = list(zip(packed, package_layers.make(packed, fragment_of), strict=True))
            made = {each: [layer for plan, layer in pairs if plan.ecosystem is each] for each in Ecosystem}
            unsettled = [self._apt.settle(made[Ecosystem.APT])]
            if self._conda is not None:
                unsettled.append(self._conda.settle(made[Ecosystem.CONDA]))
            if self._python is not None:
                unsettled.append(self._python.settle(self._build.of(Ecosystem.PIP), made[Ecosystem.PIP]))
            if not any(unsettled):
                return made
        raise BuildError("the packages' files contradict each other: no placing of them is settled")

    def _refuse_conflicts(self, view: View, layers: Sequence[MadeLayer]) -> None:
        """A BuildError where a package's file is below it too, of another kind of package, unless bytes are equal."""
        for layer in layers:
            for fragment, package in zip(layer.fragments, layer.packages, strict=False):  # bytecode comes behind
                for path, entry in fragment.table.entries.items():
                    other = view.get(path)
                    if other is None or other.kind == entry.kind == "directory":
                        continue
                    same = (other.kind, other.link, other.size_bytes) == (entry.kind, entry.link, entry.size_bytes)
                    if not same or (entry.kind == "file" and view.read(path) != self._contents(path, entry)):
                        raise BuildError(
                            f"/{path} is in {package} and, with other content, in {self._build.base.name} "
                            "or a package of another kind on it",
                            hint="take the package from one of them only",
                        )

    # The layers, from below.

    def _system(self, packages: _Made) -> tuple[list[MadeLayer], View]:
        """Accounts, what goes, Debian packages and their state."""
        build, debs = self._build, packages[Ecosystem.APT]
        layers = self._first([*self._accounts, *self._apt.whiteouts(debs)]) + debs
        view = self._base.extended(tables_of(layers))
        if debs or build.lock.removals:
            state = self._single(view, _STATE, [self._apt.state(debs, view)])
            layers.append(state)
            view = view.extended(tables_of([state]))
            configure = self._apt.configure_step(state)
            if configure is not None:
                layers, view = self._stepped(configure, layers, view)
        return layers, view

    def _conda_environment(self, packages: _Made, layers: list[MadeLayer], view: View) -> tuple[list[MadeLayer], View]:
        """The conda environment: its own files, its packages, and what these want to be run."""
        if self._conda is None:
            return layers, view
        made = packages[Ecosystem.CONDA]
        self._refuse_conflicts(view, made)
        own = [self._single(view, _CONDA_ENVIRONMENT, self._conda.environments()), *made]
        layers, view = layers + own, view.extended(tables_of(own))
        for step in self._conda.steps(made):
            layers, view = self._stepped(step, layers, view)
        return layers, view

    def _python_environment(self, packages: _Made, layers: list[MadeLayer], view: View) -> tuple[list[MadeLayer], View]:
        """Wheels, and a venv for them where the environment is not the Python's own."""
        build, wheels = self._build, packages[Ecosystem.PIP]
        if self._python is None or build.target is None:
            return layers, view
        own = []
        gone = replaced_files(build.of(Ecosystem.PIP), provided_distributions(build.lock.packages), view, build.target)
        if gone:
            own = [self._single(view, _REPLACED, [entries_fragment(_REPLACED, gone)])]
            view = view.extended(tables_of(own))
        self._refuse_conflicts(view, wheels)
        layers, own = layers + own, list(wheels)
        if not build.target.owns_prefix:
            below = Digest.of(" ".join([str(below_packages(build)), *(layer.key for layer in layers)]).encode())
            environment = [self._python.environment(lambda: view, below=below)]
            own.insert(0, self._single(view, _ENVIRONMENT, environment))
        winners = self._python.fix_ups(build.of(Ecosystem.PIP))
        if winners is not None:
            own.append(self._single(view, "files that several wheels carry", [winners]))
        return layers + own, view.extended(tables_of(own))

    def _r_library(self, packages: _Made, layers: list[MadeLayer], view: View) -> tuple[list[MadeLayer], View]:
        """R packages that are placed, and those that are built on them."""
        own = packages[Ecosystem.R]
        self._refuse_conflicts(view, own)
        layers, view = layers + own, view.extended(tables_of(own))
        step = self._build.r_step
        if step is not None:
            self._r.fetch_sources()
            layers, view = self._stepped(step, layers, view)
        return layers, view

    def _stepped(self, step: Step, layers: list[MadeLayer], view: View) -> tuple[list[MadeLayer], View]:
        """The layers with that of what the step changes in the image so far, unless it is to be left out."""
        if self._build.step_settings.skipped:
            self.runner.tell_skipped(step)
            return layers, view
        made = self.runner.layer(step, find_user(step.user, view.read_if_there), self._on_base(layers))
        return [*layers, made], view.extended(tables_of([made]))

    def _steps(self, layers: Sequence[MadeLayer], view: View) -> list[MadeLayer]:
        """The layers of the repository's steps on all of these, and the lock's; the ground remembers the steps."""
        build, runner = self._build, self.runner
        if not build.steps:
            return []
        if self.ground is not None:
            self.ground = replace(self.ground, layers_above=1)
        if build.step_settings.skipped:
            for step in build.steps:
                runner.tell_skipped(step)
            return [self._records(view)]
        files = next(number for number, layer in enumerate(layers) if layer.name == SOURCE_LAYER)
        below = self._on_base(layers[:files]).under(*layers[files:])
        made: list[MadeLayer] = []
        users: list[ImageUser] = []
        for step in build.steps:
            users.append(find_user(step.user, view.read_if_there))
            made.append(runner.layer(step, users[-1], below.under(*made), modified=build.source_time))
            view = view.extended(tables_of(made[-1:]))
        records = self._records(view)
        if self.ground is not None:
            ran = list(zip(build.steps, users, strict=True))
            kept = KeptSteps.of(ran, build.base, layers[:files], above=records, runner=runner, store=self._store)
            is_settled = files == len(layers) - 1 and not any(map(changes_accounts, [*made[:-1], layers[files]]))
            self.ground = replace(self.ground, steps=kept.to_json()) if is_settled else None
        return [*made, records]

    def _first(self, entries: Sequence[Entry]) -> list[MadeLayer]:
        """The layer of accounts and of everything that goes: all whiteouts, so that no package layer holds any."""
        if not entries:
            return []
        return [self._single(self._build.base.view, _ACCOUNTS, [entries_fragment("accounts", entries)])]

    def _files(self, below: View) -> list[MadeLayer]:
        """The layers of files: the catalogue's and the lock, then the repository's.

        The lock comes after the repository's steps where there are any: it names the dates of mirrors, which change
        where no package does, and a step is run again when anything below it changes.
        """
        build = self._build
        catalogue = catalogue_fragments(build.asks)
        layers = [self._single(below, _CATALOGUE, catalogue)] if catalogue else []
        below = below.extended(tables_of(layers))
        account = build.account
        place = TreePlace(build.asks.repository_folder.lstrip("/"), account.uid, account.gid, build.source_time)
        self.ground = Ground.of(below, place.path, uid=place.uid, gid=place.gid)
        if not build.steps:
            layers.append(self._records(below))
        layers += self._maker.make_all([source_recipe(build.tree, place, below=below)])
        left = list(editable_entries(build.of(Ecosystem.PIP), self._store, place))
        if left:
            below = below.extended(tables_of(layers[-1:]))
            layers.append(self._single(below, EDITABLE_LAYER, [entries_fragment(EDITABLE_LAYER, left)]))
        return layers

    def _records(self, below: View) -> MadeLayer:
        lock = Lock({self._build.platform: self._build.lock}).to_text().encode()
        return self._single(below, _RECORDS, [entries_fragment(_RECORDS, [Entry.file(LOCK_PATH, lock)])])

    def _single(self, below: View, name: str, fragments: Sequence[FragmentRecipe]) -> MadeLayer:
        missing = [package for fragment in fragments for package in fragment.packages]
        self._bodies.fetch_ahead(missing if self._maker.lacks(fragments) else [])
        return PackageLayers(self._maker, self._bodies, below, self._owners).single(name, fragments)


def other_layers(build: "PlatformBuild") -> list[str]:
    """The names of the layers that hold no packages, as far as they are known before anything is made."""
    names = [_ACCOUNTS]
    names += [_STATE] if build.of(Ecosystem.APT) or build.lock.removals else []
    names += [_CONDA_ENVIRONMENT] if build.of(Ecosystem.CONDA) else []
    names += [_ENVIRONMENT] if build.target is not None and not build.target.owns_prefix else []
    names += [build.r_step.name] if build.r_step is not None else []
    names += [_CATALOGUE] if any(layer.files for layer in build.asks.layers) or build.asks.owned else []
    steps = [step.name for step in build.steps]
    return [*names, SOURCE_LAYER, *steps, _RECORDS] if steps else [*names, _RECORDS, SOURCE_LAYER]


def below_packages(build: "PlatformBuild") -> Digest:
    """A digest of all that the layers below the packages depend on."""
    accounts = [account for layer in build.asks.layers for account in layer.accounts]
    return Digest.of(f"{build.base.digest} {build.base.recorded_name} {accounts}".encode())


def apt_layers(build: "PlatformBuild", view: View, bodies: PackageBodies) -> AptLayers:
    """The makers of the layers of Debian packages, on the base with the image's accounts."""
    return AptLayers(
        build.of(Ecosystem.APT),
        build.lock.removals,
        view=view,
        below=below_packages(build),
        architecture=build.platform.debian_architecture,
        bodies=bodies,
    )


def conda_layers(build: "PlatformBuild", bodies: PackageBodies) -> CondaEnvironments | None:
    """The makers of the layers of conda environments; None where there is none."""
    packages = build.of(Ecosystem.CONDA)
    return CondaEnvironments(packages, build.asks.packages(""), build.account, bodies) if packages else None


def account_entries(build: "PlatformBuild") -> list[Entry]:
    """What gives the base the accounts of the image."""
    overlay = Overlay(build.base.view)
    for layer in build.asks.layers:
        for account in layer.accounts:
            ensure_account(overlay, account)
    return overlay.changes()
