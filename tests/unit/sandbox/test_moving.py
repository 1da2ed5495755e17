import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ocibuild.core.errors import BuildError, ImageError
from ocibuild.image.rootfs import write_rootfs
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.sandbox.chain import Chain, folders_piece
from ocibuild.sandbox.prepared_root import PreparedRoot
from tests.support.made_images import MadeImage
from tests.support.made_roots import made_chain, made_piece, made_root
from tests.support.random_trees import random_layers
from tests.support.trees import tree

ROOT = os.geteuid() == 0


def disturb(folder: Path, chance: random.Random) -> None:
    """Change the tree as a hostile program would: links to elsewhere, files in place of folders, locked folders."""
    paths = sorted(path for path in folder.rglob("*"))
    for path in chance.sample(paths, min(12, len(paths))):
        if not os.path.lexists(path) or (not ROOT and not os.access(path.parent, os.W_OK)):
            continue
        way = chance.randrange(8)
        if way == 0:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink()
            if os.path.lexists(path):  # a locked folder, which this user may not remove
                continue
            path.symlink_to(chance.choice(["/etc", "..", "nowhere", str(folder.parent.parent / "outside")]))
        elif way == 1 and not path.is_symlink():
            path.chmod(chance.choice([0, 0o500, 0o777, 0o4755]))
        elif way == 2 and not path.is_symlink() and path.is_file() and os.access(path, os.W_OK):
            path.write_bytes(path.read_bytes()[::-1])
        elif way == 3:
            path.rename(path.with_name(f"moved{chance.random()}"))
        elif way == 4 and path.is_dir() and not path.is_symlink() and os.access(path, os.W_OK):
            (path / "bad\nname\udcff").mkdir(exist_ok=True)
            (path / ("n" * 255)).write_bytes(b"")
        elif way == 5 and not path.is_dir() and not path.is_symlink():
            path.with_name(f"link{chance.random()}").hardlink_to(path)
        elif way == 6:
            os.utime(path, (1, 1), follow_symlinks=False)
        elif way == 7 and not path.is_dir():
            path.unlink()
            os.mkfifo(path)


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
@pytest.mark.parametrize("seed", range(12))
def test_a_moved_root_is_the_unpacked_chain(tmp_path: Path, seed: int, with_owners: bool) -> None:
    chance = random.Random(seed)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("safe")
    root = made_root(tmp_path / "root", with_owners=with_owners)
    expected = {}
    offered = chains(tmp_path / "blobs", seed)
    for number, (_, layers) in enumerate(offered):
        write_rootfs(MadeImage(layers).source(), tmp_path / f"unpacked{number}")
        expected[number] = seen(tmp_path / f"unpacked{number}", owners=with_owners)
    for _ in range(8):
        number = chance.randrange(len(offered))
        root.move(offered[number][0])
        assert seen(tmp_path / "root" / "tree", owners=with_owners) == expected[number]
        if chance.random() < 0.7:
            disturb(root.enter(), chance)
    assert sorted(os.listdir(tmp_path / "outside")) == ["precious"]
    assert (tmp_path / "outside" / "precious").read_text() == "safe"
    assert (tmp_path / "outside" / "precious").stat().st_nlink == 1
