"""Resolving what a repository asks of pip, with this machine's settings."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.events import EventSink
from ocibuild.ecosystem.pip.configuration import read_index_settings
from ocibuild.ecosystem.pip.prefix import seed_requirements
from ocibuild.ecosystem.pip.resolve import PipResolution, resolve
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.store.store import Store

__all__ = ["PythonResolver"]


@dataclass(frozen=True, slots=True)
class PythonResolver:
    """Asks uv on this machine; its cache lies in the store's folder."""

    store: Store
    environment: Mapping[str, str]
    events: EventSink

    def resolve(
        self,
        asks: PipAsks,
        target: PythonTarget,
        *,
        folder: Path,
        folder_in_image: str,
        options: tuple[str, ...],
        as_of: date | None,
    ) -> PipResolution:
        """The packages of these asks and of the environment itself (pip) for ``target``.

        ``options`` are lines that a requirements file could hold (``--index-url``). Raises what
        :func:`ocibuild.ecosystem.pip.resolve.resolve` raises.
        """
        # Options of ocibuild.toml count as a requirements file of their own, read first.
        lines = "".join(f"{line}\n" for line in options)
        files = (RequirementsFile("ocibuild.toml", lines), *asks.files) if options else asks.files
        asks = PipAsks(files, asks.included, (*asks.requirements, *seed_requirements(target)))
        home = Path(self.environment.get("HOME") or "/nonexistent")
        return resolve(
            asks,
            target,
            read_index_settings(self.environment, home=home, prefix=Path(sys.prefix)),
            folder=folder,
            cache_folder=self.store.folder / "uv",
            environment=self.environment,
            variables=self.environment,
            exclude_newer=as_of.isoformat() if as_of else None,
            folder_in_image=folder_in_image,
            tell=self.events,
        )
