"""Which packages share a layer.

Considerations. A layer is the unit that registries keep and machines pull: one changed package moves its whole layer.
Each layer costs a puller about 0.1 s, and Docker stops at 125, so a layer a package is out. What a good packing
minimises is the expected number of bytes moved (a) when one package, any with the same chance, changes, and (b) when
an image with nearly the same packages is built beside this one.

Chosen. Packages go together that come together. Each belongs to the requested package that brings it
(:mod:`.owners`): a sibling that asks for one thing more has what that brings, and nothing else, more. What a requested
package brings is a unit: one of less than 1 MiB is among the others, one of 16 MiB or more is three, by fixed sizes of
the packages: few large ones, which hold most of the bytes and seldom change; medium ones; and the many small ones. A
package of 12 MiB or more is by itself. Units become layers, the largest first, as long as there are layers; what is
left is two layers, the medium and the small. A size is asked, not a rank, so a new package rarely moves an old one.

Where a lock does not tell who needs what (some lock files), packages are of three classes by size: the largest are by
themselves, the medium and the small in buckets by a hash of their *name*, each class in its own.

Measured in downloaded bytes (tests/unit/plan/package_sets.json: what the benchmark's repositories resolve to). Of 211
packages (195 MB) in 15 layers 7.4 MB are moved when one changes, and 0.7 MB when it is ``requests``; ten repositories
that share most packages come to 1.09 times the bytes of all their packages. In 13 layers: 8.3, 4.7 and 1.15. The
buckets alone gave 8.3 MB in 15 layers, and ten siblings came to 1.44 times: in each of them an own package is in
another bucket. A layer for each package would move 0.9 MB.

Shared packages, which every image of a profile has with the same bytes, are packed by themselves and first, into a
number of layers that does not depend on what else the image holds: their layers are the same for everybody. They hardly
ever change, so what counts of them is how many layers there are.

Rejected, with the same measurements. Buckets by running sum: one package more shifts all behind it (15 MB; siblings
3.6 times). One layer an ecosystem: a changed pin of 60 kB moves 150 MB (100 MB; 6.3 times). All large packages of a
unit by themselves: the layers run out, and what is left is thrown together (siblings 1.5 to 1.9 times). All of them
together whatever their size: scipy, asked for by two siblings beside other packages, was stored three times (1.5
times). Grouping by how often packages change, or by how many repositories ask for them: it needs data that goes stale.

Caveats. Sizes are those of the packages as downloaded: nothing else is known when a plan is made. Where two requested
packages bring the same one, and the larger of them goes, it moves to the other's layer.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.plan.owners import owners
from ocibuild.plan.shared import Shared

__all__ = ["LARGE_BYTES", "MEDIUM_BYTES", "PackedLayer", "expected_bytes_moved", "pack"]

LARGE_BYTES = 4 << 20
"""In buckets: from this size on a package gets a layer of its own, as far as there are layers."""

MEDIUM_BYTES = 512 << 10
"""In buckets: from this size on a package is not among the small ones."""

# The same of units, with what is by itself in any unit, and the sizes from which on a unit is one, and is parted.
_ALONE_BYTES = 12 << 20
_UNIT_LARGE_BYTES = 2 << 20
_UNIT_MEDIUM_BYTES = 256 << 10
_LEAST_UNIT_BYTES = 1 << 20
_PARTED_UNIT_BYTES = 16 << 20
_LEAST_LAYERS_FOR_TWO_RESTS = 4

# How many layers an ecosystem gets beside others: Debian's packages change together, with their release.
_WEIGHTS = {Ecosystem.APT: 3, Ecosystem.CONDA: 8, Ecosystem.PIP: 8, Ecosystem.R: 8}

# How many of the layers shared packages get. Debian's always have the same versions; of Python's a repository may ask
# for others, and then the buckets that they would be in are its own.
_SHARED_SHARES = {Ecosystem.APT: 0.15, Ecosystem.PIP: 0.45}
_NOTHING_SHARED = Shared(origins=(), locks=())
_SHARE = 0.3  # of an ecosystem's layers go to large packages, and as many to buckets of small ones


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


def pack(
    packages: Sequence[LockedPackage],
    *,
    most_layers: int,
    expected: Collection[Ecosystem] = (),
    shared: Shared = _NOTHING_SHARED,
) -> tuple[PackedLayer, ...]:
    """The layers of these packages, at most ``most_layers`` (at least one for each ecosystem that has any).

    Ecosystems are never mixed, and come in their own order. Each package is in exactly one layer. The result does not
    depend on the order of ``packages``. ``expected`` are ecosystems that will have packages too: what comes before them
    is packed as it will be with them. The packages that are ``shared`` are apart from the others of their ecosystem.
    """
    together = shared.among(packages)
    shared_shares = {each: max(1, round(most_layers * _SHARED_SHARES[each])) for each in shared.ecosystems}
    left = most_layers - sum(shared_shares.values())
    groups = {
        ecosystem: [package for package in packages if package.ecosystem is ecosystem and package not in together]
        for ecosystem in Ecosystem
        if ecosystem in {*expected, *shared.ecosystems}  # so that layers may be begun before all packages are known
        or any(package.ecosystem is ecosystem and package not in together for package in packages)
    }
    layers: list[PackedLayer] = []
    used = 0
    for ecosystem in Ecosystem:
        common = [package for package in packages if package.ecosystem is ecosystem and package in together]
        if common:
            name, share = f"{ecosystem.value}, shared", shared_shares[ecosystem]
            layers += _pack_group(name, ecosystem, sorted(common, key=_order), share)
        if ecosystem in groups:
            group = sorted(groups[ecosystem], key=_order)
            others = sum(_WEIGHTS[each] for each in list(groups)[list(groups).index(ecosystem) :])
            least_of_others = len(groups) - list(groups).index(ecosystem) - 1
            share = round((left - used) * _WEIGHTS[ecosystem] / others)
            share = max(1, min(share, left - used - least_of_others))
            own = _pack_own(ecosystem.value, ecosystem, group, share) if group else []
            used += len(own)
            layers += own
    return tuple(layers)


def _order(package: LockedPackage) -> tuple[str, str, str]:
    return package.name, package.architecture, package.fields.get("prefix", "")


def _pack_own(name: str, ecosystem: Ecosystem, group: list[LockedPackage], most_layers: int) -> list[PackedLayer]:
    """What a repository asks for: by units, where the lock tells them for most of the bytes."""
    owner = owners(group)
    unknown = [package for package in group if not owner[package.name]]
    if most_layers == 1 or 2 * _size_bytes(unknown) > _size_bytes(group) or len(unknown) == len(group):
        return _pack_group(name, ecosystem, group, most_layers)
    units: list[PackedLayer] = []
    rest = list(unknown)
    for root in sorted(set(owner.values()) - {""}):
        members = [package for package in group if owner[package.name] == root]
        found = _units(f"{name}: {root}", ecosystem, members)
        units += found
        inside = {_order(package) for unit in found for package in unit.packages}
        rest += [package for package in members if _order(package) not in inside]
    rests = 2 if most_layers >= _LEAST_LAYERS_FOR_TWO_RESTS else 1
    units.sort(key=lambda unit: (-unit.size_bytes, unit.name))
    room = most_layers if not rest and len(units) <= most_layers else most_layers - rests
    rest += [package for unit in units[room:] for package in unit.packages]
    return units[:room] + _rests(name, ecosystem, sorted(rest, key=_order), rests)


def _units(name: str, ecosystem: Ecosystem, members: list[LockedPackage]) -> list[PackedLayer]:
    """The layers that the packages of one requested package are worth."""
    units = [
        PackedLayer(f"{name}: {package.name}", ecosystem, (package,))
        for package in members
        if (package.size_bytes or 0) >= _ALONE_BYTES
    ]
    others = [package for package in members if (package.size_bytes or 0) < _ALONE_BYTES]
    if _size_bytes(others) < _LEAST_UNIT_BYTES:
        return units
    if _size_bytes(others) < _PARTED_UNIT_BYTES:
        return [*units, PackedLayer(name, ecosystem, tuple(others))]
    small, medium, large = _by_size(others, _UNIT_MEDIUM_BYTES, _UNIT_LARGE_BYTES)
    parts = ((f"{name}, large", large), (f"{name}, medium", medium), (f"{name}, small", small))
    return units + [PackedLayer(part, ecosystem, tuple(packages)) for part, packages in parts if packages]


def _rests(name: str, ecosystem: Ecosystem, rest: list[LockedPackage], count: int) -> list[PackedLayer]:
    small, medium = _by_size(rest, _UNIT_MEDIUM_BYTES)
    parts = [(f"{name}, other medium", medium), (f"{name}, other small", small)]
    parts = parts if count > 1 else [(f"{name}, others", rest)]
    return [PackedLayer(part, ecosystem, tuple(packages)) for part, packages in parts if packages]


def _by_size(packages: list[LockedPackage], *limits: int) -> list[list[LockedPackage]]:
    """The packages below the first of these sizes, those below the next, and so on."""
    return [
        [package for package in packages if sum((package.size_bytes or 0) >= limit for limit in limits) == number]
        for number in range(len(limits) + 1)
    ]


def _size_bytes(packages: Iterable[LockedPackage]) -> int:
    return sum(package.size_bytes or 0 for package in packages)


def _pack_group(name: str, ecosystem: Ecosystem, group: list[LockedPackage], most_layers: int) -> list[PackedLayer]:
    if most_layers == 1:
        return [PackedLayer(name, ecosystem, tuple(group))]
    large_count = small_count = max(1, round(most_layers * _SHARE))
    medium_count = most_layers - large_count - small_count
    largest = sorted(group, key=lambda package: (-(package.size_bytes or 0), _order(package)))
    large = [package for package in largest if (package.size_bytes or 0) >= LARGE_BYTES][:large_count]
    layers = [PackedLayer(f"{name}: {package.name}", ecosystem, (package,)) for package in large]
    alone = set(map(_order, large))
    others = [package for package in group if _order(package) not in alone]
    medium = [package for package in others if medium_count and (package.size_bytes or 0) >= MEDIUM_BYTES]
    small = [package for package in others if package not in medium]
    layers += _buckets(f"{name}, medium", ecosystem, medium, medium_count)
    return layers + _buckets(name, ecosystem, small, small_count)


def _buckets(name: str, ecosystem: Ecosystem, packages: list[LockedPackage], count: int) -> list[PackedLayer]:
    found = [tuple(package for package in packages if _bucket(package, count) == bucket) for bucket in range(count)]
    return [
        PackedLayer(f"{name} {bucket + 1} of {count}", ecosystem, members)
        for bucket, members in enumerate(found)
        if members
    ]


def _bucket(package: LockedPackage, bucket_count: int) -> int:
    return int.from_bytes(hashlib.sha256(package.name.encode()).digest()[:8], "big") % bucket_count


def expected_bytes_moved(layers: Sequence[PackedLayer]) -> float:
    """The objective: the bytes moved on average when one package, any with the same chance, changes."""
    count = sum(len(layer.packages) for layer in layers)
    return sum(len(layer.packages) / count * layer.size_bytes for layer in layers) if count else 0.0
