import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.events import discard
from ocibuild.image.view import LayerTable, View
from ocibuild.layer.compression import Compression, compressor_for, open_decompressed
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.placement import Placement
from ocibuild.plan.skeleton import FolderOwner, declared_folders, skeleton
from ocibuild.store.store import Store
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.layers import FragmentRecipe, LayerMaker, LayerRecipe, MadeLayer

MEGABYTE = 1 << 20


def recipe(name: str, *fragments: FragmentRecipe) -> LayerRecipe:
    def folders(tables: object) -> list[Entry]:
        assert isinstance(tables, list)
        return skeleton(tables, below=View(), declared=declared_folders(tables))

    return LayerRecipe(name, fragments, folders)


class Package:
    """A made-up package that counts how often it is placed."""

    def __init__(self, name: str, size_bytes: int = 1000) -> None:
        self.name = name
        self.content = Digest.of(name.encode()).hex.encode() * (size_bytes // 64 + 1)
        self.placed = 0

    def place(self) -> Placement:
        self.placed += 1
        placement = Placement(self._entries())
        placement.notes["control"] = self.name.encode()
        return placement

    def _entries(self) -> list[Entry]:
        return [
            Entry.directory(f"opt/{self.name}", mode=0o750),
            Entry.file(f"opt/{self.name}/data", self.content),
            Entry.symlink(f"opt/{self.name}/link", "data"),
        ]

    @property
    def fragment(self) -> FragmentRecipe:
        return FragmentRecipe(Digest.of(self.name.encode()).hex, self.name, self.place)


def maker(folder: Path, compression: Compression = Compression.ZSTD, budget_bytes: int = 64 * MEGABYTE) -> LayerMaker:
    return LayerMaker(
        Store.at(folder), compressor_for(compression), budget=MemoryBudget(budget_bytes), events=discard, workers=2
    )


def read(folder: Path, layer: MadeLayer, compression: Compression = Compression.ZSTD) -> bytes:
    with Store.at(folder).blobs.open(layer.descriptor.digest) as blob:
        raw = open_decompressed(blob, compression, where="layer").read()
    assert Digest.of(raw) == layer.diff_id
    assert len(raw) == layer.raw_bytes
    return raw


def test_an_error_ends_the_other_layers_and_is_the_one_that_is_raised(tmp_path: Path) -> None:
    stopped, waiting = threading.Event(), threading.Event()

    def wait_for_the_end() -> Placement:  # as for a download of a server that says nothing any more
        waiting.set()
        assert stopped.wait(20)
        raise BuildError("stopped")

    def fail() -> Placement:
        assert waiting.wait(20)
        raise BuildError("the archive is damaged")

    making = LayerMaker(
        Store.at(tmp_path),
        compressor_for(Compression.ZSTD),
        budget=MemoryBudget(512 * MEGABYTE),
        events=discard,
        workers=2,
        stopped=stopped,
    )
    slow, damaged = FragmentRecipe("0" * 64, "slow", wait_for_the_end), FragmentRecipe("1" * 64, "damaged", fail)
    with pytest.raises(BuildError, match="damaged"):
        making.make_all([recipe("slow", slow), recipe("damaged", damaged)])


@pytest.mark.parametrize("compression", list(Compression))
def test_a_layer_holds_its_fragments_and_their_folders(tmp_path: Path, compression: Compression) -> None:
    (layer,) = maker(tmp_path, compression).make_all([recipe("one", Package("a").fragment, Package("b").fragment)])
    raw = read(tmp_path, layer, compression)
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        names = [(member.name, member.mode) for member in archive if member.isdir()]
        assert names == [("opt", 0o755), ("opt/a", 0o750), ("opt/b", 0o750)]
        assert [member.name for member in archive][:2] == ["opt/a/data", "opt/a/link"]
    assert raw.endswith(bytes(1024))
    assert [fragment.notes for fragment in layer.fragments] == [{"control": b"a"}, {"control": b"b"}]


def test_what_the_store_holds_is_not_made_again(tmp_path: Path) -> None:
    a, b, c = Package("a"), Package("b", 40 * MEGABYTE), Package("c")
    make = maker(tmp_path).make_all
    first, second = make([recipe("one", a.fragment, b.fragment), recipe("two", c.fragment)])
    again, _ = make([recipe("one", a.fragment, b.fragment), recipe("two", c.fragment)])
    assert again.cached
    assert again.descriptor == first.descriptor
    (moved,) = make([recipe("three", b.fragment, c.fragment)])
    assert (a.placed, b.placed, c.placed) == (1, 1, 1)
    assert not moved.cached
    assert read(tmp_path, moved)
    fresh = tmp_path / "fresh"
    (same,) = maker(fresh).make_all([recipe("three", Package("b", 40 * MEGABYTE).fragment, Package("c").fragment)])
    assert same.descriptor == moved.descriptor
    assert second.descriptor != moved.descriptor


def test_an_evicted_layer_is_made_again(tmp_path: Path) -> None:
    a = Package("a")
    make = maker(tmp_path).make_all
    (first,) = make([recipe("one", a.fragment)])
    Store.at(tmp_path).blobs.path(first.descriptor.digest).unlink()
    (again,) = make([recipe("one", a.fragment)])
    assert again.descriptor == first.descriptor
    assert a.placed == 2


def test_what_is_begun_is_not_made_twice(tmp_path: Path) -> None:
    a, b = Package("a"), Package("b")
    made: list[str] = []
    making = LayerMaker(
        Store.at(tmp_path),
        compressor_for(Compression.ZSTD),
        budget=MemoryBudget(64 * MEGABYTE),
        events=discard,
        on_made=lambda layer: made.append(layer.name),
    )
    with making:
        making.begin([recipe("one", a.fragment)])
        layers = making.make_all([recipe("one", a.fragment), recipe("two", b.fragment)])
    assert (a.placed, b.placed) == (1, 1)
    assert sorted(made) == ["one", "two"]
    fresh = maker(tmp_path / "fresh").make_all([recipe("one", Package("a").fragment)])
    assert fresh[0].descriptor == layers[0].descriptor


def test_a_layer_that_was_begun_with_other_folders_is_made_again(tmp_path: Path) -> None:
    a = Package("a")
    other = LayerRecipe("one", (a.fragment,), lambda _: [Entry.directory("opt", mode=0o700)])
    with maker(tmp_path) as making:
        making.begin([other])
        (layer,) = making.make_all([recipe("one", a.fragment)])
    assert a.placed == 1
    (fresh,) = maker(tmp_path / "fresh").make_all([recipe("one", Package("a").fragment)])
    assert layer.descriptor == fresh.descriptor


def test_an_error_of_what_was_begun_is_raised_where_it_is_wanted(tmp_path: Path) -> None:
    bad = FragmentRecipe("ab" * 32, "bad", failing([], BuildError("broken")))
    with maker(tmp_path) as making:
        making.begin([recipe("bad", bad)])
        with pytest.raises(BuildError, match="broken"):
            making.make_all([recipe("bad", bad)])


def test_what_was_begun_ends_with_the_build_and_leaves_nothing(tmp_path: Path) -> None:
    begun = threading.Event()

    def endless() -> Placement:
        def stream() -> Iterator[Entry]:
            begun.set()
            while True:
                yield Entry.file("x", bytes(MEGABYTE))

        return Placement(stream())

    with pytest.raises(BuildError, match="the build fails"), maker(tmp_path) as making:
        making.begin([recipe("endless", FragmentRecipe("ab" * 32, "endless", endless))])
        assert begun.wait(20)
        raise BuildError("the build fails")
    assert not any(path.name.startswith(".partial") for path in tmp_path.rglob("*"))


def test_layers_larger_than_the_memory_are_made(tmp_path: Path) -> None:
    packages = [Package(str(number), 50 * MEGABYTE) for number in range(4)]
    layers = maker(tmp_path, budget_bytes=MEGABYTE).make_all([recipe(p.name, p.fragment) for p in packages])
    for layer in layers:
        read(tmp_path, layer)


def failing(entries: list[Entry], error: Exception) -> Callable[[], Placement]:
    def place() -> Placement:
        def stream() -> Iterator[Entry]:
            yield from entries
            raise error

        return Placement(stream())

    return place


def test_an_error_leaves_no_blob_and_no_record(tmp_path: Path) -> None:
    bad = FragmentRecipe("ab" * 32, "bad", failing(Package("x", 40 * MEGABYTE)._entries(), BuildError("broken")))
    with pytest.raises(BuildError, match="broken"):
        maker(tmp_path).make_all([recipe("good", Package("a").fragment), recipe("bad", bad)])
    left = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and path.stat().st_size > MEGABYTE]
    assert left == []
    assert not any(path.name.startswith(".partial") for path in tmp_path.rglob("*"))
    (layer,) = maker(tmp_path).make_all([recipe("bad", FragmentRecipe("ab" * 32, "bad", Package("x").place))])
    assert not layer.cached


def test_a_content_that_is_too_short_is_refused(tmp_path: Path) -> None:
    short = [Entry("a", EntryKind.FILE, 0o644, size_bytes=10, content=b"123")]
    with pytest.raises(BuildError, match="3 bytes of content where 10"):
        maker(tmp_path).make_all([recipe("bad", FragmentRecipe("cd" * 32, "bad", lambda: Placement(short)))])


def test_folders_repeat_what_lies_below() -> None:
    below = View().extended([LayerTable(entries_of([Entry.directory("var/tmp", mode=0o1777, gid=7)]))])
    packages = [
        LayerTable(entries_of([Entry.file("var/tmp/a", b""), Entry.file("home/user/x/y", b"")])),
        LayerTable(
            entries_of([Entry.directory("home/user", mode=0o700, uid=5), Entry.directory("home/user", mode=0o755)])
        ),
    ]
    owners = [FolderOwner(), FolderOwner("home", 1000, 1000)]
    made = skeleton(packages, below=below, declared=declared_folders(packages), owners=owners)
    assert [(folder.path, folder.mode, folder.uid, folder.gid) for folder in made] == [
        ("home", 0o755, 1000, 1000),
        ("home/user", 0o755, 0, 0),
        ("home/user/x", 0o755, 1000, 1000),
        ("var", 0o755, 0, 0),
        ("var/tmp", 0o1777, 0, 7),
    ]


def entries_of(entries: list[Entry]):  # type: ignore[no-untyped-def]
    from ocibuild.image.recording import Recorder  # noqa: PLC0415 - what fragments use too

    recorder = Recorder("layer")
    for entry in entries:
        recorder.add(entry)
    return recorder.table().entries


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    digests = set()
    for workers in (1, 3):
        made = LayerMaker(
            Store.at(tmp_path / str(workers)),
            compressor_for(Compression.ZSTD),
            budget=MemoryBudget(64 * MEGABYTE),
            events=discard,
            workers=workers,
        ).make_all([recipe("one", Package("a", 35 * MEGABYTE).fragment, Package("b").fragment)])
        digests.add(made[0].descriptor.digest)
    assert len(digests) == 1
    assert os.cpu_count()
