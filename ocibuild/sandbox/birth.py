"""When a file came to be: what tells it from a later one with the same inode number."""

import ctypes
import os
import struct
from functools import cache

__all__ = ["born_ns"]

_AT_SYMLINK_NOFOLLOW, _AT_EMPTY_PATH, _STATX_BTIME = 0x100, 0x1000, 0x800
_STATX_BYTES, _STATX_BORN = 256, 80  # struct statx, and where stx_btime lies in it (statx(2), <linux/stat.h>)
_MASK, _BIRTH = struct.Struct("=I"), struct.Struct("=qI")


@cache
def _statx() -> "ctypes._NamedFuncPointer | None":
    """The C library's statx(2), or None where it has none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    function.restype = ctypes.c_int
    return function


def born_ns(descriptor: int, name: str = "") -> int:
    """When the inode came to be, in nanoseconds: of an open file, or of a name in an open folder (not followed).

    0 where the file system or the kernel does not say.
    """
    function = _statx()
    if function is None:
        return 0
    flags = _AT_SYMLINK_NOFOLLOW if name else _AT_EMPTY_PATH
    answer = ctypes.create_string_buffer(_STATX_BYTES)
    if function(descriptor, os.fsencode(name), flags, _STATX_BTIME, answer) != 0:
        return 0
    (mask,) = _MASK.unpack_from(answer)
    seconds, nanoseconds = _BIRTH.unpack_from(answer, _STATX_BORN)
    return int(seconds * 1_000_000_000 + nanoseconds) if mask & _STATX_BTIME else 0
