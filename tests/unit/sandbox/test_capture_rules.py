"""What goes into a step's layer and what does not, one rule at a time."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.errors import BuildError
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.sandbox.birth import born_ns
from ocibuild.sandbox.capture import CapturedChange
from ocibuild.sandbox.chain import Chain, folders_piece
from ocibuild.sandbox.execution import Execution, Identity, Outcome
from ocibuild.sandbox.prepared_root import PreparedRoot
from ocibuild.sandbox.selection import CaptureRules
from tests.support.made_roots import made_chain, made_piece, made_root

LATER = 1_600_000_000
USER = 1000
BASE = [
    Entry.directory("etc"),
    Entry.file("etc/hosts", b"old"),
    Entry.file("etc/secret", b"s", mode=0o600),
    Entry.directory("home"),
    Entry.directory("home/me", uid=USER, gid=USER),
    Entry.file("home/me/notes", b"mine", uid=USER, gid=USER),
    Entry.file("home/me/theirs", b"root's"),
    Entry.directory("lib"),
    Entry.file("lib/module.py", b"x = 1\n"),
    Entry.file("lib/two", b"linked"),
    Entry("lib/three", EntryKind.HARDLINK, 0o644, link="lib/two"),
    Entry.directory("staff", mode=0o2775, gid=50),
    Entry.directory("tmp", mode=0o1777),
    Entry.file("tmp/old", b"old"),
    Entry.directory("var"),
    Entry.directory("var/log"),
    Entry.file("var/log/dpkg.log", b"log"),
    Entry.directory("var/shared", mode=0o1777),
    Entry.file("var/shared/roots", b"r", mode=0o666),
]


@pytest.fixture
def root(tmp_path: Path) -> PreparedRoot:
    prepared = made_root(tmp_path / "root")
    prepared.move(made_chain(tmp_path / "blobs", BASE))
    return prepared


def captured(
    root: PreparedRoot,
    outcome: Outcome | None = None,
    *,
    uid: int = 0,
    groups: tuple[int, ...] = (),
    **rules: tuple[str, ...],
) -> CapturedChange:
    execution = Execution(("step",), identity=Identity(uid, uid, groups))
    return root.capture(outcome or Outcome(0), execution, CaptureRules(LATER, **rules))


def entries(change: CapturedChange) -> dict[str, Entry]:
    return {entry.path: entry for entry in change.entries() if entry.kind is not EntryKind.DIRECTORY}


def inode(path: Path) -> tuple[int, int]:
    with os.scandir(path.parent):
        descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        return path.lstat().st_ino, born_ns(descriptor, path.name)
    finally:
        os.close(descriptor)


def test_nothing_changed_is_nothing(root: PreparedRoot) -> None:
    folder = root.enter()
    (folder / "lib" / "module.py").read_bytes()
    os.utime(folder / "lib" / "module.py", (1, 1))
    (folder / "lib" / "module.py").chmod(0o600)
    (folder / "lib" / "module.py").chmod(0o644)
    (folder / "lib" / "new").touch()
    (folder / "lib" / "new").unlink()
    change = captured(root)
    assert (change.count, change.size_bytes, list(change.entries())) == (0, 0, [])


def test_two_steps_of_the_same_kind_give_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        root = made_root(tmp_path / f"root{number}")
        root.move(made_chain(tmp_path / f"blobs{number}", BASE))
        folder = root.enter()
        for name in ("b", "a") if number else ("a", "b"):
            (folder / "lib" / name).write_text(name)
        os.utime(folder / "lib" / "a", (number, number))
        digests.add(captured(root).digest)
    assert len(digests) == 1


def test_what_is_new_has_the_given_time_and_what_keeps_its_content_its_own(root: PreparedRoot) -> None:
    folder = root.enter()
    (folder / "lib" / "new").write_text("n")
    (folder / "lib" / "module.py").chmod(0o755)
    found = entries(captured(root))
    assert found["lib/new"].modified == LATER
    assert found["lib/module.py"].modified == Entry.file("x", b"").modified
    assert found["lib/module.py"].mode == 0o755


def test_what_was_captured_is_left_in_its_place(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root")
    chain = made_chain(tmp_path / "blobs", BASE)
    root.move(chain)
    folder = root.enter()
    (folder / "lib" / "new").write_text("n")
    (folder / "lib" / "linked").hardlink_to(folder / "lib" / "new")
    (folder / "tmp" / "noise").touch()
    change = captured(root)
    inode = (folder / "lib" / "new").stat().st_ino
    piece = made_piece(tmp_path / "blobs", list(change.entries()), key=change.digest)
    root.move(Chain((*chain.pieces, piece)))
    status = (folder / "lib" / "new").stat()
    assert (status.st_ino, status.st_mtime, status.st_nlink) == (inode, LATER, 2)
    assert not (folder / "tmp" / "noise").exists()


def test_a_file_whose_owner_alone_changed_is_never_written_again(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root")
    chain = made_chain(tmp_path / "blobs", BASE)
    root.move(chain)
    folder = root.enter()
    (folder / "lib" / "two").chmod(0o600)
    (folder / "lib" / "module.py").chmod(0o600)
    change = captured(root)
    inodes = [(folder / "lib" / name).stat().st_ino for name in ("module.py", "two", "three")]
    above = Chain((*chain.pieces, made_piece(tmp_path / "blobs", list(change.entries()), key=change.digest)))
    for wanted, mode in ((above, 0o600), (chain, 0o644), (above, 0o600), (chain, 0o644)):
        root.move(wanted)
        assert [(folder / "lib" / name).stat().st_ino for name in ("module.py", "two", "three")] == inodes
        assert {(folder / "lib" / name).stat().st_mode & 0o777 for name in ("module.py", "two", "three")} == {mode}
    root.move(made_chain(tmp_path / "blobs", [Entry.directory("lib"), Entry.file("lib/module.py", b"x = 2\n")]))
    assert (folder / "lib" / "module.py").read_text() == "x = 2\n"


def test_places_of_the_system_are_left_out_and_counted(root: PreparedRoot) -> None:
    folder = root.enter()
    for path in ("tmp/a/b", "var/log/dpkg.log", "etc/hosts", "run/x", "var/lib/apt/lists/list"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"12345")
    (folder / "tmp" / "old").unlink()
    (folder / "tmp").chmod(0o777)
    change = captured(root)
    assert set(entries(change)) == {"tmp/.wh.old"}
    folders = {entry.path: entry.mode for entry in change.entries() if entry.kind is EntryKind.DIRECTORY}
    assert folders == {
        "tmp": 0o777,
        "run": 0o755,
        "var": 0o755,
        "var/lib": 0o755,
        "var/lib/apt": 0o755,
        "var/lib/apt/lists": 0o755,
    }
    assert {(each.what, each.count, each.size_bytes) for each in change.left_out} == {
        ("/tmp/**", 2, 5),
        ("/var/log/dpkg.log", 1, 5),
        ("/etc/hosts", 1, 5),
        ("/run/**", 1, 5),
        ("/var/lib/apt/lists/**", 1, 5),
    }


def test_nothing_in_a_home_is_noise_nor_what_is_kept(root: PreparedRoot) -> None:
    folder = root.enter()
    for path in ("tmp/home/.cache/x", "tmp/other", "tmp/kept/one", "tmp/kept/two", "run/socket.txt"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"12345")
    change = captured(root, homes=("/tmp/home/",), keep=("/tmp/kept/o*", "run/**"))
    assert set(entries(change)) == {"tmp/home/.cache/x", "tmp/kept/one", "run/socket.txt"}
    assert {entry.path for entry in change.entries()} > {"tmp", "tmp/home", "tmp/home/.cache", "tmp/kept", "run"}


def test_a_home_that_is_the_root_keeps_everything(root: PreparedRoot) -> None:
    (root.enter() / "tmp" / "x").touch()
    assert set(entries(captured(root, homes=("/",)))) == {"tmp/x"}


def compiled(source: Path, *, flags: int = 0, stale: bool = False) -> Path:
    """A bytecode file with this source's time and size, where Python puts it."""
    status = source.stat()
    path = source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
    path.parent.mkdir(exist_ok=True)
    seconds = int(status.st_mtime) - stale
    path.write_bytes(b"\xa7\r\r\n" + struct.pack("<III", flags, seconds, status.st_size) + b"code")
    return path


def test_bytecode_of_an_unchanged_source_is_left_out(root: PreparedRoot) -> None:
    folder = root.enter()
    compiled(folder / "lib" / "module.py")
    change = captured(root)
    assert list(change.entries()) == []
    assert [(each.what, each.count, each.size_bytes) for each in change.left_out] == [("*.pyc", 1, 20)]


@pytest.mark.parametrize(("keep", "homes"), [(("/lib/__pycache__/*",), ()), ((), ("/lib",))])
def test_bytecode_that_is_kept_is_as_it_was(root: PreparedRoot, keep: tuple[str, ...], homes: tuple[str, ...]) -> None:
    path = compiled(root.enter() / "lib" / "module.py")
    content = path.read_bytes()
    assert entries(captured(root, keep=keep, homes=homes))["lib/__pycache__/module.cpython-311.pyc"].read() == content


def test_bytecode_of_a_new_source_is_valid_for_its_time_in_the_image(root: PreparedRoot) -> None:
    folder = root.enter()
    (folder / "lib" / "new.py").write_text("y = 2\n")
    path = compiled(folder / "lib" / "new.py")
    (folder / "lib" / "module.py").write_text("x = 3\n")
    compiled(folder / "lib" / "module.py")
    found = entries(captured(root))
    for name in ("new", "module"):
        data = found[f"lib/__pycache__/{name}.cpython-311.pyc"].read()
        assert struct.unpack_from("<III", data, 4) == (0, LATER, 6)
        assert data[16:] == b"code"
    assert path.is_file()


@pytest.mark.parametrize(("flags", "stale"), [(1, False), (3, False), (0, True)])
def test_bytecode_that_is_checked_by_hash_or_stale_is_not_touched(
    root: PreparedRoot, flags: int, *, stale: bool
) -> None:
    folder = root.enter()
    (folder / "lib" / "new.py").write_text("y = 2\n")
    content = compiled(folder / "lib" / "new.py", flags=flags, stale=stale).read_bytes()
    assert entries(captured(root))["lib/__pycache__/new.cpython-311.pyc"].read() == content


def test_devices_fifos_and_sockets_are_named(root: PreparedRoot) -> None:
    folder = root.enter()
    os.mkfifo(folder / "lib" / "fifo")
    (folder / "etc" / "secret").unlink()
    os.mkfifo(folder / "etc" / "secret")
    change = captured(root)
    assert change.special == ("etc/secret", "lib/fifo")
    assert set(entries(change)) == {"etc/.wh.secret"}


@pytest.mark.parametrize("name", ["line\nfeed", ".wh.file", ".wh.folder/x"])
def test_what_no_image_can_hold_is_an_error(root: PreparedRoot, name: str) -> None:
    path = root.enter() / "lib" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(BuildError, match=r"names that an image cannot hold: '/lib/"):
        captured(root)


def test_names_of_any_bytes_and_255_of_them_are_kept(root: PreparedRoot) -> None:
    folder = root.enter()
    names = ["n" * 255, os.fsdecode(b"\xff\xfe"), "\u00e9", " ", "\t"]
    for name in names:
        (folder / "lib" / name).write_text(name, errors="surrogateescape")
    assert set(entries(captured(root))) == {f"lib/{name}" for name in names}


def test_a_link_to_a_recorded_file_brings_the_file(root: PreparedRoot) -> None:
    folder = root.enter()
    (folder / "lib" / "a").hardlink_to(folder / "lib" / "module.py")
    (folder / "lib" / "three").unlink()
    found = entries(captured(root))
    assert {path: (entry.kind.value, entry.link) for path, entry in found.items()} == {
        "lib/a": ("file", ""),
        "lib/module.py": ("hardlink", "lib/a"),
        "lib/.wh.three": ("file", ""),
    }
    assert found["lib/a"].read() == b"x = 1\n"


def test_a_broken_link_is_two_files(root: PreparedRoot) -> None:
    folder = root.enter()
    (folder / "lib" / "three").unlink()
    (folder / "lib" / "three").write_text("linked")
    found = entries(captured(root))
    assert {path: entry.kind.value for path, entry in found.items()} == {"lib/three": "file", "lib/two": "file"}


def test_folders_and_links_take_each_others_places(root: PreparedRoot) -> None:
    folder = root.enter()
    (folder / "etc").rename(folder / "moved")
    (folder / "etc").symlink_to("moved")
    (folder / "lib" / "module.py").unlink()
    (folder / "lib" / "module.py").mkdir()
    (folder / "lib" / "module.py" / "x").touch()
    found = {entry.path: entry for entry in captured(root).entries()}
    assert found["etc"].link == "moved"
    assert not [path for path in found if path.startswith(("etc/", ".wh.", "lib/.wh."))]
    assert found["lib/module.py"].kind is EntryKind.DIRECTORY
    assert list(found).index("lib/module.py") < list(found).index("lib/module.py/x")
    assert {"moved", "moved/hosts", "moved/secret"} < found.keys()


def test_whole_folders_are_whited_out_once(root: PreparedRoot) -> None:
    folder = root.enter()
    for name in ("notes", "theirs"):
        (folder / "home" / "me" / name).unlink()
    (folder / "home" / "me").rmdir()
    assert set(entries(captured(root))) == {"home/.wh.me"}


def test_owners_come_from_the_journal_the_record_or_the_steps_user(root: PreparedRoot) -> None:
    folder = root.enter()
    (folder / "lib" / "given").touch()
    (folder / "lib" / "new").touch()
    (folder / "staff" / "file").touch()
    (folder / "home" / "me" / "notes").rename(folder / "lib" / "notes")
    (folder / "home" / "me" / "theirs").write_text("changed")
    owners = {inode(folder / "lib" / "given"): (5, 6), inode(folder / "lib" / "module.py"): (7, 8)}
    found = entries(captured(root, Outcome(0, owners=owners)))
    assert {path: (entry.uid, entry.gid) for path, entry in found.items()} == {
        "home/me/.wh.notes": (0, 0),
        "home/me/theirs": (0, 0),
        "lib/given": (5, 6),
        "lib/module.py": (7, 8),
        "lib/new": (0, 0),
        "lib/notes": (USER, USER),
        "staff/file": (0, 50),
    }


def test_a_chown_of_everything_adds_what_it_changed(root: PreparedRoot) -> None:
    folder = root.enter()
    owners = {inode(path): (USER, USER) for path in (folder / "home").rglob("*")}
    found = entries(captured(root, Outcome(0, owners=owners)))
    assert set(found) == {"home/me/theirs"}


def test_capabilities_come_from_the_record_and_the_journal(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root")
    attributes = {"security.capability": b"\1\0\0\2" + bytes(16)}
    ping = Entry("ping", EntryKind.FILE, 0o755, size_bytes=1, content=b"p", attributes=attributes)
    pong = Entry("pong", EntryKind.FILE, 0o755, size_bytes=1, content=b"p", attributes=attributes)
    root.move(made_chain(tmp_path / "blobs", [ping, pong, Entry.file("plain", b"p")]))
    folder = root.enter()
    (folder / "ping").chmod(0o700)
    (folder / "pong").write_text("another")
    noted = {"security.capability": b"\1\0\0\2" + b"\1" * 16}
    found = entries(captured(root, Outcome(0, attributes={inode(folder / "plain"): noted})))
    assert {path: dict(entry.attributes) for path, entry in found.items()} == {
        "ping": attributes,
        "pong": {},
        "plain": noted,
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives capabilities")
def test_a_capability_that_a_step_gave_goes_with_its_layer(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root", with_owners=True)
    chain = made_chain(tmp_path / "blobs", [Entry.file("ping", b"p", mode=0o755)])
    root.move(chain)
    given = b"\1\0\0\2" + b"\0\x20" + bytes(14)
    file = root.enter() / "ping"
    os.setxattr(file, "security.capability", given)
    (entry,) = (change := captured(root)).entries()
    assert entry.attributes == {"security.capability": given}
    above = Chain((*chain.pieces, made_piece(tmp_path / "blobs", [entry], key=change.digest)))
    for wanted, held in ((above, ["security.capability"]), (chain, []), (above, ["security.capability"])):
        root.move(wanted)
        assert [name for name in os.listxattr(file) if name == "security.capability"] == held


Act = Callable[[Path], object]


def replace_theirs(folder: Path) -> None:
    (folder / "home/me/theirs").unlink()
    (folder / "home/me/theirs").write_text("new")


def made_below(folder: Path) -> None:
    (folder / "home/me/new/deep").mkdir(parents=True)
    (folder / "home/me/new/deep/file").touch()


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: (folder / "home/me/notes").write_text("changed"),
        lambda folder: (folder / "home/me/notes").chmod(0o600),
        lambda folder: (folder / "home/me/theirs").unlink(),
        replace_theirs,
        made_below,
        lambda folder: (folder / "var/shared/mine").touch(),
        lambda folder: (folder / "var/shared/roots").write_text("anybody may"),
        lambda folder: (folder / "tmp/mine").touch(),
        lambda folder: (folder / "home/me").chmod(0o700),
        lambda folder: (folder / "home/me/link").hardlink_to(folder / "lib/two"),
        lambda folder: compiled(folder / "lib/module.py"),  # left out, and would not have been made elsewhere
    ],
)
def test_a_user_may_change_what_is_his(root: PreparedRoot, act: Act) -> None:
    act(root.enter())
    captured(root, uid=USER)


@pytest.mark.parametrize(
    ("act", "named"),
    [
        (lambda folder: (folder / "lib/module.py").write_text("changed"), "/lib/module.py"),
        (lambda folder: (folder / "home/me/theirs").write_text("changed"), "/home/me/theirs"),
        (lambda folder: (folder / "home/me/theirs").chmod(0o666), "/home/me/theirs"),
        (lambda folder: (folder / "lib/new").touch(), "/lib/new"),
        (lambda folder: (folder / "new").mkdir(), "/new"),
        (lambda folder: (folder / "etc/secret").unlink(), "/etc/secret"),
        (lambda folder: (folder / "var/shared/roots").unlink(), "/var/shared/roots"),
        (lambda folder: (folder / "home/me/notes").rename(folder / "lib/notes"), "/lib/notes"),
        (lambda folder: (folder / "var/log").chmod(0o777), "/var/log"),
        (lambda folder: (folder / "staff/new").touch(), "/staff/new"),
        (lambda folder: [(folder / "lib" / str(number)).touch() for number in range(9)], "/lib/4 and 4 more"),
    ],
)
def test_a_user_may_not_change_what_is_roots(root: PreparedRoot, act: Act, named: str) -> None:
    act(root.enter())
    with pytest.raises(BuildError, match=rf"user {USER} and changed .*{named}") as error:
        captured(root, uid=USER)
    assert error.value.hint is not None


def test_a_user_may_use_his_groups(root: PreparedRoot) -> None:
    (root.enter() / "staff" / "new").touch()
    found = entries(captured(root, uid=USER, groups=(50,)))
    assert (found["staff/new"].uid, found["staff/new"].gid) == (USER, 50)


def test_a_user_may_not_give_files_away(root: PreparedRoot) -> None:
    folder = root.enter()
    with pytest.raises(BuildError, match="/home/me/notes"):
        captured(root, Outcome(0, owners={inode(folder / "home/me/notes"): (0, 0)}), uid=USER)


def test_folders_that_forbid_everything_are_captured(tmp_path: Path) -> None:
    root = made_root(tmp_path / "root")
    layer = [Entry.directory("locked", mode=0), Entry.file("locked/file", b"x", mode=0)]
    chain = made_chain(tmp_path / "blobs", layer)
    root.move(Chain((*chain.pieces, folders_piece([Entry.directory("locked", mode=0o100)]))))
    folder = root.enter()
    assert (folder / "locked").stat().st_mode & 0o7777 == 0o100
    (folder / "locked").chmod(0o700)
    (folder / "locked" / "file").chmod(0o600)
    (folder / "locked" / "file").write_text("changed")
    (folder / "locked" / "file").chmod(0)
    (folder / "locked").chmod(0)
    found = {entry.path: entry for entry in captured(root).entries()}
    assert (found["locked"].mode, found["locked/file"].mode, found["locked/file"].read()) == (0, 0, b"changed")
    assert (folder / "locked").stat().st_mode & 0o7777 == 0
