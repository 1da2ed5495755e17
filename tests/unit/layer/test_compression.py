import gzip
import io
import subprocess
import sys

import pytest
import zstandard

from ocibuild.core.errors import ImageError
from ocibuild.layer.compression import Compression, compressor_for, open_decompressed

CODECS = [Compression.ZSTD, Compression.GZIP]


def read(data: bytes, compression: Compression) -> bytes:
    return open_decompressed(io.BytesIO(data), compression, where="blob").read()


@pytest.mark.parametrize("compression", [*CODECS, Compression.NONE])
def test_cuts_read_back_as_one_stream(compression: Compression) -> None:
    compress = compressor_for(compression).compress
    parts = [b"a" * 100_000, bytes(range(256)) * 5000, b"end"]
    assert read(b"".join(map(compress, parts)), compression) == b"".join(parts)


def test_gzip_reads_our_members() -> None:
    compress = compressor_for(Compression.GZIP).compress
    data = compress(b"one") + compress(memoryview(b"two"))
    assert gzip.decompress(data) == b"onetwo"
    assert data[4:10] == b"\0\0\0\0\0\xff"  # no time, no flags of an operating system


def test_a_zstd_frame_tells_its_size_and_has_no_checksum() -> None:
    frame = zstandard.get_frame_parameters(compressor_for(Compression.ZSTD).compress(b"x" * 1000))
    assert (frame.content_size, frame.has_checksum) == (1000, False)


@pytest.mark.parametrize("compression", CODECS)
def test_a_stream_cut_short_is_refused(compression: Compression) -> None:
    data = compressor_for(compression).compress(bytes(range(256)) * 1000)
    with pytest.raises(ImageError, match="cut short"):
        read(data + data[:-5], compression)


@pytest.mark.parametrize("compression", CODECS)
def test_garbage_behind_is_refused(compression: Compression) -> None:
    data = compressor_for(compression).compress(b"text")
    with pytest.raises(ImageError, match="blob: "):
        read(data + b"garbage and more garbage", compression)


def test_zero_padding_behind_gzip_is_taken() -> None:
    assert read(compressor_for(Compression.GZIP).compress(b"text") + bytes(600), Compression.GZIP) == b"text"


def test_skippable_frames_are_skipped() -> None:
    compress = compressor_for(Compression.ZSTD).compress
    skippable = bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"note"
    assert read(compress(b"a") + skippable + compress(b"b"), Compression.ZSTD) == b"ab"


def test_a_bomb_is_read_in_bounded_memory() -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 28))
    script = (
        "import io, sys; from ocibuild.layer.compression import *\n"
        "r = open_decompressed(io.BytesIO(sys.stdin.buffer.read()), Compression.ZSTD, where='bomb'); n = 0\n"
        "while d := r.read(1 << 20): n += len(d)\n"
        "assert n == 1 << 28; print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    result = subprocess.run([sys.executable, "-c", script], input=bomb, capture_output=True, check=True)
    assert int(result.stdout) < 250_000
