"""The bytes of a package's file on their way into the prefix: compared with the package's list, or patched."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from ocibuild.core.errors import IntegrityError
from ocibuild.ecosystem.conda.metadata import ListedPath
from ocibuild.ecosystem.conda.placeholder import replaced_in_binary, replaced_in_text
from ocibuild.layer.entry import Content, Entry

__all__ = ["Hashed", "patched", "verified"]

_LARGEST_SPOOLED_BYTES = 8 << 20  # of a text whose length changes; a longer one goes through a temporary file
_CHUNK_BYTES = 1 << 20


def verified(member: Entry, listed: ListedPath, *, where: str) -> Content:
    """The member's content; taking it ends in an IntegrityError naming ``where`` if its hash is not the listed one."""
    if not listed.sha256:
        return member.content
    if not callable(member.content):
        _check(hashlib.sha256(member.content).hexdigest(), listed, where)
        return member.content

    def chunks() -> Iterator[bytes | memoryview]:
        state = hashlib.sha256()
        for chunk in member.chunks():
            state.update(chunk)
            yield chunk
        _check(state.hexdigest(), listed, where)

    return chunks


def _check(digest: str, listed: ListedPath, where: str) -> None:
    if digest != listed.sha256:
        raise IntegrityError(
            f"{where}: {listed.path} differs from the hash that the package lists, {listed.sha256}",
            hint="the package was changed after it was built, or built wrongly: ask for another version or build",
        )


class Hashed:
    """A content whose hash is not known before it was taken."""

    def __init__(self, chunks: Iterable[bytes | memoryview], size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._chunks = self._hashed(chunks)
        self._state = hashlib.sha256()

    def _hashed(self, chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        for chunk in chunks:
            self._state.update(chunk)
            yield chunk

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The bytes, once."""
        return self._chunks

    def digest(self) -> str:
        """The SHA-256 of all bytes, in hexadecimal; takes what was left of them."""
        for _ in self._chunks:
            pass
        return self._state.hexdigest()


@contextlib.contextmanager
def patched(content: Content, size_bytes: int, listed: ListedPath, *, prefix: str, where: str) -> Iterator[Hashed]:
    """The content with ``prefix`` (an absolute path) wherever the listed placeholder is; to be used in the block."""
    chunks = content() if callable(content) else (content,)
    if not listed.placeholder:
        yield Hashed(chunks, size_bytes)
        return
    if listed.mode == "binary":
        pieces = replaced_in_binary(chunks, listed.placeholder, prefix, where=where)
        yield Hashed(pieces, size_bytes)
        return
    with tempfile.SpooledTemporaryFile(_LARGEST_SPOOLED_BYTES) as file:
        for piece in replaced_in_text(chunks, listed.placeholder, prefix):
            file.write(piece)
        size_bytes = file.tell()
        file.seek(0)
        yield Hashed(_read(file), size_bytes)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
