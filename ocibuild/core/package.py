"""One resolved package: what the lock records and what placing reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ocibuild.core.digest import Digest

__all__ = ["Ecosystem", "LockedPackage"]


class Ecosystem(StrEnum):
    """Where packages come from; the order is the order of their layers."""

    APT = "apt"
    CONDA = "conda"
    PIP = "pip"
    R = "r"


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package pinned to its bytes.

    The body's URL is (``source``, ``path``): ``source`` names a source whose address is this machine's business, so
    that no mirror and no credential enters a lock or an image. ``why`` holds ``apt.txt:3`` for what was asked, and the
    names of dependants otherwise. ``fields`` holds what only the package's ecosystem understands, as text.
    """

    ecosystem: Ecosystem
    name: str
    version: str
    architecture: str
    source: str
    path: str
    digest: Digest
    size_bytes: int | None = None
    requested: bool = False
    why: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def identity(self) -> str:
        """Name, version and architecture in one word, for messages: ``git=1:2.39.5-0+deb12u2 amd64``."""
        return f"{self.name}={self.version} {self.architecture}".rstrip()
