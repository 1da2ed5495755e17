"""/etc/ssl/certs against the machine's own update-ca-certificates, over lists that trust other parts each time."""

import os
import random
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.configure.ca_certificates import update_ca_certificates
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import View, ViewEntry

SHIPPED = Path("/usr/share/ca-certificates")
pytestmark = [
    pytest.mark.skipif(shutil.which("update-ca-certificates") is None, reason="ca-certificates is not here"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the tree is made with root's owners"),
    pytest.mark.root,
]


def view_of(root: Path) -> View:
    entries = {}
    for path in sorted(root.rglob("*")):
        name, facts = str(path.relative_to(root)), path.lstat()
        if path.is_symlink():
            entries[name] = ViewEntry("symlink", 0o777, link=str(path.readlink()))
        else:
            kind = "directory" if path.is_dir() else "file"
            entries[name] = ViewEntry(kind, stat.S_IMODE(facts.st_mode), size_bytes=facts.st_size)
    return View(entries, read_content=lambda path, _: (root / path).read_bytes())


def snapshot(root: Path) -> dict[str, bytes | str]:
    folder = root / "etc/ssl/certs"
    return {
        path.name: str(path.readlink()).removeprefix(str(root)) if path.is_symlink() else path.read_bytes()
        for path in folder.iterdir()
    }


def update(root: Path) -> None:
    """The program with the tree's folders; its links name the tree, as there is no chroot."""
    folders = {
        "--certsconf": "etc/ca-certificates.conf",
        "--certsdir": "usr/share/ca-certificates",
        "--localcertsdir": "usr/local/share/ca-certificates",
        "--etccertsdir": "etc/ssl/certs",
        "--hooksdir": "etc/ca-certificates/update.d",
    }
    arguments = [word for option, folder in folders.items() for word in (option, f"{root}/{folder}")]
    subprocess.run(["update-ca-certificates", *arguments], check=True, capture_output=True)


def ours(root: Path) -> dict[str, bytes | str]:
    overlay = Overlay(view_of(root))
    assert update_ca_certificates(overlay) == ()
    found: dict[str, bytes | str] = {}
    for name in overlay.children("etc/ssl/certs"):
        entry = overlay.get(f"etc/ssl/certs/{name}")
        assert entry is not None
        found[name] = entry.link if entry.kind == "symlink" else overlay.read(f"etc/ssl/certs/{name}")
    return found


def make_tree(root: Path) -> list[str]:
    shutil.copytree(SHIPPED, root / "usr/share/ca-certificates")
    (root / "etc/ssl/certs").mkdir(parents=True)
    local = root / "usr/local/share/ca-certificates/odd"
    local.mkdir(parents=True)
    for number, kind in enumerate(("utf8only", "default", "nombstr")):
        subject = f"/C=SE/O=  Räksmörgås  \t AB {number} /CN=Own (test), {number}"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", root / "key", "-days", "9",
             "-out", local / f"own ({kind}),{number}.crt", "-subj", subject, "-utf8"],
            check=True, capture_output=True,
        )  # fmt: skip
    (root / "key").unlink()
    shipped = sorted(str(path.relative_to(SHIPPED)) for path in SHIPPED.rglob("*.crt"))
    shutil.copy(SHIPPED / shipped[0], local / "twice.crt")  # a duplicate under another name
    return shipped


def test_the_folder_and_its_changes_are_those_of_the_program(tmp_path: Path) -> None:
    root = tmp_path / "root"
    shipped = make_tree(root)
    chance = random.Random(7)
    for round_number in range(6):
        lines = [f"{'!' if round_number and chance.random() < 0.3 else ''}{name}\n" for name in shipped]
        (root / "etc/ca-certificates.conf").write_text("# a comment\n\n" + "".join(lines))
        found = ours_with_links_of(root)
        update(root)
        assert found == snapshot(root)


def ours_with_links_of(root: Path) -> dict[str, bytes | str]:
    """Our folder; links into the tree are read as the chroot would see them."""
    for path in (root / "etc/ssl/certs").iterdir():
        if path.is_symlink() and str(path.readlink()).startswith(str(root)):
            target = str(path.readlink()).removeprefix(str(root))
            path.unlink()
            path.symlink_to(target)
    found = ours(root)
    for path in (root / "etc/ssl/certs").iterdir():
        if path.is_symlink() and str(path.readlink()).startswith("/"):
            target = f"{root}/{str(path.readlink()).lstrip('/')}"
            path.unlink()
            path.symlink_to(target)
    return found
