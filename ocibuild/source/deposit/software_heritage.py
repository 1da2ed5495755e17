"""Folders and commits in the archive of Software Heritage, by their identifiers (ISO/IEC 18670, "SWHID").

Source: the archive's web API: ``/api/1/revision/``, and ``/api/1/vault/flat/`` which makes a tar archive on demand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocibuild.core.errors import NetworkError, UsageError
from ocibuild.net.address import joined
from ocibuild.source.deposit.client import DepositClient, RemoteFile, parsed_document, unpack_tar_gzip

__all__ = ["HeritageObject"]

_FORM = re.compile(r"swh:1:([a-z]{3}):([0-9a-f]{40})(?:;.*)?")
_FETCHED = ("dir", "rev")
_WAIT_SECONDS = 5
_MOST_WAITS = 120
_ACCEPTED = (200, 201, 202)


@dataclass(frozen=True, slots=True)
class HeritageObject:
    """A folder (``dir``) or a commit (``rev``)."""

    kind: str
    hexadecimal: str

    @classmethod
    def parse(cls, text: str, places: Mapping[str, Any]) -> "HeritageObject | None":  # noqa: ARG003 - as the others
        """The object that an identifier names, or None; a UsageError for one that is neither folder nor commit."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        if found[1] not in _FETCHED:
            raise UsageError(f"{text} is neither a folder nor a commit", hint="name a swh:1:dir: or a swh:1:rev:")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"swh:1:{self.kind}:{self.hexadecimal}"

    def fetch(self, folder: Path, client: DepositClient) -> str:
        """Bring the folder's files into ``folder``. The identity of the folder."""
        api = f"{client.places['software-heritage']}/api/1"
        directory = self.hexadecimal
        if self.kind == "rev":
            commit = client.document(f"{api}/revision/{directory}/", attempted=f"asking for {self}")
            directory = str(commit.get("directory")) if isinstance(commit, dict) else ""
            if not re.fullmatch(r"[0-9a-f]{40}", directory):
                raise NetworkError(f"asking for {self}: the answer names no folder")
        identity = f"swh:1:dir:{directory}"
        url = self._prepared(f"{api}/vault/flat/{identity}/", client)
        aside = folder.with_name(f"{folder.name}.vault")
        aside.mkdir()
        archive = client.download(RemoteFile("directory.tar.gz", url), aside)
        unpack_tar_gzip(archive, folder, below=f"{identity}/")
        archive.unlink()
        aside.rmdir()
        return identity

    def _prepared(self, url: str, client: DepositClient) -> str:
        """Ask for the archive, wait until it is made, and return its address."""
        attempted = f"asking for the files of {self}"
        method = "POST"
        for _ in range(_MOST_WAITS):
            with client.http.request(method, url, headers=client.headers) as response:
                if response.status not in _ACCEPTED:
                    raise response.failure(attempted)
                answer = parsed_document(response.document(limit_bytes=1 << 20), url=url, attempted=attempted)
            status = answer.get("status") if isinstance(answer, dict) else None
            if status == "done":
                return joined(url, str(answer.get("fetch_url")))
            if status == "failed":
                raise NetworkError(f"{attempted}: the archive cannot make them ({answer.get('progress_message')})")
            method = "GET"
            client.sleep(_WAIT_SECONDS)
        raise NetworkError(
            f"{self} was not made ready for download within {_MOST_WAITS * _WAIT_SECONDS} seconds",
            temporary=True,
            hint="build again later",
        )
