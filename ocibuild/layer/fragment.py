"""Fragments: the tar bytes of one package, from which layers are put together.

A fragment is whole tar entries without folders, 512-aligned, with no end of archive and no global header. It is cut
every 16 MiB, and each cut is compressed on its own, so that memory stays constant and every core works even inside one
huge package. Readers take cuts anywhere (docker, containerd, podman, umoci and skopeo: tests/oracle).
"""

import hashlib
from collections.abc import Iterable, Iterator

from ocibuild.core.digest import Digest

__all__ = ["CUT_BYTES", "FRAGMENT_VERSION", "cuts", "fragment_key"]

CUT_BYTES = 16 << 20
FRAGMENT_VERSION = 1
"""Part of every fragment's key: raise it when the tar writer or the cutting gives other bytes."""


def fragment_key(package: Digest, *, context: bytes, placing_version: str) -> str:
    """The key of a fragment's raw bytes, in hexadecimal.

    It depends on the package's own digest, on the canonical form of the context that it is placed in, and on the
    version of the code that places it: on all that ``place`` reads, and on nothing else.
    """
    parts = (b"fragment", b"%d" % FRAGMENT_VERSION, str(package).encode(), placing_version.encode(), context)
    state = hashlib.sha256()
    for part in parts:
        state.update(b"%d:" % len(part) + part)
    return state.hexdigest()


def cuts(chunks: Iterable[bytes | memoryview]) -> Iterator[bytearray]:
    """The same bytes in pieces of exactly :data:`CUT_BYTES`, but for the last; nothing for no bytes."""
    buffer = bytearray()
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(buffer) + len(rest) >= CUT_BYTES:
            missing = CUT_BYTES - len(buffer)
            buffer += rest[:missing]
            rest = rest[missing:]
            yield buffer
            buffer = bytearray()
        buffer += rest
    if buffer:
        yield buffer
