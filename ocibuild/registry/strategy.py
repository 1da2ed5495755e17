"""How blobs are sent to a host, and the memory of what worked there."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from ocibuild.store.records import RecordStore

__all__ = ["PART_BYTES", "SMALL_PART_BYTES", "StrategyMemory", "Upload", "UploadForm"]

PART_BYTES = 16 << 20
"""The size of parts: at least the 5 MiB that ECR demands of all but the last."""
SMALL_PART_BYTES = (4 << 20) - (64 << 10)
"""The size of parts where larger ones are refused: GHCR's limit is 4 MiB."""
_LARGEST_PART_BYTES = 1 << 30

_KIND = "upload-strategy"


class UploadForm(StrEnum):
    """In one PUT, which every registry takes, or in several PATCHes, for those behind a limit on the body's size."""

    WHOLE = "whole"
    PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Upload:
    """A form and, for parts, their size in bytes."""

    form: UploadForm = UploadForm.WHOLE
    part_bytes: int = PART_BYTES


class StrategyMemory:
    """What worked last for a host, kept in the store's records; without records, for this process alone."""

    def __init__(self, records: RecordStore | None = None) -> None:
        self._records = records
        self._known: dict[str, Upload] = {}

    def get(self, host: str) -> Upload:
        """What to begin with: what worked last, or one PUT."""
        if host not in self._known:
            self._known[host] = self._read(host)
        return self._known[host]

    def put(self, host: str, upload: Upload) -> None:
        """Remember what worked."""
        if upload == self.get(host):
            return
        self._known[host] = upload
        if self._records is not None:
            value = {"host": host, "form": upload.form.value, "part_bytes": upload.part_bytes}
            self._records.put(_KIND, _key(host), value)

    def _read(self, host: str) -> Upload:
        value = None if self._records is None else self._records.get(_KIND, _key(host))
        if not isinstance(value, dict) or value.get("host") != host or value.get("form") not in list(UploadForm):
            return Upload()
        part_bytes = value.get("part_bytes")
        if not isinstance(part_bytes, int) or not SMALL_PART_BYTES <= part_bytes <= _LARGEST_PART_BYTES:
            part_bytes = PART_BYTES
        return Upload(UploadForm(value["form"]), part_bytes)


def _key(host: str) -> str:
    return hashlib.sha256(host.encode()).hexdigest()
