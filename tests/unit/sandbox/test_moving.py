import os
import random
from pathlib import Path

import pytest

from ocibuild.image.rootfs import write_rootfs
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from ocibuild.sandbox.chain import Chain, LowerPieces, Piece
from ocibuild.sandbox.execution import Execution, Outcome
from ocibuild.sandbox.prepared_root import PreparedRoot
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.store.roots import RootFolder
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


HOME = [Entry.directory("home"), Entry.directory("home/jovyan", mode=0o750, uid=1000, gid=1000)]


def random_files(chance: random.Random, below: Piece) -> list[Entry]:
    """Files of a repository in a home; some take the place of what lies below."""
    paths = [f"home/jovyan/{name}" for name in chance.sample(["a", "b", "c", "sub/d", "sub/e"], 3)]
    files = [path for path, entry in below.table.entries.items() if entry.kind == "file" and "/" not in path]
    paths += chance.sample(files, min(len(files), chance.randrange(2)))
    found = [Entry.file(path, chance.randbytes(20), mode=chance.choice([0o644, 0o755]), uid=1000) for path in paths]
    return [
        Entry.directory("home/jovyan/sub", mode=0o700),
        *found,
        Entry.symlink("home/jovyan/link", chance.choice("ab")),
    ]


@pytest.mark.parametrize("with_owners", [False, pytest.param(True, marks=pytest.mark.skipif(not ROOT, reason="root"))])
@pytest.mark.parametrize("seed", range(12))
def test_a_move_of_upper_pieces_is_a_whole_move(tmp_path: Path, seed: int, *, with_owners: bool) -> None:
    """Whatever can be told without the lower pieces is what a move by all tables gives."""
    chance = random.Random(seed)
    read: list[str] = []
    lower = [made_piece(tmp_path / "blobs", layer) for layer in random_layers(seed)]

    def reading() -> list[Piece]:
        read.append("x")
        return lower

    offered = [
        [made_piece(tmp_path / "blobs", layer) for layer in (random_files(chance, lower[0]), HOME)] for _ in range(3)
    ]
    root = made_root(tmp_path / "root", with_owners=with_owners)
    cheap = 0
    for _ in range(8):
        pieces = chance.choice(offered)
        before = len(read)
        root.move(Chain(tuple(pieces), LowerPieces(tuple(piece.key for piece in lower), reading)))
        cheap += len(read) == before
        whole = made_root(tmp_path / f"whole{_}", with_owners=with_owners)
        whole.move(Chain((*lower, *pieces)))
        wanted = seen(tmp_path / f"whole{_}" / "tree", owners=with_owners)
        assert seen(tmp_path / "root" / "tree", owners=with_owners) == wanted
        ways = ("change mode", "fill", "link", "touch", "copy", "rename")
        disturb(root.enter() / chance.choice(["home", "."]), chance, ways=chance.sample(ways, 2))
        if chance.random() < 0.7:
            root.capture(Outcome(0), Execution(("step",)), CaptureRules(5))
        if chance.random() < 0.3:
            root = PreparedRoot(RootFolder(tmp_path / "root"), with_owners=with_owners)
    assert cheap
