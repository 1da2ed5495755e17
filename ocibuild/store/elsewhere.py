"""Blobs that are not here and can be had: where a shared cache says that they are, and what they must be."""

from dataclasses import dataclass
from typing import Any

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, UsageError
from ocibuild.store.records import RecordStore

__all__ = ["ELSEWHERE_KIND", "ElsewhereBlob"]

ELSEWHERE_KIND = "elsewhere-1"


@dataclass(frozen=True, slots=True)
class ElsewhereBlob:
    """A layer in the repositories ``caches`` (``HOST/NAME``); ``raw_bytes`` is its size when decompressed."""

    descriptor: Descriptor
    diff_id: Digest
    raw_bytes: int
    caches: tuple[str, ...]

    @classmethod
    def read(cls, records: RecordStore, digest: Digest) -> "ElsewhereBlob | None":
        """What is recorded of this digest; None where nothing is."""
        value: Any = records.get(ELSEWHERE_KIND, digest.hex)
        try:
            return cls(
                Descriptor.from_json(value["descriptor"], where="a cached layer"),
                Digest.sha256(value["diff_id"]),
                int(value["raw_bytes"]),
                tuple(map(str, value["caches"])),
            )
        except (KeyError, TypeError, ValueError, ImageError, UsageError):
            return None

    def record(self) -> tuple[str, str, dict[str, Any]]:
        """Kind, key and value of the record that :meth:`read` reads."""
        value = {
            "descriptor": self.descriptor.to_json(),
            "diff_id": self.diff_id.hex,
            "raw_bytes": self.raw_bytes,
            "caches": list(self.caches),
        }
        return ELSEWHERE_KIND, self.descriptor.digest.hex, value
