"""Python's bytecode files in a step's change: left out where they only repeat a source, valid where they stay.

Source: PEP 3147 (where they are) and PEP 552 (their header: magic number, flags, then the source's time and size, or
its hash; all little-endian).
"""

import struct

__all__ = ["BYTECODE_FOLDER", "HEADER_BYTES", "source_path", "with_source_time"]

HEADER_BYTES = 16
_SUFFIX = ".pyc"
BYTECODE_FOLDER = "__pycache__"
_FIELDS = struct.Struct("<III")  # flags, the source's time, its size; behind the magic number


def source_path(path: str) -> str | None:
    """The source that the bytecode file at ``path`` is made from, existing or not; None for another file."""
    if not path.endswith(_SUFFIX):
        return None
    folder, _, name = path.rpartition("/")
    if folder.rpartition("/")[2] != BYTECODE_FOLDER:
        return path[:-1]  # beside its source, as Python 2 put it and compileall -b does
    above = folder.rpartition("/")[0]
    source = f"{name.partition('.')[0]}.py"
    return f"{above}/{source}" if above else source


def with_source_time(header: bytes, *, source_seconds: int, source_size_bytes: int, modified: int) -> bytes:
    """The header with the time that the source has in the image (``modified``).

    Changed only where it is valid for the source as it is on this machine (``source_seconds``, ``source_size_bytes``)
    and says so by time: bytecode that is older than its source must not become valid by this.
    """
    if len(header) < HEADER_BYTES:
        return header
    flags, seconds, size_bytes = _FIELDS.unpack_from(header, 4)
    if flags or (seconds, size_bytes) != (source_seconds & 0xFFFFFFFF, source_size_bytes & 0xFFFFFFFF):
        return header
    return header[:4] + _FIELDS.pack(flags, modified & 0xFFFFFFFF, size_bytes) + header[HEADER_BYTES:]
