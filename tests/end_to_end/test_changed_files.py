"""Where files changed that nothing reads, only the repository's layer is made; the image is that of a whole build."""

import json
from pathlib import Path

import pytest

from ocibuild.image.layout import LayoutTarget, write_layout
from ocibuild.layer.entry import Entry
from tests.end_to_end.conftest import Program, repository
from tests.support.apt_repository import make_deb
from tests.support.made_images import MadeImage
from tests.support.tiny_system import TinySystem

_RESOLVING = "resolving: for"


def fresh(tmp_path: Path, *arguments: str | Path, epoch: str = "") -> str:
    """What a store of nothing makes."""
    return Program(tmp_path / "fresh-store", {"SOURCE_DATE_EPOCH": epoch}).result("build", *arguments)


def test_a_changed_file(program: Program, system: TinySystem, tmp_path: Path) -> None:
    system.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"#!/bin/sh\necho hello\n"}))
    system.publish()
    base, source = system.base(program), repository(tmp_path / "repository", apt_txt="hello\n", main_py="1")
    first = program.run("build", source, "--base", base)
    assert _RESOLVING in first.stderr
    (source / "main.py").write_text("2")
    (source / "folder/below").mkdir(parents=True)
    (source / "folder/below/data").write_bytes(bytes(1000))
    (source / "folder/link").symlink_to("below")
    changed = program.run("build", source, "--base", base, "--json", SOURCE_DATE_EPOCH="1700000000")
    assert _RESOLVING not in changed.stderr
    made = json.loads(changed.stdout)
    assert made["is_new"]
    assert made["digest"] != first.stdout.strip()
    assert made["digest"] == fresh(tmp_path, source, "--base", base, epoch="1700000000")
    program.result("build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}", SOURCE_DATE_EPOCH="1700000000")
    program.result("check", f"oci:{tmp_path / 'image'}")
    (source / "main.py").unlink()
    again = program.result("build", source, "--base", base)
    assert again == Program(tmp_path / "other-store", {}).result("build", source, "--base", base)


def test_what_is_asked_is_resolved(program: Program, system: TinySystem, tmp_path: Path) -> None:
    for name in ("hello", "other"):
        system.add(make_deb(name, "1.0"))
    system.publish()
    base, source = system.base(program), repository(tmp_path / "repository", apt_txt="hello\n")
    program.result("build", source, "--base", base)
    repository(source, apt_txt="hello\nother\n")
    assert _RESOLVING in program.run("build", source, "--base", base).stderr
    repository(source, notes_txt="x")
    assert _RESOLVING in program.run("build", source, "--base", base, "--env", "A=B").stderr
    repository(source, notes_txt="y")
    assert _RESOLVING in program.run("build", source, "--base", base, "--refresh").stderr
    repository(source, notes_txt="z")
    assert _RESOLVING in program.run("build", source, "--base", base, "--max-age", "0").stderr
    repository(source, notes_txt="last")
    assert _RESOLVING not in program.run("build", source, "--base", base).stderr


def test_an_index(program: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repository", notes_txt="1")
    options = ["--base", "scratch", "--platform", "linux/arm64", "--platform", "linux/amd64"]
    program.result("build", source, *options)
    repository(source, notes_txt="2")
    changed = program.run("build", source, *options)
    assert _RESOLVING not in changed.stderr
    assert changed.stdout.strip() == fresh(tmp_path, source, *options)


@pytest.mark.parametrize("below", ["folders", "link"])
def test_folders_that_the_base_has_already(program: Program, tmp_path: Path, below: str) -> None:
    home = [
        Entry.directory("home", mode=0o711),
        Entry.directory("home/jovyan", mode=0o700, uid=1000, gid=1000),
        Entry.directory("home/jovyan/.config", mode=0o750, uid=7, gid=8),
    ]
    link = [Entry.directory("home/jovyan"), Entry.symlink("home/jovyan/data", "/srv"), Entry.directory("srv")]
    write_layout(MadeImage([home if below == "folders" else link]).source(), LayoutTarget(tmp_path / "base"))
    source = repository(tmp_path / "repository", notes_txt="1")
    program.result("build", source, "--base", f"oci:{tmp_path / 'base'}")
    for folder in (".config", "data"):
        repository(source / folder, a_txt="new")
    changed = program.run("build", source, "--base", f"oci:{tmp_path / 'base'}")
    assert (_RESOLVING in changed.stderr) is (below == "link")
    assert changed.stdout.strip() == fresh(tmp_path, source, "--base", f"oci:{tmp_path / 'base'}")


def test_a_lost_layer_is_made_again(program: Program, system: TinySystem, tmp_path: Path) -> None:
    system.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"x" * 1000}))
    system.publish()
    base, source = system.base(program), repository(tmp_path / "repository", apt_txt="hello\n", main_py="1")
    program.result("build", source, "--base", base)
    for blob in (program.store / "blobs/sha256").iterdir():
        if blob.read_bytes().startswith(b"\x28\xb5\x2f\xfd"):  # zstd: a layer
            blob.unlink()
    repository(source, main_py="2")
    changed = program.run("build", source, "--base", base)
    assert changed.returncode == 0
    assert changed.stdout.strip() == fresh(tmp_path, source, "--base", base)
