"""What the C library's allocator keeps of memory that was given back."""

import contextlib
import ctypes

__all__ = ["tidy_allocator"]

_ARENA_MAX = -8  # mallopt(3): M_ARENA_MAX
_MOST_ARENAS = 4


def tidy_allocator() -> None:
    """Give back what resolving left, and have the threads that are started later share four arenas.

    glibc gives each thread an arena of its own, up to eight a core, and each keeps what was freed in it: with sixteen
    jobs that was 390 MB where 245 are enough. Other C libraries have no such calls, nor need them. To return large
    blocks at once (M_MMAP_THRESHOLD) takes less still, 170 to 220 MB, but an eighth more processor time for pages.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_ARENA_MAX, _MOST_ARENAS)
        library.malloc_trim(0)
