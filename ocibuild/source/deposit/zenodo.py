"""Records of Zenodo and of CaltechDATA, which runs the same software.

Source: the REST API of InvenioRDM (``GET /api/records/ID`` and ``.../files``), and what repo2docker takes of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocibuild.source.deposit.client import DepositClient, RemoteFile, match_below, reading_list, unpack_single_zip

__all__ = ["ZenodoRecord"]

_PATH = re.compile(r"/records?/([0-9A-Za-z-]+)/?")


@dataclass(frozen=True, slots=True)
class ZenodoRecord:
    """A record of one of these archives (``archive`` is its address). Records do not change."""

    archive: str
    record: str

    @classmethod
    def parse(cls, url: str, places: Mapping[str, Any]) -> "ZenodoRecord | None":
        """The record that an address names, or None."""
        found = match_below(_PATH, url, (*places["zenodo"], places["caltech-data"]))
        return cls(found[0], found[1][1]) if found else None

    def __str__(self) -> str:
        return f"{self.archive}/records/{self.record}"

    def fetch(self, folder: Path, client: DepositClient) -> str:
        """Bring the files into the folder; a single zip archive is unpacked. The record's identity."""
        attempted = f"asking for the record {self}"
        record = client.document(f"{self.archive}/api/records/{self.record}", attempted=attempted)
        with reading_list(attempted):
            files = self._files(record, client, attempted)
        for file in files:
            client.download(file, folder)
        unpack_single_zip(folder)
        return self.record

    def _files(self, record: Any, client: DepositClient, attempted: str) -> list[RemoteFile]:
        """The files of the record's own list, or of the list that it links to."""
        listed = record.get("files")
        if not isinstance(listed, list):
            listed = client.document(record["links"]["files"], attempted=attempted)["entries"]
        return [
            RemoteFile(
                str(file["key"]),
                str(file["links"].get("content") or file["links"]["self"]),
                int(file["size"]) if isinstance(file.get("size"), int) else None,
                str(file.get("checksum", "")).removeprefix("md5:"),
            )
            for file in listed
        ]
