"""Articles of Figshare (API version 2: ``GET /articles/ID/versions/VERSION``)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocibuild.source.deposit.client import DepositClient, RemoteFile, match_below, reading_list, unpack_single_zip

__all__ = ["FigshareArticle"]

_PATH = re.compile(r"/(?:account/)?articles/(?:[a-z_]+/)?[^/]+/(\d+)(?:/(\d+))?/?")


@dataclass(frozen=True, slots=True)
class FigshareArticle:
    """A version of an article. Where none is named it is the first, as repo2docker takes it."""

    article: str
    version: str = "1"

    @classmethod
    def parse(cls, url: str, places: Mapping[str, Any]) -> "FigshareArticle | None":
        """The article that an address names, or None."""
        found = match_below(_PATH, url, [places["figshare"]])
        return cls(found[1][1], found[1][2] or "1") if found else None

    def __str__(self) -> str:
        return f"figshare {self.article} version {self.version}"

    def fetch(self, folder: Path, client: DepositClient) -> str:
        """Bring the files into the folder; a single zip archive is unpacked. The identity of article and version."""
        attempted = f"asking for {self}"
        url = f"{client.places['figshare-api']}/articles/{self.article}/versions/{self.version}"
        article = client.document(url, attempted=attempted)
        with reading_list(attempted):
            files = [
                RemoteFile(
                    str(file["name"]),
                    str(file["download_url"]),
                    int(file["size"]) if isinstance(file.get("size"), int) else None,
                    str(file.get("computed_md5") or ""),
                )
                for file in article["files"]
                if not file.get("is_link_only")
            ]
        for file in files:
            client.download(file, folder)
        unpack_single_zip(folder)
        return f"{self.article}.v{self.version}"
