"""Wheels of source packages: built once in the image's root, kept in the store, offered to the next resolve.

:class:`WheelMaker` makes one wheel; :func:`resolve_with_builds` asks, builds what is missing, and asks again.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from packaging.version import Version

from ocibuild.core.asks import Origin, PipAsks
from ocibuild.core.atomic import map_os_error
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.events import EventSink, TaskFinished, TaskStarted
from ocibuild.core.package import LockedPackage
from ocibuild.core.step import Step
from ocibuild.ecosystem.pip.build_system import BuildSystem, read_build_system
from ocibuild.ecosystem.pip.built import (
    BuiltWheel,
    UnsuitableSourceError,
    WheelMetadata,
    check_requires_python,
    read_wheel_metadata,
    requires_python_of,
    write_normalised,
)
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.ecosystem.pip.source import PythonSource, is_built
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
from ocibuild.store.store import Store
from ocibuild.work.build_environment import write_environment
from ocibuild.work.python_sources import FetchedSource, PythonSources
from ocibuild.work.recall import state_key

__all__ = ["StepRoot", "WheelMaker", "resolve_with_builds"]

_KIND = "python-wheel-1"
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

    def run(self, step: Step, mounts: Sequence[Mount], output: Callable[[bytes], None]) -> int:
        """Run the step with these folders mounted, tell what it says, and return its exit code."""
        ...


Resolve = Callable[[PipAsks], PipResolution]
Ask = Callable[[Mapping[str, BuiltWheel], Mapping[tuple[str, str], str]], PipResolution]
"""Resolve with these wheels, by the keys of their sources, and without these versions of names, for these reasons."""
Build = Callable[[PythonSource], BuiltWheel]


@dataclass(frozen=True, slots=True)
class WheelMaker:
    """Makes wheels for one Python in one root.

    ``resolve`` finds what a build requires, its own source packages built likewise; ``bodies`` brings the files of a
    resolution's packages here. ``environment`` is what the image sets. ``build_folder`` is where a build sees its
    files.
    """

    store: Store
    sources: PythonSources
    root: StepRoot
    target: PythonTarget
    resolve: Resolve
    bodies: Callable[[PipResolution], Mapping[str, Path]]
    environment: Mapping[str, str]
    events: EventSink
    build_folder: str = BUILD_FOLDER

    def wheel(self, source: PythonSource, *, expected: Digest | None = None) -> BuiltWheel:
        """The wheel of this source, from the store or built.

        With ``expected``, a wheel of the store that is another is built again. A BuildError shows the end of what the
        backend said. What fetching raises comes through.
        """
        digest = self.sources.known_digest(source)
        known = self._known(source, digest, "") if digest is not None else None
        if known is not None and expected in (None, known.digest):
            return known
        with tempfile.TemporaryDirectory(prefix="ocibuild-wheel-") as scratch:
            place = Path(scratch)
            (place / "fetched").mkdir()
            fetched = self.sources.fetch(source, place / "fetched")
            known = self._known(source, fetched.digest, fetched.commit)
            if known is not None and expected in (None, known.digest):
                return known
            if source.is_of_index and fetched.package_info:
                check_requires_python(source, requires_python_of(fetched.package_info), self.target.version)
            self.events(TaskStarted(f"wheel {source.key}", "building", f"{source}"))
            made = self._built(source, fetched, place)
            self.events(TaskFinished(f"wheel {source.key}"))
            return made

    # Building.

    def _built(self, source: PythonSource, fetched: FetchedSource, scratch: Path) -> BuiltWheel:
        system = read_build_system(fetched.pyproject, where=str(source))
        folder = scratch / "build"
        requires: tuple[str, ...] = system.requires
        for _ in range(_MOST_REQUIREMENT_ROUNDS):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            packages = self._environment(source, requires, folder)
            answer = self._run(source, fetched, system, requires, folder)
            if answer.wheel is not None:
                return self._stored(source, fetched, answer.wheel, packages, scratch)
            requires = (*requires, *answer.requires)
        raise BuildError(f"building a wheel of {source}: its backend asks for more packages again and again")

    def _environment(self, source: PythonSource, requires: tuple[str, ...], folder: Path) -> tuple[LockedPackage, ...]:
        origin = Origin(f"the build of {source}")
        found = self.resolve(PipAsks(requirements=tuple((each, origin) for each in requires)))
        bodies = self.bodies(found)
        prefix = f"{self.build_folder.lstrip('/')}/{ENVIRONMENT}"
        write_environment(folder / ENVIRONMENT, found.packages, bodies, target=self.target, prefix=prefix)
        return found.packages

    def _run(
        self,
        source: PythonSource,
        fetched: FetchedSource,
        system: BuildSystem,
        requires: tuple[str, ...],
        folder: Path,
    ) -> BuildAnswer:
        try:
            if fetched.archive is not None:
                (folder / SOURCE).mkdir()
                shutil.copyfile(fetched.archive, folder / fetched.archive_name)
            elif fetched.folder is not None:
                shutil.copytree(fetched.folder, folder / SOURCE, symlinks=True, ignore=_left_out)
        except OSError as error:
            raise map_os_error(error, attempted=f"copying the source of {source}") from error
        write_request(
            folder, source, system, requires=requires, archive=fetched.archive_name, build_folder=self.build_folder
        )
        said = bytearray()

        def keep(data: bytes) -> None:
            said.extend(data)
            del said[:-_MOST_OUTPUT_BYTES]

        step = wheel_step(source, self.target, environment=self.environment, build_folder=self.build_folder)
        exit_code = self.root.run(step, (Mount(folder, self.build_folder, writable=True),), keep)
        if exit_code:
            raise build_failure(source, exit_code, said.decode("utf-8", "replace"))
        return read_answer(folder, source)

    def _stored(
        self,
        source: PythonSource,
        fetched: FetchedSource,
        wheel: Path,
        packages: tuple[LockedPackage, ...],
        scratch: Path,
    ) -> BuiltWheel:
        """Put the wheel into the store in its normal form, and remember what it was made of."""
        normal = scratch / "normal.whl"  # where no code of the build can write
        with normal.open("xb") as file:
            write_normalised(wheel, file, file_name=wheel.name)
        metadata = read_wheel_metadata(normal, file_name=wheel.name, where=str(source))
        _check_identity(source, metadata)
        with normal.open("rb") as reader, self.store.blobs.writer(where=wheel.name) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        value = {
            "wheel": writer.digest.hex,
            "file_name": wheel.name,
            "built_with": json.dumps([_recorded(package) for package in packages], sort_keys=True),
            "commit": fetched.commit,
        }
        for key in self._keys(source, fetched.digest, fetched.commit, is_pure="none-any" in wheel.name):
            self.store.records.put(_KIND, key, value)
        found = self._known(source, fetched.digest, fetched.commit)
        if found is None:
            raise BuildError(f"{source}: the wheel that was just built is not in the store")
        return found

    # Remembering.

    def _keys(self, source: PythonSource, digest: Digest, commit: str, *, is_pure: bool) -> list[str]:
        """What the wheel depends on; what is compiled also on the root, with whose headers and libraries it was."""
        target = self.target
        facts = [target.version, str(target.platform), target.libc.kind, target.libc.major, target.libc.minor]
        how = [str(digest), commit, source.subdirectory, source.is_editable, source.settings, self.build_folder]
        keys = [state_key("pure", how, facts)] if is_pure else []
        return [*keys, state_key("compiled", how, facts, self.root.key, sorted(self.environment.items()))]

    def _known(self, source: PythonSource, digest: Digest, commit: str) -> BuiltWheel | None:
        for key in self._keys(source, digest, commit, is_pure=True):
            value: Any = self.store.records.get(_KIND, key)
            if not isinstance(value, dict):
                continue
            wheel = Digest.sha256(value["wheel"])
            size_bytes = self.store.blobs.size_bytes(wheel)
            if size_bytes is None:
                continue
            path, name = self.store.blobs.path(wheel), str(value["file_name"])
            metadata = read_wheel_metadata(path, file_name=name, where=str(source))
            if source.is_of_index:
                check_requires_python(source, metadata.requires_python, self.target.version)
            return BuiltWheel(
                source=source,
                file_name=name,
                path=path,
                digest=wheel,
                size_bytes=size_bytes,
                metadata=metadata,
                source_digest=digest,
                commit=str(value["commit"]),
                built_with=str(value["built_with"]),
            )
        return None


def resolve_with_builds(ask: Ask, build: Build, *, first: PipResolution | None = None) -> PipResolution:
    """Ask until nothing is missing, building what is; ``first`` is what it answered without any wheel, where known.

    A source that cannot be built is an error only if it is asked for again when the others are built: what they depend
    on may have made it needless. An unsuitable version is not taken.
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
                built[source.key] = build(source)
            except UnsuitableSourceError as error:
                unsuitable[source.name, source.version] = error.message
            except BuildError as error:
                failed[source.key] = error
        if len(built) + len(unsuitable) == before:
            raise next(iter(failed.values()))
    raise BuildError(f"resolving still finds source packages to build after {_MOST_ROUNDS} rounds")


def _check_identity(source: PythonSource, metadata: WheelMetadata) -> None:
    """The wheel must be of what was asked for; a version of an index that is another is passed over, as pip does."""
    same_name = source.name in ("", metadata.name)
    if same_name and (not source.version or Version(source.version) == Version(metadata.version)):
        return
    kind = UnsuitableSourceError if source.is_of_index else BuildError
    raise kind(f"{source}: its build made a wheel of {metadata.name} {metadata.version}")


def _recorded(package: LockedPackage) -> dict[str, Any]:
    """A package of a build environment, as the lock keeps it: enough to find the same file, or build it, again."""
    facts: dict[str, Any] = {"name": package.name, "version": package.version, "sha256": package.digest.hex}
    if is_built(package):
        facts |= {"source": package.source, "path": package.path, "fields": dict(package.fields)}
    return facts


def _left_out(_folder: str, names: list[str]) -> set[str]:
    return {".hg"} & set(names)
