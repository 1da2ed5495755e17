"""The store as a whole."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.digest import Digest
from ocibuild.core.turns import turn
from ocibuild.store.blobs import BlobStore
from ocibuild.store.elsewhere import ElsewhereBlob
from ocibuild.store.images import ImageNames
from ocibuild.store.location import store_folder
from ocibuild.store.records import RecordStore

__all__ = ["Store"]


@dataclass(frozen=True, slots=True)
class Store:
    """Blobs, records and named images under one folder; ``notice`` says where it is when that may surprise."""

    folder: Path
    blobs: BlobStore
    records: RecordStore
    images: ImageNames
    notice: str | None = None

    @classmethod
    def at(cls, folder: Path, *, notice: str | None = None) -> "Store":
        """The store in this folder; nothing is made before something is written."""
        records = RecordStore(folder / "records")
        return cls(folder, BlobStore(folder / "blobs"), records, ImageNames(records), notice)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Store":
        """The store that this environment names (:func:`ocibuild.store.location.store_folder`)."""
        folder, notice = store_folder(environment)
        return cls.at(folder, notice=notice)

    def turn(
        self,
        kind: str,
        key: str,
        *,
        stopped: Callable[[], bool] = lambda: False,
        on_wait: Callable[[], None] = lambda: None,
    ) -> contextlib.AbstractContextManager[bool]:
        """The turn to make something for this store (:func:`ocibuild.core.turns.turn`)."""
        return turn(self.folder / "turns" / f"{kind}-{key}", stopped=stopped, on_wait=on_wait)

    def holds(self, digest: Digest) -> bool:
        """Whether the blob is here, or in a shared cache that this build trusts: opening it brings it then."""
        return digest in self.blobs or self.elsewhere(digest) is not None

    def elsewhere(self, digest: Digest) -> ElsewhereBlob | None:
        """Where a shared cache that this build trusts has the blob; None where none has."""
        return ElsewhereBlob.read(self.records, digest)
