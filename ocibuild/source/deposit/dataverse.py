"""Datasets of Dataverse installations.

Source: the native API (``GET /api/datasets/:persistentId``, ``/api/files/...``) and the data access API
(``/api/access/datafile/ID``). An installation is known by the form of its addresses, not by a list of hosts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from ocibuild.source.deposit.client import DepositClient, RemoteFile, lift_single_folder, reading_list

__all__ = ["DataverseDataset"]

_PAGES = ("/citation", "/dataset.xhtml", "/file.xhtml")
_DATA_FILE = "/api/access/datafile/"


@dataclass(frozen=True, slots=True)
class DataverseDataset:
    """A dataset, or a file of one: then the whole dataset is meant, as repo2docker takes it.

    ``identifier`` is a persistent id (``doi:10.7910/DVN/TJCLKP``) of either, or the number of a file.
    """

    server: str
    identifier: str

    @classmethod
    def parse(cls, url: str, places: Mapping[str, Any]) -> "DataverseDataset | None":  # noqa: ARG003 - as the others
        """The dataset that an address has the form of, or None."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return None
        server = f"{parts.scheme}://{parts.netloc}"
        if parts.path.startswith(_DATA_FILE):
            number = parts.path.removeprefix(_DATA_FILE).strip("/")
            return cls(server, number) if number.isdigit() else None
        named = parse_qs(parts.query).get("persistentId")
        return cls(server, named[0]) if parts.path in _PAGES and named else None

    def __str__(self) -> str:
        return f"{self.identifier} of {self.server}"

    def fetch(self, folder: Path, client: DepositClient) -> str:
        """Bring the files of the newest version into the folder, in their original formats. The persistent id."""
        attempted = f"asking for the dataset {self}"
        with reading_list(attempted):
            identifier, dataset = self._dataset(client, attempted)
            files = [self._file(entry) for entry in dataset["data"]["latestVersion"]["files"]]
        for file in files:
            client.download(file, folder)
        lift_single_folder(folder)
        return identifier

    def _dataset(self, client: DepositClient, attempted: str) -> tuple[str, Any]:
        if not self.identifier.isdigit():
            found = client.found_document(self._dataset_url(self.identifier), attempted=attempted)
            if found is not None:
                return self.identifier, found
        kind = f"{self.identifier}?" if self.identifier.isdigit() else f":persistentId?persistentId={_quoted(self)}&"
        file = client.document(f"{self.server}/api/files/{kind}returnDatasetVersion=true", attempted=attempted)
        identifier = str(file["data"]["datasetVersion"]["datasetPersistentId"])
        return identifier, client.document(self._dataset_url(identifier), attempted=attempted)

    def _dataset_url(self, identifier: str) -> str:
        return f"{self.server}/api/datasets/:persistentId?persistentId={quote(identifier, safe=':/')}"

    def _file(self, entry: Mapping[str, Any]) -> RemoteFile:
        data = entry["dataFile"]
        original = data.get("originalFileName")
        name = str(original or entry["label"])
        folder = str(entry.get("directoryLabel") or "")
        # What is told of size and checksum is of the preserved form, not of the original that it was made from.
        facts = (None, "") if original else (data.get("filesize"), str(data.get("md5") or ""))
        url = f"{self.server}{_DATA_FILE}{int(data['id'])}?format=original"
        return RemoteFile(f"{folder}/{name}" if folder else name, url, *facts)


def _quoted(dataset: DataverseDataset) -> str:
    return quote(dataset.identifier, safe=":/")
