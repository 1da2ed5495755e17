"""Roots that a killed process or a hostile step left."""

import json
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ocibuild.core.errors import BuildError, ImageError, MachineError
from ocibuild.image.view import LayerTable
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.tar import write_entries
from ocibuild.sandbox import tree as tree_module
from ocibuild.sandbox.chain import BlobRange, Chain, Piece
from ocibuild.sandbox.execution import Execution, Outcome
from ocibuild.sandbox.keeper_process import remove_root
from ocibuild.sandbox.prepared_root import PreparedRoot
from ocibuild.sandbox.selection import CaptureRules
from ocibuild.store.roots import RootFolder
from tests.support.made_roots import made_chain, made_piece, made_root
from tests.support.random_trees import random_layers
from tests.support.trees import tree

RULES = CaptureRules(0)
STEP = Execution(("step",))

_KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from ocibuild.sandbox.prepared_root import PreparedRoot
from ocibuild.store.roots import RootFolder
folder, chain, name, left = pickle.load(sys.stdin.buffer)
real = getattr(os, name)
def counted(*arguments, **options):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(os, name, counted)
PreparedRoot(RootFolder(Path(folder)), with_owners=False).move(chain)
"""


@pytest.mark.parametrize(
    "call_name", ["open", "mkdir", "symlink", "link", "unlink", "rename", "fchmod", "utime", "fstat"]
)
def test_a_killed_move_is_repaired(tmp_path: Path, call_name: str) -> None:
    chance = random.Random(call_name)
    first = made_chain(tmp_path / "blobs", *random_layers(5))
    second = Chain((first.pieces[0], *made_chain(tmp_path / "blobs", *random_layers(6)).pieces))
    for number, chain in enumerate((first, second)):
        made_root(tmp_path / f"wanted{number}").move(chain)
    root = made_root(tmp_path / "root")
    killed = 0
    most = 3 if call_name in ("link", "rename") else 60
    for number in range(4):
        chain = (second, first)[number % 2]
        request = pickle.dumps((str(tmp_path / "root"), chain, call_name, chance.randrange(most)))
        ended = subprocess.run([sys.executable, "-c", _KILLED], input=request, check=False)
        assert ended.returncode in (0, -signal.SIGKILL)
        killed += ended.returncode != 0
        if number % 2 == 1:
            root.move((first, second)[number // 2])
            assert tree(tmp_path / "root" / "tree") == tree(tmp_path / f"wanted{number // 2}" / "tree")
    assert killed


def test_a_damaged_state_is_not_trusted(tmp_path: Path) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry.file("file", b"right")])
    root = made_root(tmp_path / "root")
    root.move(chain)
    (tmp_path / "root" / "tree" / "file").write_text("wrong")
    state = tmp_path / "root" / "state.json"
    for damaged in (b"", b"{}", b"[]", b'{"version":1}', state.read_bytes()[:-20], b"\xff"):
        root.enter()
        state.write_bytes(damaged)
        root.move(chain)
        assert (tmp_path / "root" / "tree" / "file").read_text() == "right"


def test_a_state_of_another_version_is_not_trusted(tmp_path: Path) -> None:
    first = made_chain(tmp_path / "blobs", [Entry.file("file", b"right"), Entry.directory("folder")])
    made_root(tmp_path / "root").move(first)
    (tmp_path / "root" / "state.json").write_text('{"version": 0}')
    PreparedRoot(RootFolder(tmp_path / "root"), with_owners=False).move(
        made_chain(tmp_path / "blobs", [Entry.file("folder", b"file")])
    )
    assert [path.name for path in (tmp_path / "root" / "tree").iterdir()] == ["folder"]


def test_a_step_without_a_known_root_is_an_error(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root")
    root.enter().mkdir()
    with pytest.raises(BuildError, match="nothing is known"):
        root.capture(Outcome(0), STEP, RULES)


def deep(folder: Path, levels: int, name: str) -> None:
    """Folders inside each other, deeper than any path can name."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)


@pytest.mark.parametrize(("levels", "name"), [(1900, "d"), (40, "n" * 255)])
def test_deep_folders_are_undone(tmp_path: Path, levels: int, name: str) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry.directory("kept"), Entry.file("kept/file", b"x")])
    root = made_root(tmp_path / "root")
    root.move(chain)
    deep(root.enter() / "kept", levels, name)
    if levels * len(name) > 4096:
        with pytest.raises(BuildError, match="names that an image cannot hold"):
            root.capture(Outcome(0), STEP, RULES)
    else:
        assert root.capture(Outcome(0), STEP, RULES).count == levels + 2
    root.move(chain)
    assert list(tree(tmp_path / "root" / "tree")) == ["kept", "kept/file"]


def test_a_root_is_removed_with_what_is_locked_and_deep(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root")
    root.move(made_chain(tmp_path / "blobs", [Entry.directory("locked"), Entry.file("locked/file", b"x")]))
    folder = root.enter()
    deep(folder / "locked", 1500, "d")
    (folder / "link").symlink_to(tmp_path / "blobs")
    (folder / "locked").chmod(0)
    folder.chmod(0o500)
    (tmp_path / "root" / ".partial-1").write_bytes(b"")
    remove_root((), tmp_path / "root")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs"]
    assert len(list((tmp_path / "blobs").iterdir())) == 2


def links_to(target: Path) -> list[tuple[str, Callable[[Path], None]]]:
    def folder_to_link(folder: Path) -> None:
        (folder / "a" / "b" / "file").unlink()
        (folder / "a" / "b").rmdir()
        (folder / "a" / "b").symlink_to(target)

    def above_to_link(folder: Path) -> None:
        (folder / "a").rename(folder / "moved")
        (folder / "a").symlink_to(target)

    def file_to_link(folder: Path) -> None:
        (folder / "a" / "b" / "file").unlink()
        (folder / "a" / "b" / "file").symlink_to(target / "precious")

    def linked_to_outside(folder: Path) -> None:
        (folder / "a" / "b" / "file").unlink()
        (folder / "a" / "b" / "file").hardlink_to(target / "precious")

    return [
        (function.__name__, function) for function in (folder_to_link, above_to_link, file_to_link, linked_to_outside)
    ]


@pytest.mark.parametrize("number", range(4))
def test_links_to_elsewhere_are_never_followed(tmp_path: Path, number: int) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("safe")
    (outside / "precious").chmod(0o640)
    (outside / "file").write_text("safe")
    before = tree(outside)
    layer = [Entry.directory("a"), Entry.directory("a/b", mode=0o700), Entry.file("a/b/file", b"ours", mode=0o755)]
    chain = made_chain(tmp_path / "blobs", layer)
    root = made_root(tmp_path / "root")
    root.move(chain)
    _, act = links_to(outside)[number]
    act(root.enter())
    change = root.capture(Outcome(0), STEP, RULES)
    if number < 3:
        assert b"safe" not in change.tar.read_bytes()
    root.move(Chain((*chain.pieces, made_piece(tmp_path / "blobs", list(change.entries())))))
    root.move(chain)
    assert (tmp_path / "root" / "tree" / "a" / "b" / "file").read_text() == "ours"
    assert [(path, *facts[:4]) for path, facts in tree(outside).items()] == [
        (path, *facts[:4]) for path, facts in before.items()
    ]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([[Entry.file("file", b""), Entry.file("file/below", b"")]], "lies below /file"),
        ([[Entry("link", EntryKind.HARDLINK, 0o644, link="nothing")]], "hard link to /nothing"),
        ([[Entry("link", EntryKind.HARDLINK, 0o644, link="link")]], "hard link to /link"),
        ([[Entry.directory("d"), Entry("link", EntryKind.HARDLINK, 0o644, link="d")]], "hard link to /d"),
        ([[Entry.symlink("a", "b"), Entry.symlink("b", "a"), Entry.file("a/x", b"")]], "too many symbolic links"),
    ],
)
def test_layers_that_make_no_sense_are_errors(tmp_path: Path, layers: list[list[Entry]], message: str) -> None:
    root = made_root(tmp_path / "root")
    chain = made_chain(tmp_path / "blobs", *layers)
    with pytest.raises(ImageError, match=message):
        root.move(chain)


def test_a_time_that_no_file_system_holds_is_an_error(tmp_path: Path) -> None:
    (piece,) = made_chain(tmp_path / "blobs", [Entry.file("late", b"")]).pieces
    late = replace(piece, table=LayerTable({"late": replace(piece.table.entries["late"], modified=1 << 70)}))
    with pytest.raises(ImageError, match="an owner or time"):
        made_root(tmp_path / "root").move(Chain((late,)))


def test_layers_never_write_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layers = [
        [Entry.symlink("etc", str(outside)), Entry.symlink("up", "../../../outside")],
        [Entry.file("etc/inside", b"1"), Entry.file("up/inside", b"2")],
    ]
    root = made_root(tmp_path / "root")
    root.move(made_chain(tmp_path / "blobs", *layers))
    assert list(outside.iterdir()) == []
    assert (tmp_path / "root" / "tree" / str(outside).lstrip("/") / "inside").read_bytes() == b"1"
    assert (tmp_path / "root" / "tree" / "outside" / "inside").read_bytes() == b"2"


def test_a_piece_that_lost_a_file_or_has_another_is_an_error(tmp_path: Path) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry.file("file", b"12345")])
    other = made_chain(tmp_path / "blobs", [Entry.file("other", b"1")], [Entry.file("file", b"1")])
    for number, message in ((0, "does not hold /file"), (1, "does not hold /file as its table says")):
        wrong = Piece("wrong", chain.pieces[0].table, other.pieces[number].ranges)
        with pytest.raises(ImageError, match=message):
            made_root(tmp_path / f"root{number}").move(Chain((wrong,)))


def test_a_lost_or_damaged_blob_is_an_error(tmp_path: Path) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry.file("file", bytes(2 << 20))])
    root = made_root(tmp_path / "root")
    blob = chain.pieces[0].ranges[0].blob
    blob.write_bytes(b"before" + bytes(blob.stat().st_size))
    with pytest.raises(ImageError, match="corrupt"):
        root.move(chain)
    blob.unlink()
    with pytest.raises(BuildError, match="lost the blob"):
        root.move(chain)


def test_large_pieces_are_read_ahead_and_end_with_their_reader(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    chain = made_chain(tmp_path / "blobs", [Entry.file("first", content), Entry.file("second", content[::-1])])
    root = made_root(tmp_path / "root")
    root.move(chain)
    assert (tmp_path / "root" / "tree" / "second").read_bytes() == content[::-1]
    cut = chain.pieces[0].ranges[0]
    short = Piece("short", chain.pieces[0].table, (BlobRange(cut.blob, 6, cut.size_bytes // 2, cut.compression),))
    with pytest.raises(ImageError, match="cut short"):
        root.move(Chain((short,)))


def test_an_archive_that_holds_a_path_twice_gives_the_last(tmp_path: Path) -> None:
    layer = [
        Entry.file("file", b"first", mode=0o600),
        Entry("link", EntryKind.HARDLINK, 0o600, link="file"),
        Entry.file("file", b"second"),
    ]
    made_root(tmp_path / "root").move(made_chain(tmp_path / "blobs", layer))
    assert (tmp_path / "root" / "tree" / "file").read_bytes() == b"second"


def test_a_hard_link_keeps_what_it_shared_when_its_target_is_replaced(tmp_path: Path) -> None:
    layers = [
        [Entry.file("a", b"old"), Entry("b", EntryKind.HARDLINK, 0o644, link="a")],
        [Entry.file("a", b"new"), Entry("c", EntryKind.HARDLINK, 0o644, link="b")],
    ]
    root = made_root(tmp_path / "root")
    root.move(made_chain(tmp_path / "blobs", *layers))
    folder = tmp_path / "root" / "tree"
    assert [(folder / name).read_bytes() for name in "abc"] == [b"new", b"old", b"old"]
    assert (folder / "b").samefile(folder / "c")


def test_something_mounted_in_a_root_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry.directory("data")])
    root = made_root(tmp_path / "root")
    root.move(chain)
    root.enter()
    table = tmp_path / "mountinfo"
    point = str((tmp_path / "root" / "tree" / "data").resolve()).replace(" ", "\\040")
    table.write_text(f"1 0 8:1 / / rw - ext4 /dev/x rw\n2 1 8:1 /home {point} rw - ext4 /dev/x rw\n")
    monkeypatch.setattr(tree_module, "_MOUNTS", table)
    with pytest.raises(MachineError, match="still mounted"):
        root.move(chain)
    with pytest.raises(MachineError, match="still mounted"):
        remove_root((), tmp_path / "root")


def test_the_keeper_may_be_another_process(tmp_path: Path) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry.file("file", b"x", uid=5)])
    made_root(tmp_path / "root")
    with PreparedRoot(RootFolder(tmp_path / "root"), with_owners=False, keeper=("env",)) as root:
        root.move(chain)
        (root.enter() / "file").write_text("changed")
        (change,) = root.capture(Outcome(0), STEP, RULES).entries()
    assert (change.path, change.read(), change.uid) == ("file", b"changed", 5)
    assert stat.S_ISREG((tmp_path / "root" / "change.tar").stat().st_mode)
    remove_root(("env",), tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_the_keepers_errors_are_this_programs(tmp_path: Path) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry("link", EntryKind.HARDLINK, 0o644, link="nothing")])
    made_root(tmp_path / "root")
    chain = made_chain(tmp_path / "blobs", [Entry.file("file", b"x")])
    chain.pieces[0].ranges[0].blob.unlink()
    with PreparedRoot(RootFolder(tmp_path / "root"), with_owners=False, keeper=("env",)) as root:
        for _ in range(2):  # it goes on after an error
            with pytest.raises(BuildError, match="lost the blob") as error:
                root.move(chain)
            assert error.value.hint == "run the build again"
    (tmp_path / "root" / "file").write_text("")
    with pytest.raises(MachineError, match="cannot start"):
        remove_root(("/nonexistent/keeper",), tmp_path / "root")
    with pytest.raises(MachineError, match="ended with code 1"):
        remove_root(("false",), tmp_path / "root")


def test_a_folder_of_the_same_name_as_the_program_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "ocibuild" / "sandbox"
    trap.mkdir(parents=True)
    for folder in (trap.parent, trap):
        (folder / "__init__.py").touch()
    (trap / "keeper.py").write_text("raise SystemExit(7)")
    made_root(tmp_path / "root")
    monkeypatch.chdir(tmp_path)
    remove_root(("env",), tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_full_disk_is_said_and_the_root_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = made_chain(tmp_path / "blobs", [Entry.file(f"file{number}", b"x") for number in range(9)])
    root = made_root(tmp_path / "root")
    written = 0
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == 5:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(MachineError, match="No space left") as error:
        root.move(chain)
    assert "prune" in (error.value.hint or "")
    root.move(chain)
    assert len(tree(tmp_path / "root" / "tree")) == 9


def test_the_state_is_columns_of_json(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root")
    root.move(made_chain(tmp_path / "blobs", [Entry.file("a", b"1"), Entry.symlink("\udcff", "x\udcfe")]))
    value = json.loads((tmp_path / "root" / "state.json").read_text("ascii"))
    assert value["paths"] == ["\udcff", "a"]
    root.move(made_chain(tmp_path / "blobs", [Entry.symlink("\udcff", "x\udcfe")]))
    assert list(tree(tmp_path / "root" / "tree")) == ["\udcff"]


def test_raw_tar_is_read_as_it_is(tmp_path: Path) -> None:
    entries = [Entry.file("file", b"plain")]
    raw = b"".join(bytes(chunk) for chunk in write_entries(entries))
    piece = made_piece(tmp_path / "blobs", entries)
    blob = tmp_path / "raw"
    blob.write_bytes(raw)
    compression = type(piece.ranges[0].compression)("none")
    made_root(tmp_path / "root").move(Chain((Piece("k", piece.table, (BlobRange(blob, 0, len(raw), compression),)),)))
    assert (tmp_path / "root" / "tree" / "file").read_bytes() == b"plain"


def test_the_keeper_ends_with_who_asked_it(tmp_path: Path) -> None:
    """A killed build leaves nobody who writes into its root."""
    made_root(tmp_path / "root")
    fifo = tmp_path / "blob"
    os.mkfifo(fifo)
    piece = made_piece(tmp_path / "blobs", [Entry.file("file", b"x")])
    blocked = Chain((replace(piece, ranges=(replace(piece.ranges[0], blob=fifo),)),))  # the keeper waits for its bytes
    code = (
        "import pickle, sys; from ocibuild.sandbox.prepared_root import PreparedRoot\n"
        "folder, chain = pickle.load(sys.stdin.buffer)\n"
        "PreparedRoot(folder, with_owners=False, keeper=('env',)).move(chain)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(pickle.dumps((RootFolder(tmp_path / "root"), blocked)))
        process.stdin.close()
        writer = os.open(fifo, os.O_WRONLY)  # returns when the keeper has opened it
        process.kill()
    with pytest.raises(BrokenPipeError):
        while True:  # until the keeper's end of it is closed
            os.write(writer, bytes(1 << 16))
    os.close(writer)


def test_a_root_whose_last_move_was_not_recorded_is_found_out(tmp_path: Path) -> None:
    """Small moves are not recorded: whoever comes next looks at all of the tree."""
    layer = [Entry.directory("folder"), *(Entry.file(f"folder/{number}", b"x") for number in range(9))]
    first = made_chain(tmp_path / "blobs", layer)
    second = Chain(
        (*first.pieces, made_piece(tmp_path / "blobs", [Entry.file("new", b"n"), Entry.file("folder/3", b"yy")]))
    )
    made_root(tmp_path / "root").move(first)
    state = (tmp_path / "root" / "state.json").read_bytes()
    made = PreparedRoot(RootFolder(tmp_path / "root"), with_owners=False)
    made.move(second)
    assert (tmp_path / "root" / "state.json").read_bytes() == state
    made.move(second)
    after_a_crash = PreparedRoot(RootFolder(tmp_path / "root"), with_owners=False)
    after_a_crash.move(first)
    assert "new" not in tree(tmp_path / "root" / "tree")
    assert (tmp_path / "root" / "tree" / "folder" / "3").read_bytes() == b"x"
    assert after_a_crash.capture(Outcome(0), STEP, RULES).count == 0
