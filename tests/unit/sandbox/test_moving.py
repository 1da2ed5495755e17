import os
import random
from pathlib import Path

import pytest

from ocibuild.image.rootfs import write_rootfs
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from ocibuild.sandbox.chain import Chain
from tests.support.made_images import MadeImage
from tests.support.made_roots import disturb, made_piece, made_root
from tests.support.random_trees import random_layers
from tests.support.trees import tree

ROOT = os.geteuid() == 0


def chains(folder: Path, seed: int) -> list[tuple[Chain, list[list[Entry]]]]:
    """Chains that share pieces, and the layers that they are."""
    first, second = random_layers(seed), random_layers(seed + 1000)
    pieces = [made_piece(folder, layer, compression=list(Compression)[seed % 3]) for layer in (*first, *second)]
    layers = [*first, *second]
    stacks = [[0], [0, 1], [0, 1, 2], [3, 4], [3], [3, 4, 5]]
    return [
        (Chain(tuple(pieces[number] for number in stack)), [layers[number] for number in stack]) for stack in stacks
    ]


def seen(folder: Path, *, owners: bool) -> dict[str, tuple[object, ...]]:
    """What :func:`tree` says, with times of folders, and without owners where they are nobody's business."""
    return {
        path: (facts[0], *(facts[1:3] if owners else ()), *facts[3:], (folder / path).lstat().st_mtime)
        for path, facts in tree(folder).items()
    }


@pytest.mark.parametrize("with_owners", [False, pytest.param(True, marks=pytest.mark.skipif(not ROOT, reason="root"))])
@pytest.mark.parametrize("seed", range(8))
def test_a_moved_root_is_the_unpacked_chain(tmp_path: Path, seed: int, *, with_owners: bool) -> None:
    chance = random.Random(seed)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("safe")
    root = made_root(tmp_path / "root", with_owners=with_owners)
    expected = {}
    offered = chains(tmp_path / "blobs", seed)
    for number, (_, layers) in enumerate(offered):
        write_rootfs(MadeImage(layers).source(), tmp_path / f"unpacked{number}")
        expected[number] = seen(tmp_path / f"unpacked{number}", owners=with_owners)
    for _ in range(6):
        number = chance.randrange(len(offered))
        root.move(offered[number][0])
        assert seen(tmp_path / "root" / "tree", owners=with_owners) == expected[number]
        if chance.random() < 0.7:
            disturb(root.enter(), chance)
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["precious"]
    assert (tmp_path / "outside" / "precious").read_text() == "safe"
    assert (tmp_path / "outside" / "precious").stat().st_nlink == 1
