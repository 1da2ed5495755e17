"""The codecs in which Debian keeps packages and indexes, by the suffix of a file's name, in constant memory."""

import io
import lzma
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ocibuild.core.errors import ImageError
from ocibuild.layer.compression import Compression, open_decompressed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["open_by_suffix"]

_BLOCK_BYTES = 1 << 16
_XZ_MEMORY_BYTES = 128 << 20  # xz -9 needs 65 MiB; more is an attack
_OUTPUT_BYTES = 1 << 20


def open_by_suffix(stream: BinaryIO, suffix: str, *, where: str) -> BinaryIO:
    """A reader of the plain bytes of ``stream``, which is compressed as the suffix (``.xz``, ``""``) says.

    An ImageError that names ``where`` for corrupt or incomplete data, and for an unknown suffix.
    """
    match suffix:
        case ".xz" | ".lzma":
            return io.BufferedReader(_Decoded(stream, _xz_decoder, where), _OUTPUT_BYTES)
        case ".bz2":
            return io.BufferedReader(_Decoded(stream, _bzip2_decoder, where), _OUTPUT_BYTES)
        case ".gz":
            return open_decompressed(stream, Compression.GZIP, where=where)
        case ".zst":
            return open_decompressed(stream, Compression.ZSTD, where=where)
        case "":
            return stream
        case _:
            raise ImageError(f"{where}: an unknown compression")


class _Decoder(Protocol):
    """What ``lzma`` and ``bz2`` have in common: output in pieces of a given size."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _xz_decoder() -> _Decoder:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)


def _bzip2_decoder() -> _Decoder:
    import bz2  # noqa: PLC0415 - only packages of before 2011 need it

    return bz2.BZ2Decompressor()


class _Decoded(io.RawIOBase):
    """Decompresses in pieces of bounded size. dpkg writes one stream; several are taken, as xz and bzip2 do."""

    def __init__(self, stream: BinaryIO, new_decoder: Callable[[], _Decoder], where: str) -> None:
        super().__init__()
        self._stream = stream
        self._where = where
        self._new_decoder = new_decoder
        self._decoder = new_decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        data = self._next(len(target))
        target[: len(data)] = data
        return len(data)

    def _next(self, most_bytes: int) -> bytes:
        """Some output, at most so many bytes; none at the end."""
        while True:
            data = b""
            if self._decoder.eof:
                data = self._decoder.unused_data
                while not (data := data.lstrip(b"\0")):  # xz pads its streams with zeros
                    data = self._stream.read(_BLOCK_BYTES)
                    if not data:
                        return b""
                self._decoder = self._new_decoder()
            elif self._decoder.needs_input:
                data = self._stream.read(_BLOCK_BYTES)
                if not data:
                    raise ImageError(f"{self._where}: the compressed data is cut short")
            try:
                output = self._decoder.decompress(data, most_bytes)
            except (lzma.LZMAError, OSError, EOFError) as error:  # OSError is bz2's
                raise ImageError(f"{self._where}: corrupt compressed data: {error}") from error
            if output:
                return output
