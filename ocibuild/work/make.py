"""Making an image that the store does not have: bases, resolutions and layers of every platform."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from ocibuild.core.asks import PackageAsks
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.package import Ecosystem
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.ecosystem.conda.configuration import machine_conda_settings
from ocibuild.ecosystem.pip.configuration import machine_index_settings
from ocibuild.ecosystem.pip.question import merged
from ocibuild.ecosystem.pip.requirements_file import read_requirements
from ocibuild.ecosystem.pip.resolve import given_up
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.lock import Lock, PlatformLock
from ocibuild.plan.steps import repository_steps
from ocibuild.spec.asked import asked
from ocibuild.spec.python_ask import PythonAsk
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store
from ocibuild.work.apt_base import make_apt_base
from ocibuild.work.apt_resolution import DebianResolver
from ocibuild.work.assemble import ImageSettings, assemble_index
from ocibuild.work.base import Base, empty_base, image_base, recorded_name
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.conda_resolution import CondaResolver
from ocibuild.work.frame import Ground
from ocibuild.work.layers import LayerMaker, MadeLayer
from ocibuild.work.layers_sent import layers_sent, lock_key
from ocibuild.work.locked_resolution import LockedResolver
from ocibuild.work.locking import locked_platform, read_lock
from ocibuild.work.machine import Machine
from ocibuild.work.places import open_local_source, registry_reference
from ocibuild.work.platform_build import PlatformBuild
from ocibuild.work.python_resolution import PythonResolver
from ocibuild.work.r_repositories import repository_variables
from ocibuild.work.r_resolution import RResolver
from ocibuild.work.remote import open_remote
from ocibuild.work.resolution import Resolution, Resolver
from ocibuild.work.steps import StepSettings
from ocibuild.work.wheel_root import SandboxRoot

if TYPE_CHECKING:
    from ocibuild.work.build import BuildRequest
    from ocibuild.work.shared_cache import SharedCache

__all__ = ["MadeImage", "Workshop", "make_image"]

_DEFAULT_MOST_LAYERS = 22


@dataclass(frozen=True, slots=True)
class MadeImage:
    """An image in the store.

    ``base_layers`` are the hexadecimal digests of layers that may be only where the base came from. ``resolved`` is the
    time of the oldest resolution, in seconds since the epoch. ``lock`` is of all platforms. ``grounds`` are what the
    last layers lie on, where no other layer depends on the repository's files.
    """

    descriptor: Descriptor
    base: str
    base_layers: frozenset[str]
    resolved: float
    lock: Lock
    grounds: tuple[Ground, ...]


def make_image(
    request: "BuildRequest",
    *,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    cache: "SharedCache | None" = None,
) -> MadeImage:
    """Resolve and make the image of every platform; two or more become an index."""
    with (
        open_remote(environment=environment, store=store, events=events, access=request.access) as remote,
        layers_sent(request, remote, store, cache) as on_made,
        Workshop(request, Machine(store, remote, environment, events, cache=cache), on_made=on_made) as workshop,
    ):
        images: dict[Platform, Descriptor] = {}
        locks: dict[Platform, PlatformLock] = {}
        grounds: dict[Platform, Ground | None] = {}
        base_layers: set[str] = set()
        resolved: list[float] = []
        for platform in request.platforms:
            with workshop.bodies() as bodies:
                plan, resolution = workshop.plan(platform, begin=bodies)
                if cache is not None:
                    cache.withhold(plan.local_packages)
                    cache.ask_lock(lock_key(request, platform, plan))
                bodies.add_places(resolution.addresses, resolution.urls)
                with workshop.machine.phase("building", f"for {platform}"):
                    made = plan.make(workshop.maker, bodies, workshop.machine)
            images[platform] = made.descriptor
            grounds[platform] = made.ground
            locks[platform] = plan.lock
            base_layers |= {layer.digest.hex for layer in plan.base.layers if plan.base.source is not None}
            resolved.append(resolution.resolved)
        descriptor = next(iter(images.values()))
        if len(images) > 1:
            descriptor = assemble_index(images, platforms=request.platforms, store=store)
        whole = tuple(ground for ground in grounds.values() if ground is not None)
        return MadeImage(
            descriptor,
            request.base,
            frozenset(base_layers),
            min(resolved),
            Lock(locks),
            whole if len(whole) == len(grounds) else (),
        )


class Workshop:
    """What the platforms of one build share: connections, the maker of layers, resolvers. A context manager.

    ``clients`` reach servers as this machine is set up for them, by ecosystem. With ``runs_steps`` False a base whose
    packages need a step is left as it is before; ``base_steps`` are such steps, by platform.
    """

    def __init__(
        self,
        request: "BuildRequest",
        machine: Machine,
        *,
        on_made: Callable[[MadeLayer], None] = lambda _: None,
        runs_steps: bool = True,
        builds: bool = True,
    ) -> None:
        self._request = request
        self.machine = machine
        self._runs_steps = runs_steps
        self.base_steps: dict[Platform, Step] = {}
        options = request.options
        self._stopped = threading.Event()
        self.maker = LayerMaker(
            machine.store,
            compressor_for(options.compression or Compression.ZSTD),
            budget=MemoryBudget.of_process(options.memory_bytes),
            events=machine.events,
            workers=options.jobs or os.cpu_count(),
            stopped=self._stopped,
            on_made=on_made,
            cache=machine.cache,
        )
        self._asks = asked(request.packages, options)
        debian, python_http = DebianResolver(machine, options), machine.remote.http
        if not request.asks.pip.is_empty:
            settings = machine_index_settings(machine.environment)
            requirements = read_requirements(request.asks.pip, folder=request.folder, variables=options.environment)
            python_http = python_http.reaching(merged(settings, requirements).reach)
        conda_http = machine.remote.http
        if not request.asks.conda.is_empty:
            conda_http = conda_http.reaching(machine_conda_settings(machine.environment).reach)
        self.clients = {Ecosystem.APT: debian.http, Ecosystem.PIP: python_http, Ecosystem.CONDA: conda_http}
        self._headers: dict[Ecosystem, Mapping[str, str]] = {}
        self.conda = CondaResolver(machine.store, machine.environment, machine.events, conda_http)
        self._resolver: Resolver | LockedResolver = Resolver(
            machine,
            options,
            request.folder,
            debian,
            PythonResolver(machine.store, machine.environment, machine.events, python_http),
            self.conda,
            RResolver(machine, options, debian),
            self.bodies,
            build_root=self._wheel_root,
            builds=builds,
        )
        self._locked: dict[Platform, PlatformLock] = {}
        if options.locked and request.lock_file is not None:
            lock, file = read_lock(request.lock_file), request.lock_file
            for platform in request.platforms:
                self._locked[platform] = locked_platform(
                    lock, platform, base=recorded_name(request.base), asks=self._asks, file=file
                )
            self._resolver = LockedResolver(self._resolver, self._locked, str(file))

    def __enter__(self) -> Self:
        self.maker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.maker.__exit__(kind, error, trace)

    def bodies(self, resolution: Resolution | None = None) -> PackageBodies:
        """The packages' files of a resolution; without one its places are told later."""
        return PackageBodies(
            self.machine.store,
            resolution.addresses if resolution else {},
            http=self.machine.remote.http,
            clients=self.clients,
            headers=self._headers,
            events=self.machine.events,
            urls=resolution.urls if resolution else {},
            stopped=self._stopped,
        )

    def plan(self, platform: Platform, *, begin: PackageBodies | None = None) -> tuple[PlatformBuild, Resolution]:
        """Find out everything that decides the image of this platform.

        Packages are not fetched, but with ``begin`` the layers of Debian packages are begun while others are resolved.
        """
        request = self._request
        asks = request.asks
        with self.machine.phase("base", request.base) as phase:
            base, base_lock = self._base(platform)
            phase.outcome = str(base.digest)[:19] if base.digest else ""
        with self.machine.phase("resolving", f"for {platform}") as phase:
            expected = _expected(request.packages)

            def on_debs(lock: PlatformLock, addresses: Mapping[str, str]) -> None:
                if begin is not None:
                    begin.add_places(addresses)
                    self._platform_build(platform, base, lock, None).begin_debs(self.maker, begin, expected=expected)

            resolution = self._resolver.packages(
                request.packages, base, folder_in_image=asks.repository_folder, on_debs=on_debs
            )
            phase.outcome = f"{len(resolution.lock.packages)} packages"
        has_wheels = any(package.ecosystem is Ecosystem.PIP for package in resolution.lock.packages)
        needs_python = has_wheels or not asks.pip.is_empty
        target = self._resolver.python_of(base, resolution.lock) if needs_python else None
        _refuse_other_python(request.python, target, base)
        r = None if asks.r.is_empty else self._resolver.r_of(base, resolution.lock)
        if r is not None:
            self._headers[Ecosystem.R] = {"User-Agent": r.user_agent}
        lock = replace(
            resolution.lock,
            base_digest=None if base_lock else base.digest,
            base_packages=base_lock.packages if base_lock else (),
            sources=tuple(dict.fromkeys((*(base_lock.sources if base_lock else ()), *resolution.lock.sources))),
            asks=tuple(sorted(self._asks)),
        )
        if platform in self._locked:  # all is as locked, but wheels that this machine built again
            lock = replace(self._locked[platform], packages=resolution.lock.packages)
        if target is not None:
            for deviation in given_up(asks.pip, target, lock.packages):
                self.machine.events(Notice(deviation))
        return self._platform_build(platform, base, lock, target), resolution

    def _wheel_root(self, base: Base, lock: PlatformLock, addresses: Mapping[str, str]) -> SandboxRoot:
        bodies = self.bodies()
        bodies.add_places(addresses)
        return self._platform_build(base.platform, base, lock, None).wheel_root(self.maker, bodies, self.machine)

    def _platform_build(
        self, platform: Platform, base: Base, lock: PlatformLock, target: PythonTarget | None
    ) -> PlatformBuild:
        request, asks = self._request, self._request.asks
        has_python = target is not None or not asks.conda.is_empty
        environment = asks.environment(base.config.environment, platform, has_python=has_python)
        arguments = asks.arguments()
        if not asks.r.is_empty:
            public, here = repository_variables(asks.r, base.view, self.machine.environment)
            environment, arguments = {**public, **environment}, {**arguments, **here}
        effect = asks.appended(environment)
        steps = repository_steps(
            asks.steps,
            post_build=asks.post_build,
            user=asks.account.name,
            folder=asks.repository_folder,
            arguments=arguments,
            appended=effect.steps,
        )
        return PlatformBuild(
            platform=platform,
            base=base,
            lock=lock,
            target=target,
            asks=asks,
            tree=request.image_tree,
            source_time=request.source_time,
            settings=ImageSettings(
                environment=MappingProxyType({**environment, **effect.environment}),
                labels=MappingProxyType({**asks.labels, **effect.labels}),
                user=effect.user,
                working_folder=effect.working_folder,
                entrypoint=asks.entrypoint,
                command=asks.command,
                ports=(*asks.ports, *effect.ports),
            ),
            most_layers=request.options.max_layers or _DEFAULT_MOST_LAYERS,
            steps=tuple(steps),
            step_settings=StepSettings.of(request.options, platform, self.machine.environment),
            has_bytecode=bool(request.options.bytecode),
        )

    def _base(self, platform: Platform) -> tuple[Base, PlatformLock | None]:
        """The base that the request names, for this platform, and the lock of its packages if it is made of some."""
        name = self._request.base
        store, events = self.machine.store, self.machine.events
        if name == "scratch":
            return empty_base(platform), None
        kind, _, suite = name.partition(":")
        if kind == "apt":
            resolution = self._resolver.base_packages(suite, platform)
            with self.bodies(resolution) as bodies:
                settings = replace(
                    StepSettings.of(self._request.options, platform, self.machine.environment), secrets=()
                )
                descriptor, step = make_apt_base(
                    suite,
                    platform,
                    resolution.lock.packages,
                    maker=self.maker,
                    bodies=bodies,
                    machine=self.machine,
                    settings=settings if self._runs_steps else replace(settings, skipped=True),
                )
            if step is not None:
                self.base_steps[platform] = step
            source = StoreSource(store, descriptor, name=name)
            made = image_base(source, platform, name=name, store=store, events=events)
            return replace(made, source=None), resolution.lock
        reference = registry_reference(name)
        if reference is not None:  # the registry decides what the name stands for, not an older copy in the store
            locked = self._locked.get(platform)
            if locked is not None and locked.base_digest is not None:
                reference = reference.with_digest(locked.base_digest)
            remote = self.machine.remote.source(reference)
            return image_base(remote, platform, name=name, store=store, events=events), None
        local = open_local_source(name, store)
        if local is None:
            raise UsageError(f"the base {name} does not exist")
        return image_base(local, platform, name=name, store=store, events=events), None


def _expected(asks: PackageAsks) -> tuple[Ecosystem, ...]:
    """The ecosystems that will have packages beside Debian's."""
    is_empty = {Ecosystem.CONDA: asks.conda.is_empty, Ecosystem.PIP: asks.pip.is_empty}
    is_empty[Ecosystem.R] = not asks.r.packages
    return tuple(ecosystem for ecosystem, nothing in is_empty.items() if not nothing)


def _refuse_other_python(wanted: PythonAsk, target: PythonTarget | None, base: Base) -> None:
    """A RepositoryError where the image would not have the Python that was asked for."""
    if target is None or wanted.allows(target.version):
        return
    origin = wanted.origin or wanted.specifier_origin
    raise RepositoryError(
        f"{wanted} is asked for, and {base.name} has {target.version}",
        file=origin.file if origin else None,
        line=origin.line if origin else None,
        hint="choose a base that has it: apt:bookworm has 3.11, apt:trixie 3.13, the image python:3.12 its own; "
        "without --base conda's is taken",
    )
