"""Reading one layer's blob from its first to its last byte, once."""

from typing import BinaryIO

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.image.layer_reader import LayerReader
from ocibuild.image.manifest import layer_compression
from ocibuild.image.recording import Recorder
from ocibuild.image.view import LayerTable
from ocibuild.layer.compression import open_decompressed
from ocibuild.layer.entry import EntryKind
from ocibuild.layer.reader import read_entries

__all__ = ["read_layer_file", "scan_layer"]

_MOST_ENTRIES = 5_000_000
"""The largest images hold some 500,000 paths; a table of ten times that is an attack on the memory."""

_LARGEST_FILE_BYTES = 256 << 20


def scan_layer(stream: BinaryIO, layer: Descriptor, *, diff_id: Digest | None, where: str) -> LayerTable:
    """The table of a layer, whose blob ``stream`` gives from its start; the caller closes it.

    The blob is read to its end, whatever its archive says, and must have the digest and size of ``layer``; its plain
    tar must have the digest ``diff_id`` where one is given. Every entry names the blob's digest as its layer. Memory is
    bounded by the number of entries and by what :class:`Recorder` keeps. An ImageError names ``where``.

    As in every runtime, what lies behind an end-of-archive block is not part of the layer; ``ocibuild check`` tells.
    """
    reader = LayerReader(stream, layer, diff_id=diff_id, where=f"{where}: layer {layer.digest}")
    recorder = Recorder(str(layer.digest))
    for count, entry in enumerate(recorder.passing(read_entries(reader.raw, where=where)), 1):
        if count > _MOST_ENTRIES:
            raise ImageError(f"{where}: layer {layer.digest} holds more than {_MOST_ENTRIES} entries")
        for _ in entry.chunks():
            pass
    reader.finish()
    return recorder.table()


def read_layer_file(stream: BinaryIO, layer: Descriptor, path: str, *, where: str) -> bytes | None:
    """The content of the regular file at ``path`` in a layer; None where the layer holds no such file.

    The whole layer is read: of a path that occurs twice the last counts. An ImageError for a file of over 256 MiB. The
    blob is not verified. The caller closes ``stream``.
    """
    content = None
    with open_decompressed(stream, layer_compression(layer, where=where), where=where) as raw:
        for entry in read_entries(raw, where=where):
            if entry.path != path:
                continue
            if entry.size_bytes > _LARGEST_FILE_BYTES:
                raise ImageError(f"{where}: /{path} of {entry.size_bytes} bytes is too large to be read whole")
            content = entry.read() if entry.kind is EntryKind.FILE else None
    return content
