"""Which packages an image shares with every other of its profile: those that the catalogue's layers bring."""

import re
from collections.abc import Collection, Iterable

from ocibuild.core.package import Ecosystem, LockedPackage

__all__ = ["Shared"]

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Shared:
    """Knows the shared packages among those of an image.

    Of Debian's packages they are those that layers ask for, with all that these need; of Python's those that are, to
    the byte, in a lock of a layer. ``origins`` are where the layers ask, as :class:`.LockedPackage` names its reasons;
    ``locks`` are the locks' texts.
    """

    def __init__(self, *, origins: Collection[str], locks: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        self._hashes = frozenset(found for lock in locks for found in _HASH.findall(lock))

    @property
    def ecosystems(self) -> frozenset[Ecosystem]:
        """The ecosystems that may have shared packages."""
        apt = {Ecosystem.APT} if self._origins else set()
        return frozenset(apt | ({Ecosystem.PIP} if self._hashes else set()))

    def among(self, packages: Collection[LockedPackage]) -> frozenset[LockedPackage]:
        """The shared ones of these."""
        found = {package for package in packages if package.digest.hex in self._hashes}
        if not self._origins:
            return frozenset(found)
        debs = [package for package in packages if package.ecosystem is Ecosystem.APT]
        reasons = set(self._origins)
        while new := [package for package in debs if package not in found and not reasons.isdisjoint(package.why)]:
            found.update(new)
            reasons.update(package.name for package in new)
        return frozenset(found)
