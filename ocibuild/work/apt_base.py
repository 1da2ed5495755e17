"""A base image made of a distribution's packages alone, without a registry: ``apt:bookworm``."""

from collections.abc import Sequence
from types import MappingProxyType

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.ecosystem.apt.base import seed_entries
from ocibuild.image.users import find_user
from ocibuild.image.view import View
from ocibuild.plan.packing import pack
from ocibuild.work.apt_layers import AptLayers
from ocibuild.work.assemble import ImageSettings, assemble
from ocibuild.work.base import empty_base
from ocibuild.work.below import Below
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.contents import FragmentContents
from ocibuild.work.layers import LayerMaker
from ocibuild.work.machine import Machine
from ocibuild.work.stack import PackageLayers, entries_fragment, table_of, tables_of
from ocibuild.work.steps import StepRunner, StepSettings

__all__ = ["make_apt_base"]

_MOST_PACKAGE_LAYERS = 4
"""A base is shared by every image on it: few layers, but enough for both to be made and pulled at once."""


def make_apt_base(
    suite: str,
    platform: Platform,
    packages: Sequence[LockedPackage],
    *,
    maker: LayerMaker,
    bodies: PackageBodies,
    machine: Machine,
    settings: StepSettings,
) -> tuple[Descriptor, Step | None]:
    """The manifest of an image of exactly these packages, in the store; the same bytes on every machine.

    Where scripts are not known as data, a step configures the packages, as in every image; it is returned. If
    ``settings`` leave steps out, they are unpacked in the image: enough to resolve on it and to plan.
    """
    store = machine.store
    empty = empty_base(platform)
    architecture = platform.debian_architecture
    seeds = seed_entries(suite, architecture)
    contents = FragmentContents(store, empty.view.read_content)
    below = View(read_content=contents).extended([table_of(seeds)])
    apt = AptLayers(packages, (), view=below, below=Digest.of(suite.encode()), architecture=architecture, bodies=bodies)
    layers = PackageLayers(maker, bodies, below)
    packed = pack(packages, most_layers=_MOST_PACKAGE_LAYERS)
    made = layers.make(packed, {"apt": apt.fragment})
    if apt.settle(made):
        made = layers.make(packed, {"apt": apt.fragment})
        if apt.settle(made):
            raise BuildError(f"apt:{suite}: the packages' files contradict each other")
    view = below.extended(tables_of(made))
    state = PackageLayers(maker, bodies, view).single(
        "the system's state", [entries_fragment("merged /usr", seeds), apt.state(made, view)]
    )
    step = apt.configure_step(state)
    all_layers = [*made, state]
    if step is not None and not settings.skipped:
        view = view.extended(tables_of([state]))
        runner = StepRunner(
            store,
            machine.events,
            machine.environment,
            maker,
            platform,
            settings,
            environment={"PATH": DEFAULT_PATH},
            homes=(),
        )
        root = find_user("0", view.read_if_there)  # by number: the accounts are not there yet
        all_layers.append(runner.layer(step, root, Below.of(empty, all_layers, store=store, events=machine.events)))
    image = ImageSettings(MappingProxyType({"PATH": DEFAULT_PATH}), MappingProxyType({}), command=("bash",))
    descriptor = assemble(empty, all_layers, settings=image, created=FIXED_TIME, timed=frozenset(), store=store)
    return descriptor, step
