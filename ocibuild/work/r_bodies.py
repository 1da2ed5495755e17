"""The files of R packages, fetched while they are resolved.

A repository tells no hash that could be relied on: Posit's gives a binary under the source's name and MD5. So a package
is known by its SHA-256 only once it was fetched, and what it is, built or a source, for which R and platform, and which
libraries of the system it wants, is read from the package itself.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError
from ocibuild.ecosystem.r.archive import read_description
from ocibuild.ecosystem.r.resolve import ChosenPackage
from ocibuild.net.address import redacted
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.r_description import RDescription
from ocibuild.work.machine import Machine
from ocibuild.work.recall import DEFAULT_MAX_AGE_SECONDS, state_key

__all__ = ["RBodies", "RBody"]

_KIND = "r-body-1"
_CONNECTIONS = 6
_OK = 200


@dataclass(frozen=True, slots=True)
class RBody:
    """A package's file in the store, and what it says of itself."""

    chosen: ChosenPackage
    digest: Digest
    size_bytes: int
    description: RDescription

    @property
    def where(self) -> str:
        """Where it came from, for messages."""
        return f"{redacted(self.chosen.address)}/{self.chosen.path}"


@dataclass(frozen=True, slots=True)
class RBodies:
    """Fetches for one image; ``user_agent`` tells the servers which R it has."""

    machine: Machine
    options: BuildOptions
    user_agent: str

    def all(self, packages: Sequence[ChosenPackage]) -> list[RBody]:
        """The files of these packages, in the store then; several are fetched at once.

        An IntegrityError where one is not the package that its repository names, or a source has another MD5 sum.
        """
        if not packages:
            return []
        with self.machine.phase("fetching", f"{len(packages)} R packages"), ThreadPoolExecutor(_CONNECTIONS) as pool:
            return list(pool.map(self._body, packages))

    def fetched(self, address: str, path: str) -> tuple[Digest, int]:
        """A file in the store, and its size. What was fetched before is taken for as long as resolutions are."""
        store, now = self.machine.store, self.machine.now()
        key = state_key(address, path, self.user_agent)
        known: Any = None if self.options.refresh else store.records.get(_KIND, key)
        if isinstance(known, dict) and known.get("sha256"):
            digest, age = Digest.sha256(known["sha256"]), now - float(known["fetched"])
            most = self.options.max_age_seconds
            is_fresh = age <= (DEFAULT_MAX_AGE_SECONDS if most is None else most)
            if is_fresh and store.blobs.size_bytes(digest) == known["size_bytes"]:
                return digest, int(known["size_bytes"])
        digest, size_bytes = self.machine.remote.http.persistently(lambda: self._read(f"{address}/{path}"))
        store.records.put(_KIND, key, {"sha256": digest.hex, "size_bytes": size_bytes, "fetched": now})
        return digest, size_bytes

    def _read(self, url: str) -> tuple[Digest, int]:
        store = self.machine.store
        with self.machine.remote.http.request("GET", url, headers={"User-Agent": self.user_agent}) as response:
            if response.status != _OK:
                raise response.failure("fetching an R package")
            with store.blobs.writer(where=response.shown_url) as writer:
                for block in response.chunks():
                    writer.write(block)
        return writer.digest, store.blobs.size_bytes(writer.digest) or 0

    def _body(self, chosen: ChosenPackage) -> RBody:
        expected = chosen.description
        where = f"{redacted(chosen.address)}/{chosen.path}"
        digest, size_bytes = self.fetched(chosen.address, chosen.path)
        path = self.machine.store.blobs.path(digest)
        description = read_description(path, name=where)
        if (description.name, description.version) != (expected.name, expected.version):
            raise IntegrityError(
                f"{where} holds {description.name} {description.version}, and its repository says "
                f"{expected.name} {expected.version}"
            )
        promised = expected.fields.get("MD5sum", "")
        if "Built" not in description.fields and promised and chosen.is_current:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if found != promised:
                raise IntegrityError(f"{where} has the MD5 sum {found}, and its repository promises {promised}")
        return RBody(chosen, digest, size_bytes, description)
