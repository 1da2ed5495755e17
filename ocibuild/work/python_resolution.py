"""Resolving what a repository asks of pip, with this machine's settings; sources are built on the way."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, MachineError
from ocibuild.core.events import EventSink
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.configuration import IndexSettings, read_index_settings
from ocibuild.ecosystem.pip.formats import Formats
from ocibuild.ecosystem.pip.locate import locate
from ocibuild.ecosystem.pip.prefix import seed_requirements
from ocibuild.ecosystem.pip.resolve import PipResolution, resolve
from ocibuild.ecosystem.pip.source import PythonSource, body_digest, is_built
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.net.client import HttpClient
from ocibuild.source.folder import read_folder
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store

if TYPE_CHECKING:
    from ocibuild.ecosystem.pip.built import BuiltWheel
    from ocibuild.work.python_wheels import StepRoot, WheelMaker

__all__ = ["PythonResolver", "unbuildable"]

_Unsuitable = Mapping[tuple[str, str], str]
_MOST_NESTED_BUILDS = 6
"""A build may require a package that must be built, and so on; nobody's chain is longer who does not go in a circle."""


@dataclass(frozen=True, slots=True)
class PythonResolver:
    """Asks uv on this machine; its cache lies in the store's folder. ``http`` brings what wheels are built from."""

    store: Store
    environment: Mapping[str, str]
    events: EventSink
    http: HttpClient

    def settings(self) -> IndexSettings:
        """The indexes that this machine's pip and uv are set up with; they may hold credentials."""
        home = Path(self.environment.get("HOME") or "/nonexistent")
        return read_index_settings(self.environment, home=home, prefix=Path(sys.prefix))

    def resolve(
        self,
        asks: PipAsks,
        target: PythonTarget,
        *,
        folder: Path,
        folder_in_image: str,
        options: BuildOptions,
        root: "StepRoot | None" = None,
        builds: bool = True,
        provided: Mapping[str, str] = MappingProxyType({}),
    ) -> PipResolution:
        """The packages of these asks and of the environment itself (pip) for ``target``.

        ``provided`` are versions, by name, that a conda environment has already.
        Sources are built in ``root``. Without one, or without ``builds``, those whose wheel the store does not hold are
        left in ``missing`` of the answer, which then is not final. Of this machine's environment nothing may fill
        ``${NAME}`` in requirements files, for these are somebody else's and could send what it holds to an index of
        theirs: only the variables that the user gives the image do. Raises what
        :func:`ocibuild.ecosystem.pip.resolve.resolve` raises, and a BuildError with the backend's own words where a
        build fails.
        """
        asks = _complete(asks, target, options)
        settings = self.settings()

        def ask(built: "Mapping[str, BuiltWheel]", unsuitable: _Unsuitable) -> PipResolution:
            return self._asked(
                asks,
                target,
                settings,
                built,
                unsuitable,
                folder=folder,
                folder_in_image=folder_in_image,
                options=options,
                provided=provided,
            )

        found = ask({}, {})
        if not found.missing or root is None:
            return found
        # Imported here: most builds have no source to build.
        from ocibuild.work.python_wheels import resolve_with_builds  # noqa: PLC0415 - see above

        maker = _Builds(self, asks, settings, target, root, folder, folder_in_image, options).maker(depth=0)
        return resolve_with_builds(ask, maker.wheel if builds else maker.known, first=found)

    def _asked(
        self,
        asks: PipAsks,
        target: PythonTarget,
        settings: IndexSettings,
        built: "Mapping[str, BuiltWheel]",
        unsuitable: _Unsuitable,
        *,
        folder: Path,
        folder_in_image: str,
        options: BuildOptions,
        provided: Mapping[str, str] = MappingProxyType({}),
    ) -> PipResolution:
        return resolve(
            asks,
            target,
            settings,
            folder=folder,
            cache_folder=self.store.folder / "uv",
            environment=self.environment,
            variables=options.environment,
            exclude_newer=options.as_of.isoformat() if options.as_of else None,
            folder_in_image=folder_in_image,
            provided=provided,
            replaces_provided=options.pip_overrides,
            built=built,
            unsuitable=unsuitable,
            tell=self.events,
        )

    def locate(
        self,
        packages: Sequence[LockedPackage],
        asks: PipAsks,
        target: PythonTarget,
        *,
        folder: Path,
        options: BuildOptions,
    ) -> PipResolution:
        """Where the indexes of this machine and of these asks have locked packages (:func:`.locate.locate`)."""
        return locate(
            packages,
            target,
            self.settings(),
            folder=folder,
            cache_folder=self.store.folder / "uv",
            environment=self.environment,
            asks=_complete(asks, target, options),
            variables=options.environment,
        )

    def rebuilt(
        self,
        packages: Sequence[LockedPackage],
        asks: PipAsks,
        target: PythonTarget,
        *,
        folder: Path,
        folder_in_image: str,
        options: BuildOptions,
        root: "StepRoot | None",
    ) -> tuple[LockedPackage, ...]:
        """The packages of a lock, with the wheels of those that are built in the store (:mod:`.python_rebuilds`).

        Without a ``root`` only a wheel that the store holds can be used: a MachineError names the others.
        """
        built = [package for package in packages if is_built(package)]
        if all(self.is_current(package, folder) for package in built):
            return tuple(packages)
        # Imported here: most locks have no built package, or the store has its wheel.
        from ocibuild.ecosystem.pip.requirements_file import read_requirements  # noqa: PLC0415 - see above
        from ocibuild.work.python_rebuilds import LockedWheels  # noqa: PLC0415 - see above

        if root is None:
            raise _unbuildable([package.identity for package in built], target)
        complete = _complete(asks, target, options)
        builds = _Builds(self, complete, self.settings(), target, root, folder, folder_in_image, options)
        wheels = LockedWheels(
            locate=lambda wanted: self.locate(wanted, asks, target, folder=folder, options=options),
            maker=builds.maker_with,
            requirements=read_requirements(complete, folder=folder, variables=options.environment),
            events=self.events,
        )
        return wheels.rebuilt(packages)

    def is_current(self, package: LockedPackage, folder: Path) -> bool:
        """Whether the store has the wheel of a built package, and what of the repository it is made of is the same.

        True of every other package that is no file of the repository.
        """
        if package.source == "file":
            path = folder / unquote(package.path)
            is_folder = package.fields.get("built_from") == "folder"
            try:
                digest = read_folder(path, records=self.store.records).digest if is_folder else _digest_of(path)
            except OSError:
                return False
            if digest != package.digest:
                return False
        return not is_built(package) or body_digest(package) in self.store.blobs


@dataclass(frozen=True, slots=True)
class _Builds:
    """Makers of wheels for one resolution: those of its sources, and those of what their builds require."""

    resolver: PythonResolver
    asks: PipAsks
    settings: IndexSettings
    target: PythonTarget
    root: "StepRoot"
    folder: Path
    folder_in_image: str
    options: BuildOptions

    def maker(self, *, depth: int) -> "WheelMaker":
        """A maker whose build environments are resolved, wheels for them built likewise."""
        return self.maker_with(self._requirements(depth))

    def maker_with(self, resolve_requirements: "Callable[[PipAsks], PipResolution]") -> "WheelMaker":
        """A maker whose build environments this function gives."""
        from ocibuild.work.python_sources import PythonSources  # noqa: PLC0415 - see above
        from ocibuild.work.python_wheels import WheelMaker  # noqa: PLC0415 - see above

        resolver = self.resolver
        return WheelMaker(
            store=resolver.store,
            sources=PythonSources(resolver.store, resolver.http, resolver.environment, resolver.events, self.folder),
            root=self.root,
            target=self.target,
            resolve=resolve_requirements,
            bodies=self._bodies,
            events=resolver.events,
            repository_in_image=self.folder_in_image,
        )

    def _requirements(self, depth: int) -> "Callable[[PipAsks], PipResolution]":
        """Resolving what a build requires: from the same indexes, but with none of the image's constraints and hashes.

        As with pip 26.3, whose ``--build-constraint`` is another option than ``--constraint``.
        """
        from ocibuild.ecosystem.pip.question import merged  # noqa: PLC0415 - see above
        from ocibuild.ecosystem.pip.requirements_file import read_requirements  # noqa: PLC0415 - see above
        from ocibuild.work.python_wheels import resolve_with_builds  # noqa: PLC0415 - see above

        own = read_requirements(self.asks, folder=self.folder, variables=self.options.environment)
        settings = dataclasses.replace(
            merged(self.settings, own), constraints=(), require_hashes=False, formats=Formats()
        )

        def resolved(asks: PipAsks) -> PipResolution:
            def ask(built: "Mapping[str, BuiltWheel]", unsuitable: _Unsuitable) -> PipResolution:
                return self.resolver._asked(  # noqa: SLF001 - one conductor in two classes
                    asks,
                    self.target,
                    settings,
                    built,
                    unsuitable,
                    folder=self.folder,
                    folder_in_image="",
                    options=self.options,
                )

            def build(source: PythonSource) -> "BuiltWheel":
                if depth >= _MOST_NESTED_BUILDS:
                    raise BuildError(
                        f"{asks.requirements[0][1]} requires {source}, which must be built itself, and so on",
                        hint="the packages require each other to be built: ask for versions that have wheels",
                    )
                return self.maker(depth=depth + 1).wheel(source)

            return resolve_with_builds(ask, build)

        return resolved

    def _bodies(self, found: PipResolution) -> Mapping[str, Path]:
        from ocibuild.work.bodies import PackageBodies  # noqa: PLC0415 - see above

        resolver = self.resolver
        with PackageBodies(resolver.store, found.addresses, http=resolver.http, events=resolver.events) as bodies:
            bodies.fetch_ahead(found.packages)
            return {package.name: bodies.path(package) for package in found.packages}


def unbuildable(sources: Sequence[PythonSource], target: PythonTarget) -> MachineError:
    """The error where sources must be built, and this machine cannot run anything in the image's root."""
    return _unbuildable(
        [f"{source} ({', '.join(source.why)})" if source.why else str(source) for source in sources], target
    )


def _unbuildable(names: Sequence[str], target: PythonTarget) -> MachineError:
    return MachineError(
        f"no wheel for {target.description}: {', '.join(names)}; it must be built from source in the image's root, "
        "which this machine cannot do",
        hint="'ocibuild doctor' says what would allow it; or ask for a version that has a wheel (--prefer-binary in "
        "requirements.txt takes the newest that has one), or put a wheel into the repository",
    )


def _digest_of(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest.of(iter(lambda: file.read(1 << 20), b""))


def _complete(asks: PipAsks, target: PythonTarget, options: BuildOptions) -> PipAsks:
    """The asks with what the environment itself needs; options of ocibuild.toml count as a file that is read first."""
    lines = "".join(f"{line}\n" for line in options.pip_options)
    files = (RequirementsFile("ocibuild.toml", lines), *asks.files) if lines else asks.files
    return dataclasses.replace(asks, files=files, requirements=(*asks.requirements, *seed_requirements(target)))
