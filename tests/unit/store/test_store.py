import errno
import os
import time
from pathlib import Path

import pytest

from ocibuild.core.atomic import map_os_error, replacing
from ocibuild.core.descriptor import OCI_MANIFEST, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, IntegrityError, MachineError
from ocibuild.store.eviction import GRACE_SECONDS, StoredFile, files_to_evict, prune, usage
from ocibuild.store.location import store_folder
from ocibuild.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "store")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_blob_is_found_by_its_digest(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"one ")
        writer.write(memoryview(b"two"))
    digest = Digest.of(b"one two")
    assert (writer.digest, writer.size_bytes) == (digest, 7)
    assert digest in store.blobs
    assert store.blobs.read(digest) == b"one two"
    assert store.blobs.size_bytes(digest) == 7
    assert store.blobs.add(b"one two") == digest
    assert len(files(store.folder)) == 1


def test_a_blob_of_another_digest_leaves_nothing(store: Store) -> None:
    with (
        pytest.raises(IntegrityError, match=r"git\.deb: expected"),
        store.blobs.writer(expected=Digest.of(b"good"), where="git.deb") as writer,
    ):
        writer.write(b"bad")
    assert files(store.folder) == []


def test_an_error_while_writing_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.blobs.writer() as writer:
        writer.write(b"half")
        raise ZeroDivisionError
    assert files(store.folder) == []


def test_replacing_keeps_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with replacing(path) as file:
        file.write(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["folder/file"]


def test_a_full_disk_is_the_machines_fault() -> None:
    error = map_os_error(OSError(errno.ENOSPC, "No space left on device"), attempted="writing a blob")
    assert isinstance(error, MachineError)
    assert str(error) == "writing a blob: No space left on device"
    assert "cache prune" in str(error.hint)


def test_an_unwritable_folder_is_the_machines_fault() -> None:
    with (
        pytest.raises((MachineError, BuildError), match="writing /proc/nowhere/file"),
        replacing(Path("/proc/nowhere/file")),
    ):
        pass


def test_records_and_names(store: Store) -> None:
    key = Digest.of(b"key").hex
    assert store.records.get("layer", key) is None
    store.records.put("layer", key, {"size": 3})
    assert store.records.get("layer", key) == {"size": 3}
    assert list(store.records.keys("layer")) == [key]
    descriptor = Descriptor(OCI_MANIFEST, Digest.of(b"manifest"), 8)
    store.images.put("example.org/a:b", descriptor)
    assert store.images.get("example.org/a:b") == descriptor
    assert [image.name for image in store.images.all()] == ["example.org/a:b"]
    store.images.remove("example.org/a:b")
    assert store.images.get("example.org/a:b") is None


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[1, 2"])
def test_a_damaged_record_is_absent(store: Store, damage: bytes) -> None:
    key = Digest.of(b"key").hex
    store.records.put("layer", key, {"size": 3})
    (path,) = (path for path in store.folder.rglob("*.json"))
    path.write_bytes(damage)
    assert store.records.get("layer", key) is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    now = 1e9
    old = [StoredFile(Path(f"b{age}"), 10, now - GRACE_SECONDS - age) for age in (5, 50, 500)]
    new = StoredFile(Path("new"), 1000, now - 1)
    names = [file.path.name for file in files_to_evict([new, *old], now=now, limit_bytes=1015, most_age_seconds=None)]
    assert names == ["b500", "b50"]
    assert files_to_evict([new], now=now, limit_bytes=0, most_age_seconds=0) == []
    aged = files_to_evict(old, now=now, limit_bytes=None, most_age_seconds=GRACE_SECONDS + 100)
    assert [file.path.name for file in aged] == ["b500"]


def test_prune_removes_unfinished_files(store: Store) -> None:
    digest = store.blobs.add(b"data")
    partial = store.folder / "blobs" / "sha256" / ".partial-1-abc"
    partial.write_bytes(b"half")
    os.utime(partial, (0, 0))
    prune(store.folder, now=time.time(), limit_bytes=None, most_age_seconds=None)
    assert files(store.folder) == [f"blobs/sha256/{digest.hex}"]
    assert usage(store.folder).blob_bytes == 4


def test_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_folder({"OCIBUILD_STORE": "/x/y"}) == (Path("/x/y"), None)
    assert store_folder({"XDG_CACHE_HOME": str(tmp_path / "c")}) == (tmp_path / "c/ocibuild", None)
    assert store_folder({"HOME": str(tmp_path)}) == (tmp_path / ".cache/ocibuild", None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder, notice = store_folder({"HOME": "/proc/nowhere"})
    assert folder == tmp_path / f"ocibuild-{os.getuid()}"
    assert notice is not None
    assert "OCIBUILD_STORE" in notice
