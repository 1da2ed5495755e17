"""The codecs of layers. A layer is compressed in cuts, each on its own, and read as one stream of members or frames.

Which bytes a codec gives depends on its library and version, so a :class:`Compressor` names itself exactly: diff_ids
are the promise of a build, digests only for the same compressor.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from ocibuild.core.descriptor import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from ocibuild.core.errors import ImageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Compression", "Compressor", "compressor_for", "open_decompressed"]

_ZSTD_LEVEL = 3
_GZIP_LEVEL = 2
_GZIP_WINDOW = 31  # zlib.h: 15 bits of window, and 16 for a gzip header and trailer
_OUTPUT_BYTES = 1 << 20
_LEAST_INPUT_BYTES, _MOST_INPUT_BYTES = 256, 4096
"""How much compressed data is taken at a time: as much as gave about 1 MiB at the last ratio. zstd turns 4 KiB into
128 MiB at worst, and a decompressor gives all of it at once, so the input bounds the memory."""


class Compression(StrEnum):
    """A codec, by the name that the command line and :data:`ocibuild.core.descriptor.LAYER_TYPES` use."""

    ZSTD = "zstd"
    GZIP = "gzip"
    NONE = "none"

    @property
    def media_type(self) -> str:
        """The OCI media type of a layer compressed so."""
        return {"zstd": OCI_LAYER_ZSTD, "gzip": OCI_LAYER_GZIP, "none": OCI_LAYER}[self.value]


@dataclass(frozen=True, slots=True)
class Compressor:
    """One codec at one level. ``identity`` names everything that its bytes depend on.

    ``compress`` gives one complete zstd frame (content size, no checksum) or gzip member (no time, no name), or the
    bytes themselves; it may be called from several threads at once and releases the interpreter while it works.
    """

    compression: Compression
    identity: str
    compress: Callable[[bytes | bytearray | memoryview], bytes]


def compressor_for(compression: Compression) -> Compressor:
    """The compressor of this build for new layers: zstd level 3, or gzip by isal level 2 (measured in the design)."""
    if compression is Compression.ZSTD:
        import zstandard  # noqa: PLC0415 - a build with nothing to do must not pay for it

        version = ".".join(str(part) for part in zstandard.ZSTD_VERSION)

        def compress_zstd(data: bytes | bytearray | memoryview) -> bytes:
            # One-shot and single-threaded: streaming and threaded modes give other bytes. A compressor object is not
            # thread-safe, and making one costs microseconds beside 16 MiB of work.
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=False, threads=0).compress(data)

        return Compressor(compression, f"zstd/{version};level={_ZSTD_LEVEL};mode=oneshot", compress_zstd)
    if compression is Compression.GZIP:
        from isal import ISAL_VERSION, isal_zlib  # noqa: PLC0415 - a build with nothing to do must not pay for it

        def compress_gzip(data: bytes | bytearray | memoryview) -> bytes:
            member = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
            return bytes(member.compress(data) + member.flush())

        return Compressor(compression, f"isal/{ISAL_VERSION};level={_GZIP_LEVEL}", compress_gzip)
    return Compressor(compression, "none", bytes)


def open_decompressed(stream: BinaryIO, compression: Compression, *, where: str) -> BinaryIO:
    """A reader of the decompressed bytes of ``stream``, through all its frames or members, in constant memory.

    An ImageError that names ``where`` for corrupt data, for a last frame that is cut short, and for anything behind a
    gzip member or zstd frame that is not another one. Closing it does not close ``stream``.
    """
    if compression is Compression.NONE:
        return stream
    frames = _GzipFrames(where) if compression is Compression.GZIP else _ZstdFrames(where)
    return io.BufferedReader(_Decompressed(stream, frames), _OUTPUT_BYTES)


class _ZstdFrames:
    """Decompresses consecutive zstd frames, skippable ones included."""

    def __init__(self, where: str) -> None:
        import zstandard  # noqa: PLC0415 - see compressor_for

        self._where = where
        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._started = False

    def feed(self, data: bytes) -> bytes:
        """The output for this input."""
        output = []
        try:
            while data:
                output.append(self._frame.decompress(data))
                self._started = True
                if not self._frame.eof:
                    break
                data = self._frame.unused_data
                self._frame = self._decompressor.decompressobj()
                self._started = False
        except self._error as error:
            raise ImageError(f"{self._where}: corrupt zstd data: {error}") from error
        return output[0] if len(output) == 1 else b"".join(output)

    def finish(self) -> None:
        """An ImageError where the last frame is not complete."""
        if self._started:
            raise ImageError(f"{self._where}: the zstd data is cut short")


class _GzipFrames:
    """Decompresses consecutive gzip members; zero bytes behind a member are padding, as gzip(1) takes them."""

    def __init__(self, where: str) -> None:
        from isal import isal_zlib  # noqa: PLC0415 - see compressor_for

        self._where = where
        self._zlib = isal_zlib
        # isal's stubs give the class as an instance
        self._error: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]
        self._member = isal_zlib.decompressobj(_GZIP_WINDOW)
        self._started = False

    def feed(self, data: bytes) -> bytes:
        """The output for this input."""
        output = []
        try:
            while data and (self._started or data.strip(b"\0")):
                output.append(self._member.decompress(data))
                self._started = not self._member.eof
                if self._started:
                    break
                data = self._member.unused_data
                self._member = self._zlib.decompressobj(_GZIP_WINDOW)
        except self._error as error:
            raise ImageError(f"{self._where}: corrupt gzip data: {error}") from error
        return output[0] if len(output) == 1 else b"".join(output)

    def finish(self) -> None:
        """An ImageError where the last member is not complete."""
        if self._started:
            raise ImageError(f"{self._where}: the gzip data is cut short")


class _Decompressed(io.RawIOBase):
    """A raw reader over frames; io.BufferedReader on top gives reads of any size."""

    def __init__(self, stream: BinaryIO, frames: _ZstdFrames | _GzipFrames) -> None:
        super().__init__()
        self._stream = stream
        self._frames = frames
        self._pending = memoryview(b"")
        self._input_bytes = _LEAST_INPUT_BYTES
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target):
            if not self._pending:
                if self._ended:
                    break
                data = self._stream.read(self._input_bytes)
                if not data:
                    self._frames.finish()
                    self._ended = True
                    break
                self._pending = memoryview(self._frames.feed(data))
                wanted = _OUTPUT_BYTES * len(data) // max(1, len(self._pending))
                self._input_bytes = max(_LEAST_INPUT_BYTES, min(_MOST_INPUT_BYTES, wanted))
                continue
            count = min(len(target) - filled, len(self._pending))
            target[filled : filled + count] = self._pending[:count]
            self._pending = self._pending[count:]
            filled += count
        return filled
