import os
import random
import stat
from pathlib import Path

import pytest

from ocibuild.layer.entry import WHITEOUT_PREFIX
from ocibuild.sandbox.capture import CapturedChange
from ocibuild.sandbox.chain import Chain
from ocibuild.sandbox.execution import Execution, Identity, Outcome
from ocibuild.sandbox.prepared_root import PreparedRoot
from ocibuild.sandbox.selection import CaptureRules
from tests.support.made_roots import PLACEABLE, disturb, made_chain, made_piece, made_root
from tests.support.random_trees import random_layers

ROOT = os.geteuid() == 0
LATER = 1_600_000_000
DONE = Outcome(0)


def captured(root: PreparedRoot, outcome: Outcome = DONE, *, uid: int = 0, **rules: tuple[str, ...]) -> CapturedChange:
    return root.capture(outcome, Execution(("step",), identity=Identity(uid, uid)), CaptureRules(LATER, **rules))


def facts(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every path with all that a layer can say of it, but for times; by the plain means of the standard library."""
    found: dict[str, tuple[object, ...]] = {}
    names: dict[int, list[str]] = {}
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(top) / name
            status = path.lstat()
            relative = str(path.relative_to(folder))
            if stat.S_ISREG(status.st_mode):
                names.setdefault(status.st_ino, []).append(relative)
            content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[relative] = (status.st_mode, status.st_uid, status.st_gid, content)
    links = {name: tuple(sorted(group)) for group in names.values() for name in group}
    return {path: (*what, links.get(path, ())) for path, what in found.items()}


def changed_paths(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> set[str]:
    """What differs, a lost hard link not counted."""
    differ = set()
    for path, what in after.items():
        if path not in before:
            differ.add(path)
            continue
        old = before[path]
        links = tuple(name for name in old[-1] if name in after and after[name][-1])  # type: ignore[attr-defined]
        if old[:-1] != what[:-1] or (what[-1] and links != what[-1]):
            differ.add(path)
    return differ


def without_links(what: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {path: value[:-1] for path, value in what.items()}


OWNERS = [False, pytest.param(True, marks=pytest.mark.skipif(not ROOT, reason="real owners need root"))]
LOCKING = () if ROOT else ("change mode",)  # this test could not read what it left


@pytest.mark.parametrize("with_owners", OWNERS)
@pytest.mark.parametrize("seed", range(8))
def test_the_change_is_what_differs_and_makes_the_same_tree(tmp_path: Path, seed: int, *, with_owners: bool) -> None:
    chance = random.Random(seed)
    forgone = LOCKING if with_owners else (*LOCKING, "copy")  # where owners are faked a copy is its maker's
    chain = made_chain(tmp_path / "blobs", *random_layers(seed))
    root = made_root(tmp_path / "root", with_owners=with_owners)
    root.move(chain)
    folder = tmp_path / "root" / "tree"
    before = facts(folder)
    for _ in range(3):
        disturb(root.enter(), chance, ways=[way for way in PLACEABLE if way not in forgone])
    after = facts(folder)
    change = captured(root)
    entries = list(change.entries())

    paths = {entry.path for entry in entries if WHITEOUT_PREFIX not in entry.path}
    expected = changed_paths(before, after)
    company = {str(above) for path in (entry.path for entry in entries) for above in Path(path).parents}
    linked = {name for path in expected for name in after[path][-1]}  # type: ignore[attr-defined]
    assert expected <= paths <= expected | company | linked
    assert change.count == len(entries)
    key = change.digest if chance.random() < 0.5 else None  # with it, what is there already is left there
    piece = made_piece(tmp_path / "blobs", entries, key=key)
    root.move(Chain((*chain.pieces, piece)))
    assert without_links(facts(folder)) == without_links(after)
    fresh = made_root(tmp_path / "fresh", with_owners=with_owners)
    fresh.move(Chain((*chain.pieces, piece)))
    assert facts(tmp_path / "fresh" / "tree") == facts(folder)
    root.move(chain)
    assert facts(folder) == before
