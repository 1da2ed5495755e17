"""A chain of layers as plain data: what a prepared root should hold, and where the bytes of it lie."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocibuild.image.view import LayerTable, ViewEntry
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from ocibuild.layer.tar import encode_header

__all__ = ["BlobRange", "Chain", "LowerPieces", "Piece", "folders_piece"]


@dataclass(frozen=True, slots=True)
class BlobRange:
    """A stretch of a file that decompresses on its own: a whole blob, or a fragment's cuts inside a layer."""

    blob: Path
    offset: int
    size_bytes: int
    compression: Compression


@dataclass(frozen=True, slots=True)
class Piece:
    """A layer or a fragment of one. What its ranges decompress to, one behind the other, is a tar stream.

    Equal keys promise equal contents at equal paths: files of a root are left alone where key and path stay the same.
    Whatever ``table`` says of files must be in the stream; folders and links are made from the table alone.
    """

    key: str
    table: LayerTable
    ranges: tuple[BlobRange, ...] = ()


@dataclass(frozen=True, slots=True)
class LowerPieces:
    """The lower pieces of a chain by their keys; ``read`` gives them, and is only called where they are needed."""

    keys: tuple[str, ...] = ()
    read: Callable[[], Sequence[Piece]] = tuple


@dataclass(frozen=True, slots=True)
class Chain:
    """Pieces from the lowest to the uppermost, on ``lower`` ones, which seldom change.

    Whiteouts of a piece hide what the pieces below it hold. A layer made of fragments is their pieces and then one of
    its folders (:func:`folders_piece`).
    """

    pieces: tuple[Piece, ...]
    lower: LowerPieces = LowerPieces()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all pieces."""
        return (*self.lower.keys, *(piece.key for piece in self.pieces))

    @property
    def key(self) -> str:
        """Equal for chains of the same pieces in the same order."""
        state = hashlib.sha256()
        for key in self.keys:
            state.update(key.encode() + b"\n")
        return state.hexdigest()

    def all_pieces(self) -> tuple[Piece, ...]:
        """All pieces, the lower ones read for this."""
        return (*self.lower.read(), *self.pieces)


def folders_piece(folders: Iterable[Entry]) -> Piece:
    """The folder entries of a layer as a piece without bytes."""
    state = hashlib.sha256(b"folders\n")
    entries = {}
    for folder in folders:
        state.update(encode_header(folder))
        entries[folder.path] = ViewEntry(
            folder.kind.value, folder.mode, folder.uid, folder.gid, modified=folder.modified
        )
    return Piece(state.hexdigest(), LayerTable(entries))
