"""Repositories of R packages: their addresses, and what they hold.

Sources: R, ``?contrib.url`` and ``?available.packages``, for ``src/contrib`` and its index ``PACKAGES``; CRAN's own
layout, for ``Archive``; Posit Package Manager's documentation, "Serving Binary Packages" and "Snapshots", for the rest.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Final

from ocibuild.core.errors import IntegrityError, NetworkError
from ocibuild.net.address import redacted
from ocibuild.net.client import HttpClient
from ocibuild.net.document import fetch_bytes
from ocibuild.spec.r_description import RDescription, decode_description, read_records

__all__ = ["RIndex", "archived_path", "package_path", "read_index", "snapshot_address"]

CONTRIB: Final = "src/contrib"
_LARGEST_INDEX_BYTES = 256 << 20  # CRAN's has 10 MB
_GZIP_WINDOW = 31  # zlib.h: 15 bits of window, and 16 for a gzip header and trailer
_NAME = re.compile(r"^Package:[ \t]*(\S+)", re.MULTILINE)
_NOT_FOUND = (403, 404, 410)  # 403: buckets that nobody may list


def snapshot_address(base: str, *, codename: str, day: date | None) -> str:
    """The address in a Posit-style repository of the packages of a day, or of today's.

    ``codename`` is the release that binary packages are wanted for; without it source packages are what is there.
    """
    release = f"/__linux__/{codename}" if codename else ""
    return f"{base.rstrip('/')}{release}/{day.isoformat() if day else 'latest'}"


def package_path(description: RDescription) -> str:
    """Where a repository has a package, below its address; ``Path`` is for what lies in a folder of its own."""
    folder = description.fields.get("Path", "")
    parts = (CONTRIB, folder, f"{description.name}_{description.version}.tar.gz")
    return "/".join(part for part in parts if part)


def archived_path(name: str, version: str) -> str:
    """Where a repository has a version that its index does not name any more."""
    return f"{CONTRIB}/Archive/{name}/{name}_{version}.tar.gz"


@dataclass(frozen=True)
class RIndex:
    """The index of a repository; ``address`` may hold credentials. Records are read when they are looked at."""

    address: str
    text: str = field(repr=False)

    @cached_property
    def _places(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for record in re.split(r"\n[ \t\r]*\n", self.text):
            name = _NAME.search(record)
            if name is not None:
                found.setdefault(name[1], []).append(record)
        return found

    @property
    def names(self) -> Sequence[str]:
        """The packages that it has."""
        return list(self._places)

    def get(self, name: str) -> list[RDescription]:
        """The records of a package, for which a ValueError tells that one is malformed."""
        found = []
        for text in self._places.get(name, ()):
            description = RDescription(next(read_records(text)))
            description.check()
            found.append(description)
        return found

    @property
    def shown_address(self) -> str:
        """The address for messages."""
        return redacted(self.address)


def read_index(http: HttpClient, address: str) -> RIndex:
    """The index of the repository at this address; a NetworkError where there is none, or it cannot be read.

    As R does, the compressed one is asked for first.
    """
    where = f"{address}/{CONTRIB}/PACKAGES"
    try:
        packed = fetch_bytes(http, f"{where}.gz", limit_bytes=_LARGEST_INDEX_BYTES, attempted="reading R packages")
    except NetworkError as error:
        if error.status not in _NOT_FOUND:
            raise
        plain = fetch_bytes(http, where, limit_bytes=_LARGEST_INDEX_BYTES, attempted="reading R packages")
        return RIndex(address, decode_description(plain))
    return RIndex(address, decode_description(_unpacked(packed, f"{redacted(where)}.gz")))


def _unpacked(packed: bytes, where: str) -> bytes:
    """The text of an index, which some servers send unpacked already."""
    if not packed.startswith(b"\x1f\x8b"):
        return packed
    member = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = member.decompress(packed, _LARGEST_INDEX_BYTES + 1)
    except zlib.error as error:
        raise IntegrityError(f"{where} is corrupt: {error}") from error
    if len(text) > _LARGEST_INDEX_BYTES or not member.eof:
        raise IntegrityError(f"{where} is cut short, or longer than {_LARGEST_INDEX_BYTES} bytes")
    return text
