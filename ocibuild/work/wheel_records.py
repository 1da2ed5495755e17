"""Built wheels in the store: found again by all that they depend on."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, UsageError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.built import (
    BuiltWheel,
    UnsuitableSourceError,
    WheelMetadata,
    check_requires_python,
    read_wheel_metadata,
    write_normalised,
)
from ocibuild.ecosystem.pip.source import PythonSource, is_built
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.store.store import Store
from ocibuild.work.python_sources import SourceIdentity
from ocibuild.work.recall import state_key

__all__ = ["WheelRecords"]

_KIND = "python-wheel-1"


@dataclass(frozen=True, slots=True)
class WheelRecords:
    """The wheels for one Python in one root.

    A pure wheel depends on its source and the Python; a compiled one also on ``root_key``, with whose headers and
    libraries it was made, and on the image's ``environment``. ``places`` are paths that a build writes down.
    """

    store: Store
    target: PythonTarget
    root_key: str
    environment: Mapping[str, str]
    places: tuple[str, ...]

    def known(self, source: PythonSource, identity: SourceIdentity) -> BuiltWheel | None:
        """The wheel of this source, if the store has it.

        An UnsuitableSourceError where it is a version of an index, and not for this Python.
        """
        for key in self._keys(source, identity, is_pure=True):
            value: Any = self.store.records.get(_KIND, key)
            if not isinstance(value, dict):
                continue
            try:
                wheel = Digest.sha256(value["wheel"])
                changes = Digest.sha256(value["changes"]) if value["changes"] else None
            except (KeyError, UsageError):  # damaged: it is built again
                continue
            size_bytes = self.store.blobs.size_bytes(wheel)
            if size_bytes is None or (changes is not None and changes not in self.store.blobs):
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
                source_digest=identity.digest,
                commit=identity.commit if source.url else "",
                built_with=str(value["built_with"]),
                changes=changes,
            )
        return None

    def put(
        self,
        source: PythonSource,
        identity: SourceIdentity,
        wheel: Path,
        packages: Sequence[LockedPackage],
        *,
        scratch: Path,
        changes: Digest | None = None,
    ) -> BuiltWheel:
        """Put a wheel into the store in its normal form, and remember what it was made of.

        ``packages`` are of its build environment; ``scratch`` is a folder where no code of the build could write. A
        BuildError where the wheel is not of what was asked for.
        """
        normal = scratch / "normal.whl"
        with normal.open("xb") as file:
            write_normalised(wheel, file, file_name=wheel.name)
        metadata = read_wheel_metadata(normal, file_name=wheel.name, where=str(source))
        _check_identity(source, metadata)
        if not parse_wheel_filename(wheel.name)[3] & set(self.target.tags()):
            raise BuildError(f"{source}: its build made {wheel.name}, which is not for {self.target.description}")
        with normal.open("rb") as reader, self.store.blobs.writer(where=wheel.name) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        value = {
            "wheel": writer.digest.hex,
            "file_name": wheel.name,
            "built_with": json.dumps([_recorded(package) for package in packages], sort_keys=True),
            "changes": changes.hex if changes else "",
            "is_of_index": source.is_of_index,
        }
        for key in self._keys(source, identity, is_pure="none-any" in wheel.name):
            self.store.records.put(_KIND, key, value)
        found = self.known(source, identity)
        if found is None:
            raise BuildError(f"{source}: the wheel that was just built is not in the store any more")
        return found

    def _keys(self, source: PythonSource, identity: SourceIdentity, *, is_pure: bool) -> list[str]:
        target = self.target
        facts = [target.version, str(target.platform), target.libc.kind, target.libc.major, target.libc.minor]
        how = [str(identity.digest), identity.commit, source.subdirectory, source.is_editable, source.settings]
        how += [*self.places] if source.is_editable else [self.places[0]]
        keys = [state_key("pure", how, facts)] if is_pure else []
        return [*keys, state_key("compiled", how, facts, self.root_key, sorted(self.environment.items()))]


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
