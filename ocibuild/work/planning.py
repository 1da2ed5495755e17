"""The conductors of ``ocibuild plan`` and ``ocibuild lock``: what a build would do, without fetching a package."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from ocibuild.core.events import EventSink, Notice
from ocibuild.core.package import Ecosystem
from ocibuild.core.platform import Platform
from ocibuild.core.step import Step
from ocibuild.ecosystem.apt.remote_control import remote_controls
from ocibuild.lock import Lock
from ocibuild.net.address import redacted
from ocibuild.plan.plan import BuildPlan, PlannedLayer, PlannedPackage
from ocibuild.store.claims import ClaimError
from ocibuild.store.store import Store
from ocibuild.work.bodies import PackageBodies
from ocibuild.work.build import BuildRequest
from ocibuild.work.building import open_cache
from ocibuild.work.image_stack import conda_layers
from ocibuild.work.machine import Machine
from ocibuild.work.make import Workshop
from ocibuild.work.platform_build import PlatformBuild
from ocibuild.work.remote import open_remote
from ocibuild.work.resolution import Resolution

__all__ = ["plan_build", "resolve_lock"]


def plan_build(
    request: BuildRequest, *, store: Store, environment: Mapping[str, str], events: EventSink
) -> list[BuildPlan]:
    """The plan of each platform. Bases and package lists are read; of packages only what tells their scripts."""
    try:
        return _planned(request, store=store, environment=environment, events=events)
    except ClaimError as error:
        events(Notice(f"{error.message}: the plan is made without shared caches", warning=True))
    without = replace(request, cache=None)
    return _planned(without, store=store, environment=environment, events=events)


def _planned(
    request: BuildRequest, *, store: Store, environment: Mapping[str, str], events: EventSink
) -> list[BuildPlan]:
    with contextlib.ExitStack() as stack:
        cache = None
        if request.cache is not None:
            reading = replace(request.cache, writes=False)
            opened = open_cache(request, reading, store=store, environment=environment, events=events)
            cache = stack.enter_context(opened)
            store = cache.store
            cache.ask_image()
        remote = stack.enter_context(
            open_remote(environment=environment, store=store, events=events, access=request.access)
        )
        machine = Machine(store, remote, environment, events, cache=cache)
        workshop = Workshop(request, machine, runs_steps=False, builds=False)
        plans = []
        for platform in request.platforms:
            build, resolution = workshop.plan(platform)
            plans.append(_plan(workshop, build, resolution, platform))
        return plans


def resolve_lock(request: BuildRequest, *, store: Store, environment: Mapping[str, str], events: EventSink) -> Lock:
    """What a build of every platform would be made of. Only what a base is made of is fetched."""
    request = replace(request, options=replace(request.options, locked=False))  # ocibuild.toml may say so, for builds
    with open_remote(environment=environment, store=store, events=events, access=request.access) as remote:
        workshop = Workshop(request, Machine(store, remote, environment, events), runs_steps=False)
        return Lock({platform: workshop.plan(platform)[0].lock for platform in request.platforms})


def _plan(workshop: Workshop, build: PlatformBuild, resolution: Resolution, platform: Platform) -> BuildPlan:
    machine = workshop.machine
    with workshop.bodies(resolution) as bodies:
        packages = tuple(
            PlannedPackage(package, redacted(bodies.url(package)), bodies.is_here(package))
            for package in resolution.lock.packages
        )
        layers, unknown = _layers(workshop, build, bodies)
        with machine.phase("reading scripts", f"for {platform}"):
            found = _steps(workshop, build, resolution)
            found += (*_conda_steps(workshop, build, bodies), *_wheel_steps(build, resolution))
    steps = (*found, *filter(None, [build.r_step]), *build.steps)
    unknown += tuple(f"what {source} depends on (until it is built)" for source in resolution.missing)
    return BuildPlan(
        platform=platform,
        base=build.base.name,
        base_digest=str(build.base.digest) if build.base.digest else None,
        age_seconds=machine.now() - resolution.resolved,
        packages=packages,
        removals=resolution.lock.removals,
        layers=layers,
        steps=steps,
        unknown=unknown,
    )


def _layers(
    workshop: Workshop, build: PlatformBuild, bodies: PackageBodies
) -> tuple[tuple[PlannedLayer, ...], tuple[str, ...]]:
    """The layers of the image in their order; of new ones the packages' sizes as downloaded."""
    layers = [
        PlannedLayer(f"base layer {number}", "base", layer.size_bytes)
        for number, layer in enumerate(build.base.layers, start=1)
    ]
    fragments = build.fragments(bodies)
    for packed in build.packed():
        known = not workshop.maker.lacks([fragments[packed.ecosystem](package) for package in packed.packages])
        names = tuple(f"{package.name} {package.version}" for package in packed.packages)
        layers.append(PlannedLayer(packed.name, "cached" if known else "new", packed.size_bytes, names))
    layers += [PlannedLayer(name, "new") for name in build.other_layers()]
    return tuple(layers), tuple(layer.name for layer in layers if layer.size_bytes is None)


def _conda_steps(workshop: Workshop, build: PlatformBuild, bodies: PackageBodies) -> tuple[Step, ...]:
    """The scripts that conda packages want to be run."""
    layers = conda_layers(build, bodies)
    if layers is None:
        return ()
    return tuple(layers.planned_steps(workshop.conda.facts(build.of(Ecosystem.CONDA), bodies)))


def _wheel_steps(build: PlatformBuild, resolution: Resolution) -> tuple[Step, ...]:
    """The wheels that would be built, as far as they are known; what they depend on may have to be built too."""
    if build.target is None or not resolution.missing:
        return ()
    from ocibuild.ecosystem.pip.wheel_build import wheel_step  # noqa: PLC0415 - most plans build none

    return tuple(wheel_step(source, build.target, environment={}) for source in resolution.missing)


def _steps(workshop: Workshop, build: PlatformBuild, resolution: Resolution) -> tuple[Step, ...]:
    """What would have to run: one step for all maintainer scripts that are not known as data."""
    from ocibuild.ecosystem.apt.configure import ConfiguredPackage, unknown_scripts  # noqa: PLC0415
    from ocibuild.ecosystem.apt.configure_step import configure_step  # noqa: PLC0415
    from ocibuild.ecosystem.apt.database import DpkgDatabase  # noqa: PLC0415
    from ocibuild.ecosystem.apt.installation import unknown_removals  # noqa: PLC0415
    from ocibuild.ecosystem.apt.removal import removed_packages  # noqa: PLC0415

    packages = build.of(Ecosystem.APT)
    addresses = {name: address.rstrip("/") for name, address in resolution.addresses.items()}
    machine, http = workshop.machine, workshop.clients[Ecosystem.APT]
    controls = remote_controls(packages, addresses, http=http, store=machine.store, events=machine.events)
    configured = [
        ConfiguredPackage(
            package.name,
            package.architecture,
            package.version,
            package.fields.get("previous", ""),
            controls[package.digest].members,
        )
        for package in packages
    ]
    unknown = unknown_scripts(configured)
    if build.lock.removals:
        view = build.base.view
        removed = removed_packages(build.lock.removals, DpkgDatabase.read(view))
        unknown = (*unknown_removals(removed, view), *unknown)
    base_step = workshop.base_steps.get(build.platform)
    found = (
        base_step and replace(base_step, name=f"{base_step.name} of the base"),
        unknown and configure_step(unknown),
    )
    return tuple(step for step in found if step)
