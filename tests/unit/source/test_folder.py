import os
import subprocess
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.source.folder import read_folder
from ocibuild.source.tree import SourceFile
from ocibuild.store.records import RecordStore


def test_a_folder_as_a_tree(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/run.sh").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "b/run.sh").chmod(0o710)
    (tmp_path / "a.txt").write_bytes(b"text")
    (tmp_path / "a.txt").chmod(0o660)
    (tmp_path / "link").symlink_to("../outside")
    (tmp_path / ".git").mkdir()
    tree = read_folder(tmp_path)
    assert tree.files == (
        SourceFile("a.txt", 4, Digest.of(b"text")),
        SourceFile("b"),
        SourceFile("b/run.sh", 10, Digest.of(b"#!/bin/sh\n"), is_executable=True),
        SourceFile("link", link="../outside"),
    )
    assert tree.read("a.txt") == b"text"
    assert tree.read("none") is None
    assert tree.read("b") is None
    assert tree.commit_time is None


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    tree = read_folder(tmp_path)
    assert b"".join(tree.stream(tree.files[0])) == b"one"
    (tmp_path / "a").write_text("two")
    with pytest.raises(RepositoryError, match="a: changed while it was packed"):
        list(tree.stream(tree.files[0]))


def test_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/apt.txt").symlink_to("../secret")
    assert read_folder(tmp_path / "repo").read("apt.txt") is None


def test_the_digest_sees_what_matters_only(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    before = read_folder(tmp_path).digest
    file.chmod(0o600)
    os.utime(file, (1, 1))
    assert read_folder(tmp_path).digest == before
    file.chmod(0o700)
    executable = read_folder(tmp_path).digest
    assert executable != before
    file.write_text("2")
    assert read_folder(tmp_path).digest not in (before, executable)


def test_a_remembered_digest_is_used_and_a_change_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = RecordStore(tmp_path / "records")
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "a").write_text("one")
    os.utime(repository / "a", (1000, 1000))
    import ocibuild.source.folder as module  # noqa: PLC0415 - the module under test

    monkeypatch.setattr(module, "_RACY_NANOSECONDS", -(10**18))
    first = read_folder(repository, records=records)
    read: list[str] = []
    digest = module._digest

    def counted(path: str) -> Digest:
        read.append(path)
        return digest(path)

    monkeypatch.setattr(module, "_digest", counted)
    assert read_folder(repository, records=records).files == first.files
    assert read == []
    (repository / "a").write_text("two")
    assert read_folder(repository, records=records).files != first.files
    assert len(read) == 1


def test_a_file_of_this_moment_is_not_remembered(tmp_path: Path) -> None:
    records = RecordStore(tmp_path / "records")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/a").write_text("one")
    read_folder(tmp_path / "repo", records=records)
    assert list(records.keys("source-digests")) == []


def test_the_time_of_the_commit(tmp_path: Path) -> None:
    environment = {**os.environ, "GIT_COMMITTER_DATE": "@1700000000 +0100", "HOME": str(tmp_path)}
    for command in (
        ["git", "init", "-q", "."],
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert read_folder(tmp_path).commit_time == 1700000000


def test_what_cannot_be_packed_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RepositoryError, match=r"pipe: neither a file"):
        read_folder(tmp_path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        read_folder(tmp_path / "none")
