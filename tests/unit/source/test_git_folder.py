import os
import random
import subprocess
from pathlib import Path

import pytest

from ocibuild.core.errors import RepositoryError
from ocibuild.layer.entry import EntryKind
from ocibuild.source.git_folder import git_entries
from ocibuild.source.git_state import read_git_state

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}


def git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").write_text("x" * 300)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("run")
    (folder / "empty").write_bytes(b"")
    (folder / "large").write_bytes(random.Random(1).randbytes(200_000))
    (folder / "exact").write_bytes(bytes(65535 * 2))
    (folder / 'name with ä and "quotes"').write_text("y")
    (folder / ("long" * 60)).write_text("z")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "second")
    git(folder, "remote", "add", "origin", "https://me:secret@example.org/a/b.git")
    return folder


def written(checkout: Path, folder: Path) -> dict[str, bytes]:
    """The made ``.git`` as bytes by path, also laid into ``folder`` beside a copy of the files."""
    state = read_git_state(checkout)
    assert state is not None
    contents = {}
    for entry in git_entries(state, ".git", modified=5):
        where = folder / entry.path
        if entry.kind is EntryKind.DIRECTORY:
            where.mkdir(parents=True)
            continue
        contents[entry.path] = entry.read()
        assert len(contents[entry.path]) == entry.size_bytes, entry.path
        where.write_bytes(contents[entry.path])
    return contents


def test_git_itself_finds_nothing_wrong(checkout: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(checkout), str(copy)], check=True)
    subprocess.run(["rm", "-rf", str(copy / ".git")], check=True)
    written(checkout, copy)
    assert "error" not in git(copy, "fsck", "--strict", "--full")
    assert git(copy, "status", "--porcelain", "--branch") == "## main...origin/main"
    assert git(copy, "log", "--format=%H %s") == git(checkout, "log", "-1", "--format=%H %s")
    assert git(copy, "diff", "HEAD") == ""
    (pack,) = (copy / ".git" / "objects" / "pack").glob("*.idx")
    git(copy, "verify-pack", str(pack))
    git(copy, "commit", "-q", "--allow-empty", "-m", "on top of it")


def test_a_change_of_the_files_is_seen(checkout: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(checkout), str(copy)], check=True)
    subprocess.run(["rm", "-rf", str(copy / ".git"), str(copy / "run")], check=True)
    (copy / "empty").write_text("no more")
    written(checkout, copy)
    assert git(copy, "status", "--porcelain").splitlines() == ["M empty", " D run"]


def test_it_holds_no_credential_and_two_checkouts_give_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["cp", "-a", str(checkout), str(other)], check=True)
    git(other, "gc", "-q", "--aggressive")
    git(other, "remote", "set-url", "origin", "https://you:word@example.org/a/b.git")
    git(other, "branch", "unrelated")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = written(checkout, tmp_path / "one"), written(other, tmp_path / "two")
    assert first == second
    assert not any(b"secret" in content or b"me:" in content for content in first.values())
    assert b"https://example.org/a/b.git" in first[".git/config"]


def test_a_shallow_clone_gives_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "remote", "set-url", "origin", f"file://{checkout}")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{checkout}", "shallow")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert written(checkout, tmp_path / "one") == written(tmp_path / "shallow", tmp_path / "two")
    state = read_git_state(checkout)
    assert state is not None
    assert state.commit_time == 1767225600


def test_a_checkout_cannot_have_anything_run(checkout: Path, tmp_path: Path) -> None:
    tree = git(checkout, "rev-parse", "HEAD:run")
    (checkout / ".git/objects" / tree[:2] / tree[2:]).unlink()
    git(checkout, "config", "extensions.partialClone", "origin")
    git(checkout, "config", "remote.origin.promisor", "true")
    git(checkout, "remote", "set-url", "origin", f"ext::touch {tmp_path}/was-run")
    git(checkout, "config", "protocol.ext.allow", "always")
    (tmp_path / "copy").mkdir()
    with pytest.raises(RepositoryError, match="git has no object") as caught:
        written(checkout, tmp_path / "copy")
    assert caught.value.hint == "fetch it, or ignore .git"
    assert not (tmp_path / "was-run").exists()


def test_a_detached_head_without_remote(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "checkout", "-q", "--detach", "HEAD~1")
    git(checkout, "remote", "remove", "origin")
    (tmp_path / "copy").mkdir()
    contents = written(checkout, tmp_path / "copy")
    assert contents[".git/HEAD"].decode().strip() == git(checkout, "rev-parse", "HEAD")
    assert ".git/shallow" not in contents
    assert git(tmp_path / "copy", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("git@example.org:a/b.git", b"git@example.org:a/b.git"),
        ("ssh://git:word@example.org/a", b"ssh://git@example.org/a"),
        ("/home/me/b", b""),
        ("file:///home/me/b", b""),
    ],
)
def test_what_is_told_of_the_remote(checkout: Path, tmp_path: Path, url: str, told: bytes) -> None:
    git(checkout, "remote", "set-url", "origin", url)
    (tmp_path / "copy").mkdir()
    config = written(checkout, tmp_path / "copy")[".git/config"]
    assert (b"url = " in config) is bool(told)
    assert told in config
    assert b"word" not in config


def test_what_is_no_checkout(tmp_path: Path) -> None:
    assert read_git_state(tmp_path) is None
    (tmp_path / ".git").write_text("gitdir: /nonexistent")
    assert read_git_state(tmp_path) is None


def test_submodules_are_listed_without_their_objects(checkout: Path, tmp_path: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    git(checkout, "commit", "-q", "-m", "sub")
    copy = tmp_path / "copy"
    copy.mkdir()
    written(checkout, copy)
    assert f"160000 {commit} 0\tsub" in git(copy, "ls-files", "--stage")
    git(copy, "fsck", "--full")
