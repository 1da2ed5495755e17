"""The layers that a step runs on: by their keys, and as pieces of a root where those are needed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink
from ocibuild.image.table import decode_table, encode_table
from ocibuild.image.view import LayerTable
from ocibuild.layer.compression import Compression
from ocibuild.sandbox.chain import BlobRange, Chain, LowerPieces, Piece, folders_piece
from ocibuild.store.store import Store
from ocibuild.work.base import Base
from ocibuild.work.fragments import FragmentStore, KnownFragment
from ocibuild.work.image_layers import read_pieces
from ocibuild.work.layers import MadeLayer

__all__ = ["CONTENT_NOTE", "Below", "KeptPieces"]

CONTENT_NOTE = "content"
"""A fragment's note that names its content: the key of its piece, where the fragment's own says only how it came."""

_LOST = "build again"


@dataclass(frozen=True, slots=True)
class Below:
    """What a step runs on: a base (``diff_ids``) and ``layers`` on it, by their keys.

    ``lower`` are the pieces that are the same for many steps, ``upper`` the layers on these: the repository's files,
    and what came of earlier steps.
    """

    diff_ids: tuple[str, ...]
    layers: tuple[str, ...]
    lower: LowerPieces
    upper: tuple[MadeLayer, ...] = ()

    @classmethod
    def of(cls, base: Base, layers: Sequence[MadeLayer], *, store: Store, events: EventSink) -> Self:
        """All of these layers on the base, as lower pieces."""
        diff_ids = tuple(map(str, base.config.diff_ids))
        made = [(key, read) for layer in layers for key, read in _readers(layer, store)]
        known: list[Piece] = []

        def read() -> Sequence[Piece]:
            if not known:
                known.extend((*base.pieces(store=store, events=events), *(read() for _, read in made)))
            return known

        lower = LowerPieces((*diff_ids, *(key for key, _ in made)), read)
        return cls(diff_ids, tuple(layer.key for layer in layers), lower)

    def under(self, *layers: MadeLayer) -> Self:
        """These layers on top of it."""
        return replace(self, layers=(*self.layers, *(layer.key for layer in layers)), upper=(*self.upper, *layers))

    def chain(self, store: Store) -> Chain:
        """All of it, as a root holds it; an ImageError where a part of the upper layers was evicted since."""
        pieces = (read() for layer in self.upper for _, read in _readers(layer, store))
        return Chain(tuple(pieces), self.lower)


@dataclass(frozen=True, slots=True)
class KeptPieces:
    """Lower pieces as a record names them: the base's layers, fragments, and the folders of layers (``pieces``)."""

    pieces: tuple[tuple[str, str, Any], ...]

    @classmethod
    def of(cls, base: Base, layers: Sequence[MadeLayer], store: Store) -> Self:
        """Those of all of these layers on the base."""
        pieces: list[tuple[str, str, Any]] = [
            (str(diff_id), "layer", layer.to_json())
            for layer, diff_id in zip(base.layers, base.config.diff_ids, strict=True)
        ]
        for layer in layers:
            pieces += [(_content_key(fragment), "fragment", fragment.key) for fragment in layer.fragments]
            folders = folders_piece(layer.folders)
            pieces.append((folders.key, "folders", store.blobs.add(encode_table(folders.table)).hex))
        return cls(tuple(pieces))

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """What ``pieces`` is written as; a TypeError or ValueError where it is something else."""
        return cls(tuple((str(key), str(kind), place) for key, kind, place in value))

    def lower(self, *, store: Store, events: EventSink) -> LowerPieces:
        """The pieces; an ImageError when they are read and one is not in the store any more."""
        known: list[Piece] = []

        def read() -> Sequence[Piece]:
            if not known:
                known.extend(self._read(store, events))
            return known

        return LowerPieces(tuple(key for key, _, _ in self.pieces), read)

    def _read(self, store: Store, events: EventSink) -> Iterable[Piece]:
        for key, kind, place in self.pieces:
            if kind == "layer":
                layer, diff_id = Descriptor.from_json(place, where="a frame in the store"), Digest.parse(key)
                yield from read_pieces(
                    None, [(layer, diff_id)], store=store, events=events, where="a base in the store"
                )
            elif kind == "fragment":
                known = FragmentStore(store).get(place)
                if known is None:
                    raise ImageError("a part of a layer is not in the store any more", hint=_LOST)
                yield _fragment_piece(known, store, where="a layer in the store")
            else:
                yield Piece(key, _folders(place, store))


def _folders(blob: str, store: Store) -> LayerTable:
    try:
        return decode_table(store.blobs.read(Digest.sha256(blob)))
    except FileNotFoundError as error:
        raise ImageError("the folders of a layer are not in the store any more", hint=_LOST) from error


def _readers(layer: MadeLayer, store: Store) -> Iterator[tuple[str, Callable[[], Piece]]]:
    """The key of each piece of a layer, and what reads it."""
    for fragment in layer.fragments:
        yield _content_key(fragment), partial(_fragment_piece, fragment, store, where=f"the layer {layer.name}")
    folders = folders_piece(layer.folders)
    yield folders.key, lambda: folders


def _content_key(fragment: KnownFragment) -> str:
    note = fragment.notes.get(CONTENT_NOTE)
    return fragment.key if note is None else note.decode()


def _fragment_piece(fragment: KnownFragment, store: Store, *, where: str) -> Piece:
    """The piece; an ImageError where the fragment was evicted since it was made."""
    fragments = FragmentStore(store)
    for compression in Compression:
        place = fragments.locate(fragment.key, compression)
        if place is not None:
            part = BlobRange(store.blobs.bring(place.blob), place.offset, place.size_bytes, compression)
            return Piece(_content_key(fragment), fragment.table, (part,))
    raise ImageError(f"a part of {where} is not in the store any more", hint="build again")
