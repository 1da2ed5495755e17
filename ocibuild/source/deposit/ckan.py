"""Datasets of CKAN portals (action API, version 3). A portal is known by asking it, where an address has its form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ocibuild.source.deposit.client import DepositClient, RemoteFile, reading_list

__all__ = ["CkanDataset"]

_PATH = re.compile(r"(?P<prefix>.*)/dataset/(?P<name>[^/]+)(?:/history/(?P<activity>[^/]+))?.*")


@dataclass(frozen=True, slots=True)
class CkanDataset:
    """A dataset of a portal, now or as it was after an activity. ``api`` ends without a slash."""

    api: str
    name: str
    activity: str = ""

    @classmethod
    def parse(cls, url: str, places: Mapping[str, Any]) -> "CkanDataset | None":  # noqa: ARG003 - as the others
        """The dataset that an address has the form of, or None. Whether it is one tells :meth:`is_there`."""
        parts = urlsplit(url)
        found = _PATH.fullmatch(parts.path)
        if parts.scheme not in ("http", "https") or found is None:
            return None
        activity = found["activity"] or parse_qs(parts.query).get("activity_id", [""])[0]
        server = f"{parts.scheme}://{parts.netloc}{found['prefix']}"
        return cls(f"{server}/api/3/action", unquote(found["name"]), activity)

    def __str__(self) -> str:
        return f"the dataset {self.name} of {self.api.removesuffix('/api/3/action')}"

    def is_there(self, client: DepositClient) -> bool:
        """Whether the server is a CKAN portal."""
        return client.found_document(f"{self.api}/status_show", attempted=f"asking for {self}") is not None

    def fetch(self, folder: Path, client: DepositClient) -> str:
        """Bring the dataset's files into the folder. Its identity, with the time of its last change."""
        attempted = f"asking for {self}"
        shown = client.document(f"{self.api}/package_show?id={quote(self.name)}", attempted=attempted)
        with reading_list(attempted):
            changed = datetime.fromisoformat(shown["result"]["metadata_modified"]).replace(tzinfo=UTC)
            if self.activity:
                query = f"id={quote(self.activity)}&object_type=package"
                shown = client.document(f"{self.api}/activity_data_show?{query}", attempted=attempted)
            files = [
                RemoteFile(str(each["url"]).rsplit("/", 1)[-1].partition("?")[0] or str(each["id"]), str(each["url"]))
                for each in shown["result"]["resources"]
                if each["url"]
            ]
        for file in files:
            client.download(file, folder)
        return f"{self.name}.v{int(changed.timestamp())}"
