"""/etc/ld.so.cache against the machine's own ldconfig, byte for byte, over folders of real libraries under odd names."""

import os
import random
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure.ldconfig import run_ldconfig
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View, ViewEntry
from ocibuild.layer.elf import LibraryProbe
from ocibuild.layer.observation import is_library

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="ldconfig -r needs chroot"),
    pytest.mark.skipif(not Path("/usr/lib/x86_64-linux-gnu").is_dir(), reason="its libraries are amd64's"),
]

LIBRARIES = sorted(
    path
    for path in Path("/usr/lib/x86_64-linux-gnu").glob("lib*.so*")
    if path.is_file() and not path.is_symlink() and path.stat().st_size < 400_000
)
FOLDERS = ["usr/lib/x86_64-linux-gnu", "usr/lib", "usr/local/lib", "opt/own/lib", "usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3"]  # fmt: skip


def view_of(root: Path) -> View:
    """The tree as a view, as if it had been recorded while it streamed by."""
    entries: dict[str, ViewEntry] = {}
    libraries: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name, facts = str(path.relative_to(root)), path.lstat()
        if path.is_symlink():
            entries[name] = ViewEntry("symlink", 0o777, link=str(path.readlink()))
        elif path.is_dir():
            entries[name] = ViewEntry("directory", stat.S_IMODE(facts.st_mode))
        else:
            entries[name] = ViewEntry("file", stat.S_IMODE(facts.st_mode), size_bytes=facts.st_size)
            probe = LibraryProbe()
            data = path.read_bytes()
            for start in range(0, len(data), 65_536):
                probe.feed(data[start : start + 65_536])
            if is_library(name) and (found := probe.result()) is not None:
                libraries[name] = found
    return View(entries, libraries=libraries, read_content=lambda path, _: (root / path).read_bytes())


def make_tree(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "sbin"):
        (root / f"usr/{name}").mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/ld.so.conf.d").mkdir(parents=True)
    shutil.copy("/etc/ld.so.conf", root / "etc/ld.so.conf")
    (root / "etc/ld.so.conf.d/a.conf").write_text(
        "# a comment\n/usr/local/lib\nhwcap 0 nosegneg\n/opt/own/lib/ # another\n/opt/own /lib\n"
    )
    (root / "etc/ld.so.conf.d/b.conf").write_text("/nowhere\n/usr/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu\n")
    (root / "var/lib/dpkg").mkdir(parents=True)
    shutil.copy("/var/lib/dpkg/status", root / "var/lib/dpkg/status")
    shutil.copy("/usr/lib/os-release", root / "usr/lib/os-release")
    (root / "var/cache/ldconfig").mkdir(parents=True)
    for library in chance.sample(LIBRARIES, 60):
        place = root / chance.choice(FOLDERS)
        shutil.copy(library, place / library.name)
        stem = library.name.partition(".so")[0]
        for number in range(chance.randrange(3)):
            suffix = chance.choice(["", f".{number}", f".1.{chance.randrange(20)}", ".dpkg-new"])
            other = place / f"{stem}.so{suffix}"
            if other.exists() or other.is_symlink():
                continue
            if chance.random() < 0.5:
                other.symlink_to(library.name)
            else:
                shutil.copy(library, other)
    (root / "usr/lib/libscript.so").write_text("INPUT(libc.so.6)\n")
    (root / "usr/lib/libdangling.so.1").symlink_to("nothing")


def links(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): str(path.readlink()) for path in root.rglob("*") if path.is_symlink()}


@pytest.mark.parametrize("seed", range(30))
def test_the_cache_and_the_links_are_those_of_ldconfig(tmp_path: Path, seed: int) -> None:
    root = tmp_path / "root"
    make_tree(root, seed)
    overlay = Overlay(view_of(root))
    assert run_ldconfig(overlay, architecture="amd64") == ()
    ours = {entry.path: entry.link or entry.read() for entry in overlay.changes()}
    before = links(root)
    subprocess.run(["/sbin/ldconfig", "-r", root], check=True, capture_output=True)
    theirs: dict[str, str | bytes] = {"etc/ld.so.cache": (root / "etc/ld.so.cache").read_bytes()}
    theirs.update({path: target for path, target in links(root).items() if before.get(path) != target})
    assert ours == theirs
