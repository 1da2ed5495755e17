"""Wheels of source packages: built once in the image's root, kept in the store, offered to the next resolve.

:class:`WheelMaker` makes one wheel; :func:`resolve_with_builds` asks, builds what is missing, and asks again.
"""

import posixpath
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ocibuild.core.asks import Origin, PipAsks
from ocibuild.core.atomic import PARTIAL_PREFIX, map_os_error
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, MachineError
from ocibuild.core.events import EventSink, TaskFinished, TaskStarted
from ocibuild.core.package import LockedPackage
from ocibuild.core.step import Step
from ocibuild.ecosystem.pip.build_system import BuildSystem, read_build_system
from ocibuild.ecosystem.pip.built import BuiltWheel, UnsuitableSourceError, check_requires_python, requires_python_of
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.pip.wheel_build import (
    BUILD_FOLDER,
    ENVIRONMENT,
    SOURCE,
    BuildAnswer,
    build_failure,
    read_answer,
    wheel_step,
    write_request,
)
from ocibuild.sandbox.execution import Mount
from ocibuild.source.folder import read_folder
from ocibuild.store.store import Store
from ocibuild.work.build_environment import write_environment
from ocibuild.work.editable import store_changes
from ocibuild.work.python_sources import FetchedSource, PythonSources, keep_no_address
from ocibuild.work.step_log import StepLog
from ocibuild.work.wheel_records import WheelRecords

__all__ = ["StepRoot", "WheelMaker", "resolve_with_builds"]

_MOST_ROUNDS = 40
"""Rounds of resolving, each of which builds what the one before it found missing: a chain of dependencies, each known
only when the one before is built, is as long as this at most."""
_MOST_REQUIREMENT_ROUNDS = 8
_MOST_OUTPUT_BYTES = 1 << 20


class StepRoot(Protocol):
    """A root file system of the base, its Debian packages and nothing of pip, in which builds run.

    It is asked to run only what the store does not hold the result of, so it may prepare itself when it is first asked.
    """

    @property
    def key(self) -> str:
        """Equal for roots of equal content: of the base and the Debian packages, known without preparing."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What the image sets, which a build sees too."""
        ...

    def run(self, step: Step, mounts: Sequence[Mount], output: Callable[[bytes], None]) -> int:
        """Run the step with these folders mounted, tell what it says, and return its exit code.

        The folders' places are made in the root where they are missing. What the step changes elsewhere in the root is
        lost: nothing of it may be seen by a later step.
        """
        ...


Resolve = Callable[[PipAsks], PipResolution]
Ask = Callable[[Mapping[str, BuiltWheel], Mapping[tuple[str, str], str]], PipResolution]
"""Resolve with these wheels, by the keys of their sources, and without these versions of names, for these reasons."""
Build = Callable[[PythonSource], BuiltWheel | None]
"""Gives the wheel of a source, or None where it is not to be built now."""


@dataclass(frozen=True, slots=True)
class WheelMaker:
    """Makes wheels for one Python in one root.

    ``resolve`` finds what a build requires, its own source packages built likewise; ``bodies`` brings the files of a
    resolution's packages here. ``repository_in_image`` is where the repository will be; ``build_folder`` where a build
    sees its files.
    """

    store: Store
    sources: PythonSources
    root: StepRoot
    target: PythonTarget
    resolve: Resolve
    bodies: Callable[[PipResolution], Mapping[str, Path]]
    events: EventSink
    repository_in_image: str = ""
    build_folder: str = BUILD_FOLDER

    def wheel(self, source: PythonSource, *, expected: Digest | None = None) -> BuiltWheel:
        """The wheel of this source, from the store or built.

        With ``expected``, a wheel of the store that is another is built again. A BuildError shows the end of what the
        backend said. What fetching raises comes through.
        """
        known = self.known(source)
        if known is not None and expected in (None, known.digest):
            return known
        # In the store and not in /tmp, which may be small, or mounted so that nothing in it can be executed.
        self.store.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=self.store.folder) as scratch:
            place = Path(scratch)
            (place / "fetched").mkdir()
            fetched = self.sources.fetch(source, place / "fetched")
            known = self._records().known(source, fetched.identity)
            if known is not None and expected in (None, known.digest):
                return known
            if source.is_of_index and fetched.package_info:
                check_requires_python(source, requires_python_of(fetched.package_info), self.target.version)
            self.events(TaskStarted(f"wheel {source.key}", "building", f"{source}"))
            made = self._built(source, fetched, place)
            self.events(TaskFinished(f"wheel {source.key}"))
            return made

    def known(self, source: PythonSource) -> BuiltWheel | None:
        """The wheel of this source if the store has it and that is known without fetching the source."""
        identity = self.sources.identity(source)
        return self._records().known(source, identity) if identity is not None else None

    def _records(self) -> WheelRecords:
        places = (self.build_folder, self.repository_in_image)
        return WheelRecords(self.store, self.target, self.root.key, self.root.environment, places)

    def _built(self, source: PythonSource, fetched: FetchedSource, scratch: Path) -> BuiltWheel:
        """Build with what pyproject.toml requires, and again with what the backend asks for besides."""
        system = read_build_system(fetched.pyproject, where=str(source))
        requires: tuple[str, ...] = system.requires
        for _ in range(_MOST_REQUIREMENT_ROUNDS):
            folder, project = scratch / "build", scratch / "project"
            for old in (folder, project):
                shutil.rmtree(old, ignore_errors=True)
            folder.mkdir()
            packages = self._environment(source, requires, folder)
            self._put_source(source, fetched, project if source.is_editable else folder / SOURCE)
            answer = self._run(source, fetched, system, requires, folder, project)
            if answer.wheel is not None:
                changes = self._changes(source, fetched, project) if source.is_editable else None
                return self._records().put(
                    source, fetched.identity, answer.wheel, packages, scratch=scratch, changes=changes
                )
            requires = (*requires, *answer.requires)
        raise BuildError(f"building a wheel of {source}: its backend asks for more packages again and again")

    def _environment(self, source: PythonSource, requires: tuple[str, ...], folder: Path) -> tuple[LockedPackage, ...]:
        origin = Origin(f"the build of {source}")
        found = self.resolve(PipAsks(requirements=tuple((each, origin) for each in requires)))
        bodies = self.bodies(found)
        prefix = f"{self.build_folder.lstrip('/')}/{ENVIRONMENT}"
        write_environment(folder / ENVIRONMENT, found.packages, bodies, target=self.target, prefix=prefix)
        return found.packages

    def _put_source(self, source: PythonSource, fetched: FetchedSource, place: Path) -> None:
        """The source where the build works on it: the folder itself, or the archive that is unpacked into it there."""
        try:
            if fetched.archive is not None:
                place.mkdir()
                shutil.copyfile(fetched.archive, place.with_name(fetched.archive_name))
            elif fetched.folder is not None:
                left_out = shutil.ignore_patterns(*(() if fetched.has_history else (".git",)), ".hg")
                shutil.copytree(fetched.folder, place, symlinks=True, ignore=left_out)
            if fetched.has_history:
                keep_no_address(place / ".git")
        except OSError as error:
            raise map_os_error(error, attempted=f"copying the source of {source}") from error

    def _run(
        self,
        source: PythonSource,
        fetched: FetchedSource,
        system: BuildSystem,
        requires: tuple[str, ...],
        folder: Path,
        project: Path,
    ) -> BuildAnswer:
        place = self._editable_place(source)
        write_request(
            folder,
            source,
            system,
            requires=requires,
            archive=fetched.archive_name,
            source_in_image=place,
            build_folder=self.build_folder,
        )
        mounts = [Mount(folder, self.build_folder, writable=True)]
        mounts += [Mount(project, place, writable=True)] if place else []
        said = bytearray()
        step = wheel_step(source, self.target, environment=self.root.environment, build_folder=self.build_folder)
        with StepLog(self.store.folder / "logs", step.name, self.events) as log:

            def keep(data: bytes) -> None:
                log.write(data)
                said.extend(data)
                del said[:-_MOST_OUTPUT_BYTES]

            exit_code = self.root.run(step, mounts, keep)
        if exit_code:
            raise build_failure(source, exit_code, said.decode("utf-8", "replace"), log=log.path)
        return read_answer(folder, source)

    def _editable_place(self, source: PythonSource) -> str:
        """Where a project is in the image that is installed from there; empty for all others."""
        if not source.is_editable:
            return ""
        if source.kind is not SourceKind.FOLDER or not self.repository_in_image:
            raise MachineError(
                f"{source}: only a folder of the repository can be editable",
                hint="leave out -e: the project is then installed like any other",
            )
        return posixpath.normpath(f"{self.repository_in_image}/{source.local_path}")

    def _changes(self, source: PythonSource, fetched: FetchedSource, project: Path) -> Digest | None:
        before = read_folder(fetched.folder or project, records=self.store.records)
        return store_changes(before, project, self.store, local_path=source.local_path)


def resolve_with_builds(ask: Ask, build: Build, *, first: PipResolution | None = None) -> PipResolution:
    """Ask until nothing is missing, building what is; ``first`` is what it answered without any wheel, where known.

    What is not built now stays ``missing`` in the answer. A source that cannot be built is an error only if it is asked
    for again when the others are built: what they depend on may have made it needless. An unsuitable version is not
    taken.
    """
    built: dict[str, BuiltWheel] = {}
    unsuitable: dict[tuple[str, str], str] = {}
    failed: dict[str, BuildError] = {}
    for _ in range(_MOST_ROUNDS):
        found = first if first is not None and not built and not unsuitable else ask(built, unsuitable)
        if not found.missing:
            return found
        before = len(built) + len(unsuitable)
        for source in found.missing:
            if source.key in failed:
                raise failed[source.key]
            try:
                wheel = build(source)
                if wheel is not None:
                    built[source.key] = wheel
            except UnsuitableSourceError as error:
                unsuitable[source.name, source.version] = error.message
            except BuildError as error:
                failed[source.key] = error
        if len(built) + len(unsuitable) == before:
            if failed:
                raise next(iter(failed.values()))
            return found
    raise BuildError(f"resolving still finds source packages to build after {_MOST_ROUNDS} rounds")
