"""Resolving what a repository asks of pip, with this machine's settings."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.events import EventSink
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.configuration import IndexSettings, read_index_settings
from ocibuild.ecosystem.pip.locate import locate
from ocibuild.ecosystem.pip.prefix import seed_requirements
from ocibuild.ecosystem.pip.resolve import PipResolution, resolve
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store

__all__ = ["PythonResolver"]


@dataclass(frozen=True, slots=True)
class PythonResolver:
    """Asks uv on this machine; its cache lies in the store's folder."""

    store: Store
    environment: Mapping[str, str]
    events: EventSink

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
    ) -> PipResolution:
        """The packages of these asks and of the environment itself (pip) for ``target``.

        Of this machine's environment nothing may fill ``${NAME}`` in requirements files, for these are somebody else's
        and could send what it holds to an index of theirs: only the variables that the user gives the image do. Raises
        what :func:`ocibuild.ecosystem.pip.resolve.resolve` raises.
        """
        return resolve(
            _complete(asks, target, options),
            target,
            self.settings(),
            folder=folder,
            cache_folder=self.store.folder / "uv",
            environment=self.environment,
            variables=options.environment,
            exclude_newer=options.as_of.isoformat() if options.as_of else None,
            folder_in_image=folder_in_image,
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


def _complete(asks: PipAsks, target: PythonTarget, options: BuildOptions) -> PipAsks:
    """The asks with what the environment itself needs; options of ocibuild.toml count as a file that is read first."""
    lines = "".join(f"{line}\n" for line in options.pip_options)
    files = (RequirementsFile("ocibuild.toml", lines), *asks.files) if lines else asks.files
    return PipAsks(files, asks.included, (*asks.requirements, *seed_requirements(target)))
