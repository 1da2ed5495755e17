"""Making an image that the store does not have: bases, resolutions and layers of every platform."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.errors import UsageError
from ocibuild.core.events import EventSink
from ocibuild.core.platform import Platform
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.spec.catalogue import Account
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store
from ocibuild.work.apt_base import make_apt_base
from ocibuild.work.apt_resolution import DebianResolver
from ocibuild.work.assemble import ImageSettings, assemble_index
from ocibuild.work.base import Base, empty_base, image_base
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.layers import LayerMaker
from ocibuild.work.machine import Machine
from ocibuild.work.places import open_local_source, registry_reference
from ocibuild.work.platform_build import PlatformBuild
from ocibuild.work.python_resolution import PythonResolver
from ocibuild.work.remote import open_remote
from ocibuild.work.resolution import Resolution, Resolver

if TYPE_CHECKING:
    from ocibuild.work.build import BuildRequest

__all__ = ["MadeImage", "Workshop", "make_image"]

_DEFAULT_MEMORY_BYTES = 300 << 20
_OWN_MEMORY_BYTES = 180 << 20  # of the interpreter, its libraries and the decoders, beside the cuts of layers
_LEAST_BUDGET_BYTES = 64 << 20
_DEFAULT_MOST_LAYERS = 20
_PREFIX_BIN = "/srv/conda/envs/notebook/bin"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class MadeImage:
    """An image in the store.

    ``base_layers`` are the hexadecimal digests of layers that may be only where the base came from. ``resolved`` is the
    time of the oldest resolution, in seconds since the epoch.
    """

    descriptor: Descriptor
    base: str
    base_layers: frozenset[str]
    resolved: float


def make_image(
    request: "BuildRequest", *, store: Store, environment: Mapping[str, str], events: EventSink
) -> MadeImage:
    """Resolve and make the image of every platform; two or more become an index."""
    with open_remote(environment=environment, store=store, events=events, access=request.access) as remote:
        workshop = Workshop(request, Machine(store, remote, environment, events))
        images: dict[Platform, Descriptor] = {}
        base_layers: set[str] = set()
        resolved: list[float] = []
        for platform in request.platforms:
            plan, resolution = workshop.plan(platform)
            with workshop.machine.phase("building", f"for {platform}"), workshop.bodies(resolution) as bodies:
                images[platform] = plan.make(workshop.maker, bodies, store)
            base_layers |= {layer.digest.hex for layer in plan.base.layers if plan.base.source is not None}
            resolved.append(resolution.resolved)
        descriptor = next(iter(images.values()))
        if len(images) > 1:
            descriptor = assemble_index(images, platforms=request.platforms, store=store)
        return MadeImage(descriptor, request.base, frozenset(base_layers), min(resolved))


class Workshop:
    """What the platforms of one build share: connections, the maker of layers, resolvers."""

    def __init__(self, request: "BuildRequest", machine: Machine) -> None:
        self._request = request
        self.machine = machine
        options = request.options
        memory = options.memory_bytes or _DEFAULT_MEMORY_BYTES
        self.maker = LayerMaker(
            machine.store,
            compressor_for(options.compression or Compression.ZSTD),
            budget=MemoryBudget(max(_LEAST_BUDGET_BYTES, memory - _OWN_MEMORY_BYTES)),
            events=machine.events,
            workers=options.jobs or os.cpu_count(),
        )
        self._resolver = Resolver(
            machine,
            options,
            request.folder,
            DebianResolver(machine, options),
            PythonResolver(machine.store, machine.environment, machine.events),
        )

    def bodies(self, resolution: Resolution) -> PackageBodies:
        """The packages' files of a resolution."""
        return PackageBodies(
            self.machine.store, resolution.addresses, http=self.machine.remote.http, events=self.machine.events
        )

    def plan(self, platform: Platform) -> tuple[PlatformBuild, Resolution]:
        """Find out everything that decides the image of this platform; packages are not fetched."""
        request = self._request
        account = _account(request)
        with self.machine.phase("base", request.base) as phase:
            base = self.base(platform)
            phase.outcome = str(base.digest)[:19] if base.digest else ""
        with self.machine.phase("resolving", f"for {platform}") as phase:
            resolution = self._resolver.packages(request.spec.apt, request.spec.pip, base, folder_in_image=account.home)
            phase.outcome = f"{len(resolution.lock.packages)} packages"
        target = None if request.spec.pip.is_empty else self._resolver.python_of(base, resolution.lock)
        plan = PlatformBuild(
            platform=platform,
            base=base,
            lock=resolution.lock,
            target=target,
            catalogue=request.catalogue,
            account=account,
            tree=request.tree,
            source_time=request.source_time,
            settings=_settings(request, base, account, has_python=target is not None),
            most_layers=request.options.max_layers or _DEFAULT_MOST_LAYERS,
        )
        return plan, resolution

    def base(self, platform: Platform) -> Base:
        """The base that the request names, for this platform."""
        name = self._request.base
        store, events = self.machine.store, self.machine.events
        if name == "scratch":
            return empty_base(platform)
        kind, _, suite = name.partition(":")
        if kind == "apt":
            resolution = self._resolver.base_packages(suite, platform)
            with self.bodies(resolution) as bodies:
                descriptor = make_apt_base(
                    suite, platform, resolution.lock.packages, maker=self.maker, bodies=bodies, store=store
                )
            source = StoreSource(store, descriptor, name=name)
            made = image_base(source, platform, name=name, store=store, events=events)
            return Base(made.name, made.platform, made.view, made.config, made.layers, made.digest)
        reference = registry_reference(name)
        if reference is not None:  # the registry decides what the name stands for, not an older copy in the store
            remote = self.machine.remote.source(reference)
            return image_base(remote, platform, name=name, store=store, events=events)
        local = open_local_source(name, store)
        if local is None:
            raise UsageError(f"the base {name} does not exist")
        return image_base(local, platform, name=name, store=store, events=events)


def _account(request: "BuildRequest") -> Account:
    """The account that owns the repository's files: the first of the catalogue's layers."""
    return next(account for layer in request.catalogue for account in layer.accounts)


def _settings(request: "BuildRequest", base: Base, account: Account, *, has_python: bool) -> ImageSettings:
    options = request.options
    path = base.config.environment.get("PATH", _PATH)
    environment = {"PATH": f"{_PREFIX_BIN}:{path}" if has_python else path, "HOME": account.home, "USER": account.name}
    for layer in request.catalogue:
        environment |= layer.environment
    return ImageSettings(
        environment=MappingProxyType({**environment, **options.environment}),
        labels=options.labels,
        user=account.name,
        working_folder=account.home,
        entrypoint=options.entrypoint or None,
        command=options.command or None,
    )
