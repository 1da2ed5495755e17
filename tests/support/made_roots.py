"""Prepared roots and the pieces that they are moved to, for tests."""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from ocibuild.image.recording import Recorder
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from ocibuild.layer.tar import write_entries
from ocibuild.sandbox.chain import BlobRange, Chain, Piece
from ocibuild.sandbox.prepared_root import PreparedRoot
from ocibuild.store.roots import RootFolder
from tests.support.made_images import compressed

__all__ = ["PLACEABLE", "disturb", "made_chain", "made_piece", "made_root"]

_ROOT = os.geteuid() == 0


def made_piece(
    folder: Path, entries: Sequence[Entry], *, compression: Compression = Compression.ZSTD, key: str | None = None
) -> Piece:
    """These entries as a piece of two ranges, neither of which starts where its blob does."""
    recorder = Recorder("")
    raw = b"".join(bytes(chunk) for chunk in write_entries(recorder.passing(entries)))
    number = len(list(folder.iterdir())) if folder.exists() else 0
    folder.mkdir(exist_ok=True)
    ranges: list[BlobRange] = []
    half = len(raw) // 2
    for part in (raw[:half], raw[half:]):
        blob = folder / f"blob-{number}-{len(ranges)}"
        data = compressed(part, compression, cut_bytes=1 << 16)
        blob.write_bytes(b"before" + data + b"behind")
        ranges.append(BlobRange(blob, 6, len(data), compression))
    return Piece(key or f"key-{number}", recorder.table(), tuple(ranges))


def made_chain(folder: Path, *layers: Sequence[Entry]) -> Chain:
    """A chain of these layers, whose blobs are put into ``folder``."""
    return Chain(tuple(made_piece(folder, layer) for layer in layers))


def made_root(folder: Path, *, with_owners: bool = False) -> PreparedRoot:
    """An empty root in this folder."""
    folder.mkdir()
    return PreparedRoot(RootFolder(folder), with_owners=with_owners)


def disturb(folder: Path, chance: random.Random, *, ways: Sequence[str] = ()) -> None:
    """Change up to twelve paths as a hostile program would; ``ways`` are names of the functions below, by default all.

    What this user may not do is left.
    """
    chosen = [_WAYS[name] for name in ways or _WAYS]
    paths = sorted(folder.rglob("*"))
    for path in chance.sample(paths, min(12, len(paths))):
        if os.path.lexists(path) and (_ROOT or os.access(path.parent, os.W_OK)):
            chance.choice(chosen)(path, chance)


def _replace_by_link(path: Path, chance: random.Random) -> None:
    _remove(path, chance)
    if not os.path.lexists(path):  # a locked folder stays
        path.symlink_to(chance.choice(["/etc", "..", "nowhere", "../../../outside", "/tmp"]))


def _remove(path: Path, _: random.Random) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _replace_by_folder(path: Path, chance: random.Random) -> None:
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        path.mkdir()
        (path / "inside").write_text(str(chance.random()))


def _change_mode(path: Path, chance: random.Random) -> None:
    if not path.is_symlink():
        path.chmod(chance.choice([0, 0o500, 0o777, 0o4755]))


def _reverse(path: Path, _: random.Random) -> None:
    """Another content of the same size and time."""
    if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK | os.W_OK):
        status = path.stat()
        path.write_bytes(path.read_bytes()[::-1])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _rename(path: Path, chance: random.Random) -> None:
    path.rename(path.with_name(f"moved{chance.random()}"))


def _fill(path: Path, chance: random.Random) -> None:
    if path.is_dir() and not path.is_symlink() and os.access(path, os.W_OK | os.X_OK):
        name = chance.choice(["plain", "n" * 255, "\udcff"])
        (path / name).mkdir(exist_ok=True)
        (path / name / "new").write_text(str(chance.random()))


def _link(path: Path, chance: random.Random) -> None:
    if path.is_file() and not path.is_symlink():
        path.with_name(f"link{chance.random()}").hardlink_to(path)


def _touch(path: Path, _: random.Random) -> None:
    os.utime(path, (1, 1), follow_symlinks=False)


def _copy(path: Path, _: random.Random) -> None:
    """The same file as another inode: a hard link is broken by it, nothing else changes."""
    if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
        copy = path.with_name("copy")
        shutil.copy2(path, copy)
        if _ROOT:
            status = path.stat()
            os.chown(copy, status.st_uid, status.st_gid)
            copy.chmod(status.st_mode & 0o7777)
        copy.replace(path)


def _make_unplaceable(path: Path, _: random.Random) -> None:
    """Names and kinds of files that no layer can hold."""
    if path.is_dir() and not path.is_symlink() and os.access(path, os.W_OK | os.X_OK):
        (path / "bad\nname").mkdir(exist_ok=True)
        (path / ".wh.hidden").write_bytes(b"")
    elif not path.is_dir():
        path.unlink()
        os.mkfifo(path)


_WAYS: dict[str, Callable[[Path, random.Random], None]] = {
    "replace by link": _replace_by_link,
    "replace by folder": _replace_by_folder,
    "remove": _remove,
    "change mode": _change_mode,
    "reverse": _reverse,
    "rename": _rename,
    "fill": _fill,
    "link": _link,
    "touch": _touch,
    "copy": _copy,
    "make unplaceable": _make_unplaceable,
}
PLACEABLE = tuple(name for name in _WAYS if name != "make unplaceable")
