"""Prepared roots and the pieces that they are moved to, for tests."""

from collections.abc import Sequence
from pathlib import Path

from ocibuild.image.recording import Recorder
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from ocibuild.layer.tar import write_entries
from ocibuild.sandbox.chain import BlobRange, Chain, Piece
from ocibuild.sandbox.prepared_root import PreparedRoot
from ocibuild.store.roots import RootFolder
from tests.support.made_images import compressed

__all__ = ["made_chain", "made_piece", "made_root"]


def made_piece(folder: Path, entries: Sequence[Entry], *, compression: Compression = Compression.ZSTD) -> Piece:
    """These entries as a piece of two ranges, neither of which starts where its blob does."""
    recorder = Recorder("")
    raw = b"".join(bytes(chunk) for chunk in write_entries(recorder.passing(entries)))
    number = len(list(folder.iterdir())) if folder.exists() else 0
    folder.mkdir(exist_ok=True)
    ranges = []
    half = len(raw) // 2
    for part in (raw[:half], raw[half:]):
        blob = folder / f"blob-{number}-{len(ranges)}"
        data = compressed(part, compression, cut_bytes=1 << 16)
        blob.write_bytes(b"before" + data + b"behind")
        ranges.append(BlobRange(blob, 6, len(data), compression))
    return Piece(f"key-{number}", recorder.table(), tuple(ranges))


def made_chain(folder: Path, *layers: Sequence[Entry]) -> Chain:
    """A chain of these layers, whose blobs are put into ``folder``."""
    return Chain(tuple(made_piece(folder, layer) for layer in layers))


def made_root(folder: Path, *, with_owners: bool = False) -> PreparedRoot:
    """An empty root in this folder."""
    folder.mkdir()
    return PreparedRoot(RootFolder(folder), with_owners=with_owners)
