import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.plan.packing import LARGE_BYTES, MEDIUM_BYTES, expected_bytes_moved, pack
from ocibuild.plan.shared import Shared

MEGABYTE = 1 << 20


def package(name: str, size_bytes: int | None, ecosystem: Ecosystem = Ecosystem.PIP) -> LockedPackage:
    return LockedPackage(ecosystem, name, "1", "", "pypi", name, Digest.of(name.encode()), size_bytes)


def realistic(count: int, seed: int = 1) -> list[LockedPackage]:
    """Sizes like those of the data-science set: a few packages hold most of the bytes."""
    random_ = random.Random(seed)
    return [package(f"package-{n}", int(MEGABYTE * random_.lognormvariate(-1.5, 1.9))) for n in range(count)]


packages = st.lists(
    st.builds(
        package,
        st.text("abcdefgh-", min_size=1, max_size=6),
        st.one_of(st.none(), st.integers(0, 10 * LARGE_BYTES)),
        st.sampled_from([Ecosystem.APT, Ecosystem.PIP]),
    ),
    max_size=40,
    unique_by=lambda made: (made.ecosystem, made.name),
)


@given(packages, st.integers(2, 20), st.randoms())
def test_every_package_is_in_one_layer_and_ecosystems_are_apart(made, most_layers, random_) -> None:  # type: ignore[no-untyped-def]
    layers = pack(made, most_layers=most_layers)
    assert len(layers) <= most_layers
    inside = [(p.ecosystem, p.name) for layer in layers for p in layer.packages]
    assert sorted(inside) == sorted((p.ecosystem, p.name) for p in made)
    assert all({p.ecosystem for p in layer.packages} == {layer.ecosystem} for layer in layers)
    assert len({layer.name for layer in layers}) == len(layers)
    shuffled = list(made)
    random_.shuffle(shuffled)
    assert pack(shuffled, most_layers=most_layers) == layers


def test_one_changed_package_moves_little() -> None:
    made = realistic(110)
    total = sum(p.size_bytes or 0 for p in made)
    packed = expected_bytes_moved(pack(made, most_layers=13))
    one_layer = expected_bytes_moved(pack(made, most_layers=1))
    assert one_layer == total
    assert packed < total / 5


def test_an_added_package_changes_one_layer() -> None:
    made = realistic(110)
    before = {layer.packages for layer in pack(made, most_layers=13)}
    after = {layer.packages for layer in pack([*made, package("new", MEGABYTE)], most_layers=13)}
    assert len(after - before) == 1


def test_an_upgrade_changes_one_layer() -> None:
    made = realistic(110)
    before = {layer.packages for layer in pack(made, most_layers=13)}
    changed = [package(p.name, (p.size_bytes or 0) + 1) if p.name == "package-50" else p for p in made]
    assert len({layer.packages for layer in pack(changed, most_layers=13)} - before) == 1


def test_siblings_share_most_of_their_bytes() -> None:
    common = realistic(100)
    sides = [
        {layer.packages for layer in pack([*common, package(f"own-{n}", MEGABYTE)], most_layers=13)} for n in range(2)
    ]
    shared = sum(p.size_bytes or 0 for layer in sides[0] & sides[1] for p in layer)
    assert shared > 0.7 * sum(p.size_bytes or 0 for p in common)


@pytest.mark.parametrize("most_layers", [1, 2])
def test_a_small_limit_still_gives_each_ecosystem_a_layer(most_layers: int) -> None:
    made = [package("a", 1, Ecosystem.APT), package("b", 1, Ecosystem.PIP)]
    assert [layer.ecosystem for layer in pack(made, most_layers=most_layers)] == [Ecosystem.APT, Ecosystem.PIP]


def test_nothing_gives_no_layers() -> None:
    assert pack([], most_layers=10) == ()
    assert expected_bytes_moved(()) == 0


def test_medium_and_small_packages_do_not_share_layers() -> None:
    sizes = [MEDIUM_BYTES + number for number in range(8)] + [MEDIUM_BYTES - 1 - number for number in range(8)]
    packages = [package(f"p{number}", size_bytes=size) for number, size in enumerate(sizes)]
    layers = pack(packages, most_layers=10)
    assert sorted(one.name for layer in layers for one in layer.packages) == sorted(one.name for one in packages)
    for layer in layers:
        assert len({(one.size_bytes or 0) >= MEDIUM_BYTES for one in layer.packages}) == 1


@given(packages, st.integers(2, 20))
def test_debs_are_packed_before_the_others_are_known_as_they_are_with_them(made, most_layers) -> None:  # type: ignore[no-untyped-def]
    debs = [each for each in made if each.ecosystem is Ecosystem.APT]
    both = pack([*made, package("pip-itself", 100)], most_layers=most_layers)
    assert pack(debs, most_layers=most_layers, expected=(Ecosystem.PIP,)) == tuple(
        layer for layer in both if layer.ecosystem is Ecosystem.APT
    )


def test_shared_packages_are_packed_alike_whatever_else_there_is() -> None:
    common = [package(f"common-{n}", MEGABYTE * (n % 7)) for n in range(60)]
    tools = [replace(package(f"tool-{n}", MEGABYTE, Ecosystem.APT), why=("tools/layer.toml:1",)) for n in range(9)]
    needed = replace(package("needed", MEGABYTE, Ecosystem.APT), why=("tool-3", "mine"))
    own = [package(f"own-{n}", MEGABYTE) for n in range(30)]
    mine = replace(package("mine", MEGABYTE, Ecosystem.APT), why=("apt.txt:1",))
    lock = "".join(f"{each.name}==1 \\\n    --hash=sha256:{each.digest.hex}\n" for each in common)
    shared = Shared(origins=["tools/layer.toml:1"], locks=[lock])
    assert shared.among([*own, *common, mine, needed, *tools]) == {*common, needed, *tools}
    alone = pack([*common, *tools, needed], most_layers=13, shared=shared)
    beside = pack([*own, *common, mine, *tools, needed], most_layers=13, shared=shared)
    assert set(alone) <= set(beside)
    assert all("shared" in layer.name for layer in alone)
    assert len(beside) <= 13
    assert sum(len(layer.packages) for layer in beside) == 101


def test_layers_of_debian_packages_can_be_begun_before_others_are_known() -> None:
    debs = [package(f"deb-{n}", MEGABYTE * (n % 5), Ecosystem.APT) for n in range(40)]
    common = [package(f"common-{n}", MEGABYTE) for n in range(9)]
    lock = "".join(f"{each.name}==1 --hash=sha256:{each.digest.hex}\n" for each in common)
    shared = Shared(origins=[], locks=[lock])
    begun = pack(debs, most_layers=13, expected=[Ecosystem.PIP], shared=shared)
    assert set(begun) <= set(pack([*debs, *common], most_layers=13, shared=shared))
    assert set(begun) <= set(pack([*debs, *common, package("own", MEGABYTE)], most_layers=13, shared=shared))
