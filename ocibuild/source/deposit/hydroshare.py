"""Resources of HydroShare, which are downloaded as one archive (a "bag") that the server prepares on demand."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ocibuild.core.errors import NetworkError
from ocibuild.net.response import Response
from ocibuild.source.deposit.client import DepositClient, RemoteFile, match_below, unpack_zip

__all__ = ["HydroshareResource"]

_PATH = re.compile(r"/resource/([0-9a-f]{32})/?")
_WAIT_SECONDS = 10
_MOST_WAITS = 12  # two minutes, as repo2docker waits


@dataclass(frozen=True, slots=True)
class HydroshareResource:
    """A resource in its present state."""

    resource: str

    @classmethod
    def parse(cls, url: str, places: Mapping[str, Any]) -> "HydroshareResource | None":
        """The resource that an address names, or None."""
        place = str(places["hydroshare"])
        found = match_below(_PATH, url, (place, place.replace("://www.", "://", 1)))
        return cls(found[1][1]) if found else None

    def __str__(self) -> str:
        return f"HydroShare resource {self.resource}"

    def fetch(self, folder: Path, client: DepositClient) -> str:
        """Bring the resource's contents into the folder. Its identity, with the time of its last change."""
        place, attempted = client.places["hydroshare"], f"asking for {self}"
        facts = client.document(f"{place}/hsapi/resource/{self.resource}/scimeta/elements", attempted=attempted)
        try:
            changed = next(date["start_date"] for date in facts["dates"] if date["type"] == "modified")
            moment = datetime.fromisoformat(str(changed)[:19]).replace(tzinfo=UTC)
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise NetworkError(f"{attempted}: the answer tells no time of its last change ({error!r})") from error
        url = f"{place}/django_s3/download/bags/{self.resource}.zip"
        self._wait(url, client)
        aside = folder.with_name(f"{folder.name}.bag")
        aside.mkdir()
        bag = client.download(RemoteFile("bag.zip", url), aside)
        unpack_zip(bag, folder, below=f"{self.resource}/data/contents/")
        bag.unlink()
        aside.rmdir()
        return f"{self.resource}.v{int(moment.timestamp())}"

    def _wait(self, url: str, client: DepositClient) -> None:
        """Until the archive is there: before, the server answers with something else."""
        for _ in range(_MOST_WAITS):
            with client.opened(url, attempted=f"asking for the files of {self}") as response:
                if _is_archive(response):
                    return
            client.sleep(_WAIT_SECONDS)
        raise NetworkError(
            f"{self} was not made ready for download within {_MOST_WAITS * _WAIT_SECONDS} seconds",
            temporary=True,
            hint="build again later",
        )


def _is_archive(response: Response) -> bool:
    return next(iter(response.chunks(4)), b"").startswith(b"PK")
