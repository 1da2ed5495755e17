"""The packing against its objective, on package sets that were really resolved (package_sets.json)."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.plan.packing import PackedLayer, expected_bytes_moved, pack

_LAYERS = 15  # what is left for packages
Packing = Callable[[list[LockedPackage]], tuple[PackedLayer, ...]]


@cache
def package_sets() -> dict[str, list[LockedPackage]]:
    value = json.loads(Path(__file__).with_name("package_sets.json").read_text())
    return {
        name: [
            _package(value["packages"][number], why, requested=bool(requested)) for number, why, requested in members
        ]
        for name, members in value["sets"].items()
    }


def _package(facts: list[Any], why: str, *, requested: bool) -> LockedPackage:
    ecosystem, name, version, architecture, size_bytes = facts
    digest = Digest.of(f"{name} {version}".encode())
    users = tuple(why.split(", ")) if why else ()
    return LockedPackage(
        Ecosystem(ecosystem), name, version, architecture, "", "", digest, size_bytes, requested, users
    )


def size(packages: object) -> int:
    assert isinstance(packages, list | tuple | set | frozenset)
    return sum(package.size_bytes or 0 for package in packages)


def chosen(packages: list[LockedPackage]) -> tuple[PackedLayer, ...]:
    return pack(packages, most_layers=_LAYERS)


def by_rank(packages: list[LockedPackage]) -> tuple[PackedLayer, ...]:
    """Rejected: packages in their order, cut where a running sum reaches a share."""
    ordered = sorted(packages, key=lambda package: (package.ecosystem, package.name))
    share = size(ordered) / _LAYERS
    layers: list[list[LockedPackage]] = [[]]
    for package in ordered:
        if size(layers[-1]) > share and len(layers) < _LAYERS:
            layers.append([])
        layers[-1].append(package)
    return tuple(PackedLayer(str(n), Ecosystem.PIP, tuple(each)) for n, each in enumerate(layers))


def by_name(packages: list[LockedPackage]) -> tuple[PackedLayer, ...]:
    """Buckets by name, as where a lock does not tell who needs what."""
    return chosen([replace(package, why=(), requested=False) for package in packages])


def by_ecosystem(packages: list[LockedPackage]) -> tuple[PackedLayer, ...]:
    """Rejected: one layer an ecosystem."""
    return tuple(
        PackedLayer(each, each, tuple(package for package in packages if package.ecosystem is each))
        for each in (Ecosystem.APT, Ecosystem.PIP)
    )


def shared_share(packing: Packing, one: str, other: str) -> float:
    """Of the bytes of what two sets have in common, how many are in layers that both images have."""
    sets = package_sets()
    layers = [contents(packing(sets[name])) for name in (one, other)]
    common = {identity(package) for package in sets[one]} & {identity(package) for package in sets[other]}
    return size(in_both(*layers)) / size([package for package in sets[one] if identity(package) in common])


def identity(package: LockedPackage) -> tuple[str, str]:
    return package.name, package.version


def contents(layers: tuple[PackedLayer, ...]) -> dict[frozenset[tuple[str, str]], list[LockedPackage]]:
    """The layers by what is in them, whatever brought it there."""
    return {frozenset(map(identity, layer.packages)): list(layer.packages) for layer in layers}


def in_both(*layers: dict[frozenset[tuple[str, str]], list[LockedPackage]]) -> list[LockedPackage]:
    one, other = layers
    return [package for key in one.keys() & other.keys() for package in one[key]]


def siblings() -> list[str]:
    return [name for name in package_sets() if name.startswith("sibling-")]


def stored(packing: Packing) -> float:
    """What a registry holds of all siblings, in relation to the bytes of all their packages."""
    sets = package_sets()
    layers = {key: each for name in siblings() for key, each in contents(packing(sets[name])).items()}
    packages = {identity(package): package for name in siblings() for package in sets[name]}
    return sum(map(size, layers.values())) / size(list(packages.values()))


def test_the_sets_are_real() -> None:
    sets = package_sets()
    assert len(sets["data-science"]) > 200
    assert len(siblings()) == 10
    assert 150e6 < size(sets["data-science"]) < 300e6


def test_one_changed_package_moves_a_small_part() -> None:
    packages = package_sets()["data-science"]
    layers = chosen(packages)
    assert len(layers) <= _LAYERS
    moved = expected_bytes_moved(layers)
    least = expected_bytes_moved([PackedLayer("", Ecosystem.PIP, (package,)) for package in packages])
    assert moved < size(packages) / 24
    assert least < moved < 9 * least
    assert moved < expected_bytes_moved(by_rank(packages)) / 2
    assert moved < expected_bytes_moved(by_ecosystem(packages)) / 12
    (of_requests,) = [layer for layer in layers if any(package.name == "requests" for package in layer.packages)]
    assert of_requests.size_bytes < size(packages) / 200


def test_siblings_share_what_they_have_in_common() -> None:
    names = siblings()
    pairs = [(one, other) for n, one in enumerate(names) for other in names[n + 1 :]]
    average = sum(shared_share(chosen, *pair) for pair in pairs) / len(pairs)
    assert average > 0.9
    assert average > sum(shared_share(by_rank, *pair) for pair in pairs) / len(pairs) + 0.5
    assert average > sum(shared_share(by_name, *pair) for pair in pairs) / len(pairs) + 0.08


def test_ten_siblings_are_stored_in_little_more_than_their_packages() -> None:
    assert stored(chosen) < 1.2
    assert stored(by_name) > 1.4
    assert stored(by_rank) > 2
    assert stored(by_ecosystem) > 4


@pytest.mark.parametrize("megabytes", [0.1, 2, 30])
def test_what_is_added_leaves_the_others_where_they_are(megabytes: float) -> None:
    packages = package_sets()["data-science"]
    new = replace(
        packages[-1],
        name="new",
        version="1",
        why=("requirements.txt:9",),
        requested=True,
        size_bytes=int(megabytes * 1e6),
    )
    needed = replace(new, name="needed-by-new", requested=False, why=("new",), size_bytes=90_000)
    before, after = (contents(chosen(each)) for each in (packages, [*packages, new, needed]))
    own = new.size_bytes + (needed.size_bytes or 0) if new.size_bytes else 0
    moved = sum(size(after[key]) for key in after.keys() - before.keys())
    assert moved - own < size(packages) / 10
    assert len(after.keys() - before.keys()) <= 3


def test_every_upgrade_touches_one_layer() -> None:
    packages = package_sets()["data-science"]
    before = contents(chosen(packages))
    for package in packages:
        upgraded = replace(package, version=f"{package.version}.1", digest=Digest.of(package.name.encode()))
        after = contents(chosen([upgraded if each is package else each for each in packages]))
        assert len(after.keys() - before.keys()) == 1
