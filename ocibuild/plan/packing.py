"""Which packages share a layer.

Considerations. A layer is the unit that registries keep and machines pull: one changed package moves its whole layer.
Each layer costs a puller about 0.1 s, and Docker stops at 125, so a layer a package is out. What a good packing
minimises is the expected number of bytes moved (a) when one package, any with the same chance, changes, and (b) when
an image with nearly the same packages is built beside this one.

Chosen. Within an ecosystem, the largest packages get layers of their own: that is where the bytes are, and a large
layer is moved only when that very package changes. All others fall into buckets by a hash of their *name*. A bucket
depends on the name alone, so a package added, removed or upgraded touches one bucket and no other, and two images
that share a package put it into the same bucket. Whether a package is large is asked of a fixed size, not of its rank
among the others, as long as there are not too many, so that a new package rarely moves an old one.

Rejected. Buckets by rank or by running sum: one package more shifts all behind it. Grouping by dependency or by how
often packages change: it needs data that goes stale. One layer an ecosystem: a changed pin of 60 kB moves 150 MB.

Caveats. Sizes are those of the packages as downloaded: nothing else is known when a plan is made.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ocibuild.core.package import Ecosystem, LockedPackage

__all__ = ["LARGE_BYTES", "PackedLayer", "expected_bytes_moved", "pack"]

LARGE_BYTES = 4 << 20
"""From this size on a package gets a layer of its own, as far as there are layers."""

_LARGE_SHARE = 0.6  # of an ecosystem's layers go to large packages; the rest are buckets


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """A layer's name (``apt: git`` or ``pip 2 of 5``) and its packages, sorted by name."""

    name: str
    ecosystem: Ecosystem
    packages: tuple[LockedPackage, ...]

    @property
    def size_bytes(self) -> int:
        """The sum of the packages' sizes as downloaded; unknown ones count nothing."""
        return sum(package.size_bytes or 0 for package in self.packages)


def pack(packages: Sequence[LockedPackage], *, most_layers: int) -> tuple[PackedLayer, ...]:
    """The layers of these packages, at most ``most_layers`` (at least one for each ecosystem that has any).

    Ecosystems are never mixed, and come in their own order. Each package is in exactly one layer. The result does not
    depend on the order of ``packages``.
    """
    groups = {
        ecosystem: [package for package in packages if package.ecosystem is ecosystem]
        for ecosystem in Ecosystem
        if any(package.ecosystem is ecosystem for package in packages)
    }
    layers: list[PackedLayer] = []
    for number, (ecosystem, group) in enumerate(groups.items()):
        share = max(1, (most_layers - len(layers)) // (len(groups) - number))
        layers.extend(_pack_group(ecosystem, sorted(group, key=_order), share))
    return tuple(layers)


def _order(package: LockedPackage) -> tuple[str, str]:
    return package.name, package.architecture


def _pack_group(ecosystem: Ecosystem, group: list[LockedPackage], most_layers: int) -> list[PackedLayer]:
    if most_layers == 1:
        return [PackedLayer(ecosystem.value, ecosystem, tuple(group))]
    bucket_count = max(1, most_layers - int(most_layers * _LARGE_SHARE))
    largest = sorted(group, key=lambda package: (-(package.size_bytes or 0), _order(package)))
    large = [package for package in largest if (package.size_bytes or 0) >= LARGE_BYTES][: most_layers - bucket_count]
    layers = [PackedLayer(f"{ecosystem.value}: {package.name}", ecosystem, (package,)) for package in large]
    alone = set(map(_order, large))
    for bucket in range(bucket_count):
        members = tuple(
            package for package in group if _order(package) not in alone and _bucket(package, bucket_count) == bucket
        )
        if members:
            layers.append(PackedLayer(f"{ecosystem.value} {bucket + 1} of {bucket_count}", ecosystem, members))
    return layers


def _bucket(package: LockedPackage, bucket_count: int) -> int:
    return int.from_bytes(hashlib.sha256(package.name.encode()).digest()[:8], "big") % bucket_count


def expected_bytes_moved(layers: Sequence[PackedLayer]) -> float:
    """The objective: the bytes moved on average when one package, any with the same chance, changes."""
    count = sum(len(layer.packages) for layer in layers)
    return sum(len(layer.packages) / count * layer.size_bytes for layer in layers) if count else 0.0
