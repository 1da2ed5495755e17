"""Building the image of one platform: from a base and a lock to a manifest in the store."""

import platform as host
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.r.source import source_step
from ocibuild.ecosystem.r.target import DEBIAN_LIBRARY
from ocibuild.lock import PlatformLock
from ocibuild.plan.packing import PackedLayer, pack
from ocibuild.plan.shared import Shared
from ocibuild.plan.skeleton import FolderOwner
from ocibuild.source.tree import SourceTree
from ocibuild.spec.catalogue import Account
from ocibuild.spec.image_asks import ImageAsks
from ocibuild.work.assemble import ImageSettings, assemble
from ocibuild.work.base import Base
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.bytecode import BytecodeCompiler
from ocibuild.work.frame import EDITABLE_LAYER, SOURCE_LAYER, Ground
from ocibuild.work.image_stack import (
    ImageStack,
    account_entries,
    apt_layers,
    below_packages,
    conda_layers,
    other_layers,
)
from ocibuild.work.layers import FragmentRecipe, LayerMaker
from ocibuild.work.machine import Machine
from ocibuild.work.python_layers import PythonLayers
from ocibuild.work.r_layers import RLayers, placed_packages
from ocibuild.work.recall import state_key
from ocibuild.work.stack import PackageLayers, table_of
from ocibuild.work.steps import StepSettings
from ocibuild.work.wheel_root import SandboxRoot

__all__ = ["OTHER_LAYERS", "MadePlatform", "PlatformBuild"]

OTHER_LAYERS = 7
"""Layers that hold no packages: accounts and removals, state, environment, fix-ups, catalogue, lock, source."""

_LOCAL_SOURCES = ("file", "find-links")
"""How sources are named that may be folders of the repository."""


@dataclass(frozen=True, slots=True)
class MadePlatform:
    """The manifest of one image. ``ground`` is what its last layer lies on, where that is all that files decide."""

    descriptor: Descriptor
    ground: Ground | None


@dataclass(frozen=True, slots=True)
class PlatformBuild:
    """All that decides one image. The account of ``asks`` owns the source and the environment.

    ``target`` is None where nothing is asked of pip. ``steps`` run when the source is in place, in their order.
    With ``has_bytecode`` the modules of wheels are compiled.
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
    has_bytecode: bool = False

    @property
    def account(self) -> Account:
        """The image's user."""
        return self.asks.account

    def packed(self) -> tuple[PackedLayer, ...]:
        """The package layers of the image, as the plan shows them."""
        packages = placed_packages(self.lock.packages)
        return pack(packages, most_layers=self._most_package_layers, shared=self._shared)

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

    @property
    def r_step(self) -> Step | None:
        """What builds R packages that exist as source only; None where there is none."""
        return source_step(self.of(Ecosystem.R), library=DEBIAN_LIBRARY)

    def other_layers(self) -> list[str]:
        """The names of the layers that hold no packages, as far as they are known before anything is made."""
        return other_layers(self)

    def fragments(self, bodies: PackageBodies) -> dict[str, Callable[[LockedPackage], FragmentRecipe]]:
        """Each ecosystem's fragments, in the context in which packages are placed first."""
        view = self.base.view.extended([table_of(account_entries(self))])
        fragments: dict[str, Callable[[LockedPackage], FragmentRecipe]] = {}
        fragments[Ecosystem.APT.value] = apt_layers(self, view, bodies).fragment
        conda = conda_layers(self, bodies)
        if conda is not None:
            fragments[Ecosystem.CONDA.value] = conda.fragment
        if self.target is not None:
            fragments[Ecosystem.PIP.value] = PythonLayers(self.target, self.account, bodies).fragment
        fragments[Ecosystem.R.value] = RLayers(self.of(Ecosystem.R), bodies).fragment
        return fragments

    def begin_debs(self, maker: LayerMaker, bodies: PackageBodies, *, expected: Collection[Ecosystem]) -> None:
        """Begin to make the layers of the Debian packages, which are all that the lock holds so far.

        ``expected`` are the other ecosystems that it will hold.
        """
        view = self.base.view.extended([table_of(account_entries(self))])
        packed = pack(self.lock.packages, most_layers=self._most_package_layers, expected=expected, shared=self._shared)
        fragment_of = {Ecosystem.APT.value: apt_layers(self, view, bodies).fragment}
        PackageLayers(maker, bodies, view, self.owners).begin(packed, fragment_of)

    @property
    def owners(self) -> tuple[FolderOwner, ...]:
        """Who owns the folders that no package declares."""
        return (FolderOwner(), FolderOwner("srv/conda", self.account.uid, self.account.gid))

    def wheel_root(self, maker: LayerMaker, bodies: PackageBodies, machine: Machine) -> SandboxRoot:
        """The root in which wheels are built: the base, and Debian's and conda's packages, all that the lock holds."""
        stack = ImageStack(self, maker, bodies, machine)
        packages = [package.digest.hex for package in self.lock.packages]
        key = state_key(str(below_packages(self)), packages, list(self.lock.removals))
        return SandboxRoot(key, stack.runner, stack.below_wheels)

    def compiler(self, maker: LayerMaker, bodies: PackageBodies, machine: Machine) -> BytecodeCompiler | None:
        """Who compiles the modules of wheels, where they are to be compiled."""
        if self.target is None or not self.has_bytecode:
            return None
        below = tuple(package for package in self.lock.packages if package.ecosystem is not Ecosystem.PIP)
        without = replace(self, lock=replace(self.lock, packages=below), has_bytecode=False)
        root = without.wheel_root(maker, bodies, machine)
        return BytecodeCompiler(self.target, root, machine.store, here=Platform.parse(host.machine()))

    def make(self, maker: LayerMaker, bodies: PackageBodies, machine: Machine) -> MadePlatform:
        """Make what the store lacks; the manifest is in the store then."""
        stack = ImageStack(self, maker, bodies, machine)
        layers = stack.made()
        timed = frozenset({SOURCE_LAYER, EDITABLE_LAYER, *(step.name for step in self.steps)})
        descriptor = assemble(
            self.base, layers, settings=self.settings, created=self.source_time, timed=timed, store=machine.store
        )
        return MadePlatform(descriptor, None if self.local_packages else stack.ground)

    @property
    def local_packages(self) -> list[LockedPackage]:
        """The packages that may be of the repository's own files."""
        return [package for package in self.lock.packages if package.source.startswith(_LOCAL_SOURCES)]
