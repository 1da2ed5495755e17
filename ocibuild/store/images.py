"""The images that a store holds, by name."""

from collections.abc import Iterator
from dataclasses import dataclass

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.store.records import RecordStore

__all__ = ["ImageNames", "NamedImage"]

_KIND = "image"


@dataclass(frozen=True, slots=True)
class NamedImage:
    """A name and the manifest or index that it stands for."""

    name: str
    descriptor: Descriptor


class ImageNames:
    """Names of images kept as records. A name is written last, when all that it points at is in the store."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    def get(self, name: str) -> Descriptor | None:
        """What the name stands for, or None."""
        return self._read(Digest.of(name.encode()).hex, name)

    def put(self, name: str, descriptor: Descriptor) -> None:
        """Let the name stand for this manifest or index."""
        key = Digest.of(name.encode()).hex
        now, before = self.get(name), self.previous(name)
        if now is not None and now.digest != descriptor.digest:
            before = now
        value = {"name": name, "descriptor": descriptor.to_json()}
        self._records.put(_KIND, key, value | ({"before": before.to_json()} if before is not None else {}))

    def previous(self, name: str) -> Descriptor | None:
        """What the name stood for before it stood for something else, or None."""
        value = self._records.get(_KIND, Digest.of(name.encode()).hex)
        before = value.get("before") if isinstance(value, dict) and value.get("name") == name else None
        try:
            return None if before is None else Descriptor.from_json(before, where="a name in the store")
        except ImageError:
            return None

    def remove(self, name: str) -> None:
        """Forget the name."""
        self._records.remove(_KIND, Digest.of(name.encode()).hex)

    def all(self) -> Iterator[NamedImage]:
        """All names with what they stand for, in no order."""
        for key in self._records.keys(_KIND):
            value = self._records.get(_KIND, key)
            descriptor = self._read(key, None)
            if descriptor is not None:
                yield NamedImage(value["name"], descriptor)

    def _read(self, key: str, name: str | None) -> Descriptor | None:
        value = self._records.get(_KIND, key)
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            return None
        if name is not None and value["name"] != name:
            return None
        try:
            return Descriptor.from_json(value.get("descriptor"), where="a name in the store")
        except ImageError:
            return None
