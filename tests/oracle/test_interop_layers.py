"""Layers as the program makes them, many frames and the folders at the end, come out right in other programs."""

import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.events import discard
from ocibuild.core.platform import Platform
from ocibuild.image.layout import LayoutTarget, write_layout
from ocibuild.image.view import LayerTable, View
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.placement import Placement
from ocibuild.plan.skeleton import FolderOwner, declared_folders, skeleton
from ocibuild.store.image_source import StoreSource
from ocibuild.store.store import Store
from ocibuild.work.assemble import ImageSettings, assemble
from ocibuild.work.base import empty_base
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.layers import FragmentRecipe, LayerMaker, LayerRecipe, MadeLayer
from ocibuild.work.stack import tables_of
from tests.support.podman import Podman, run

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="unpacking with owners needs root"),
    pytest.mark.skipif(not all(map(shutil.which, ("umoci", "podman"))), reason="umoci and podman are not both here"),
]

LOWER = [
    Entry.directory("var/mail", mode=0o2775, gid=8),
    Entry.directory("var/locked", mode=0o555, uid=7),
    Entry.directory("tmp", mode=0o1777),
    Entry.file("usr/bin/tool", os.urandom(3_000_000), mode=0o755),
    Entry("usr/bin/same", EntryKind.HARDLINK, 0o755, link="usr/bin/tool"),
]
UPPER = [
    Entry.file("var/mail/new", os.urandom(100), uid=1000, gid=8),
    Entry.file("var/locked/new", b"in a folder that nobody may write"),
    Entry.file("home/user/deep/er/file", b"text", uid=1000, gid=1000),
    Entry.symlink("tmp/link", "/usr/bin/tool"),
]
FOLDERS = {
    "var/mail": (0o2775, 0, 8),
    "var/locked": (0o555, 7, 0),
    "tmp": (0o1777, 0, 0),
    "home": (0o755, 0, 0),
    "home/user/deep/er": (0o755, 1000, 1000),
}


def image(store: Store, compression: Compression) -> StoreSource:
    maker = LayerMaker(store, compressor_for(compression), budget=MemoryBudget(64 << 20), events=discard, workers=2)

    def make(name: str, groups: list[list[Entry]], below: View) -> MadeLayer:
        fragments = tuple(
            FragmentRecipe(Digest.of(os.urandom(8)).hex, name, partial(Placement, group)) for group in groups
        )
        owners = [FolderOwner(), FolderOwner("home/user", 1000, 1000)]

        def folders(tables: Sequence[LayerTable]) -> list[Entry]:
            return skeleton(tables, below=below, declared=declared_folders(tables), owners=owners)

        return maker.make_all([LayerRecipe(name, fragments, folders)])[0]

    lower = make("lower", [[entry] for entry in LOWER[:-2]] + [LOWER[-2:]], View())
    upper = make("upper", [[entry] for entry in UPPER], View().extended(tables_of([lower])))
    settings = ImageSettings(MappingProxyType({}), MappingProxyType({}))
    descriptor = assemble(
        empty_base(Platform()), [lower, upper], settings=settings, created=315532800, timed=frozenset(), store=store
    )
    return StoreSource(store, descriptor, name="made")


def check(root: Path) -> None:
    for path, (mode, uid, gid) in FOLDERS.items():
        status = (root / path).lstat()
        assert (path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (path, mode, uid, gid)
    assert (root / "usr/bin/tool").read_bytes() == LOWER[3].content
    assert (root / "usr/bin/tool").stat().st_ino == (root / "usr/bin/same").stat().st_ino
    assert (root / "var/locked/new").read_bytes() == UPPER[1].content
    assert (root / "var/mail/new").stat().st_uid == 1000
    assert str((root / "tmp/link").readlink()) == "/usr/bin/tool"


def test_umoci(tmp_path: Path) -> None:
    write_layout(image(Store.at(tmp_path / "store"), Compression.GZIP), LayoutTarget(tmp_path / "layout", "tag"))
    run("umoci", "unpack", "--image", f"{tmp_path}/layout:tag", tmp_path / "bundle")
    check(tmp_path / "bundle/rootfs")


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.parametrize("compression", list(Compression))
def test_podman(tmp_path: Path, compression: Compression, driver: str) -> None:
    """With overlay each layer is unpacked by itself: a folder that it lacks, or gets wrong, hides the one below."""
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    write_layout(image(Store.at(tmp_path / "store"), compression), LayoutTarget(tmp_path / "layout", "tag"))
    with tempfile.TemporaryDirectory(prefix="podman-") as folder:
        podman = Podman(Path(folder), policy)
        podman.command = (*podman.command[:-1], driver)
        try:
            check(podman.mount(podman.pull(f"oci:{tmp_path}/layout:tag")))
        finally:
            podman.close()
