import io
import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.image.scan import read_layer_file, scan_layer
from ocibuild.image.view import LayerTable, View
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry, EntryKind
from tests.support.made_images import compressed, raw_tar

ENTRIES = [
    Entry.directory("usr", mode=0o750, uid=3),
    Entry.file("usr/tool", b"#!/bin/sh\n", mode=0o4755, uid=1, gid=2),
    Entry("usr/tool2", EntryKind.HARDLINK, 0o600, link="usr/tool"),
    Entry.file("etc/passwd", b"root:x:0:0:::\n"),
    Entry.file("opt/hostname", b"box\n"),
    Entry.symlink("bin", "usr/bin"),
    Entry.whiteout("old"),
    Entry.file("opt/.wh..wh..opq", b""),
    Entry.file("usr/lib/libnothing.so.1", b"not ELF"),
]


def blob(raw: bytes, compression: Compression) -> tuple[bytes, Descriptor]:
    data = compressed(raw, compression)
    return data, Descriptor(compression.media_type, Digest.of(data), len(data))


def scan(raw: bytes, compression: Compression = Compression.ZSTD) -> LayerTable:
    data, layer = blob(raw, compression)
    return scan_layer(io.BytesIO(data), layer, diff_id=Digest.of(raw), where="base")


@pytest.mark.parametrize("compression", list(Compression))
def test_a_layer_is_read_once_into_a_table(compression: Compression) -> None:
    table = scan(raw_tar(ENTRIES), compression)
    assert list(table.entries) == [entry.path for entry in ENTRIES]
    tool, hard = table.entries["usr/tool"], table.entries["usr/tool2"]
    assert (tool.kind, tool.mode, tool.uid, tool.gid, tool.size_bytes) == ("file", 0o4755, 1, 2, 10)
    assert (hard.kind, hard.mode, hard.uid, hard.link) == ("hardlink", 0o4755, 1, "usr/tool")
    assert table.entries["bin"].link == "usr/bin"
    assert table.entries["usr"].mode == 0o750
    assert tool.layer.startswith("sha256:")
    assert dict(table.kept) == {"etc/passwd": b"root:x:0:0:::\n"}
    assert dict(table.libraries) == {}
    assert View().extended([table]).read("etc/passwd") == b"root:x:0:0:::\n"


def test_a_kept_file_replaced_in_its_own_layer_is_forgotten() -> None:
    table = scan(raw_tar([Entry.file("etc/passwd", b"x"), Entry.symlink("etc/passwd", "elsewhere")]))
    assert dict(table.kept) == {}
    assert table.entries["etc/passwd"].kind == "symlink"


def test_a_library_is_probed() -> None:
    libraries = sorted(Path("/lib/x86_64-linux-gnu").glob("libz.so.1.*"))
    if not libraries:
        pytest.skip("no zlib where Debian has it")
    table = scan(raw_tar([Entry.file("usr/lib/libz.so.1", libraries[0].read_bytes())]))
    assert "libz.so.1" in table.libraries["usr/lib/libz.so.1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data + b"\0" * 10, "expected sha256"),
        (lambda data: data[:-3], "cut short"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "corrupt|expected sha256"),
    ],
)
def test_a_blob_that_is_not_the_one_named_is_refused(change, message: str) -> None:  # type: ignore[no-untyped-def]
    data, layer = blob(raw_tar(ENTRIES), Compression.GZIP)
    with pytest.raises(ImageError, match=message):
        scan_layer(io.BytesIO(change(data)), layer, diff_id=None, where="base")


def test_a_wrong_diff_id_is_refused() -> None:
    data, layer = blob(raw_tar(ENTRIES), Compression.GZIP)
    with pytest.raises(ImageError, match="diff_id"):
        scan_layer(io.BytesIO(data), layer, diff_id=Digest.of(b""), where="base")


def test_an_unknown_type_is_refused() -> None:
    layer = Descriptor("application/x-tar", Digest.of(b""), 0)
    with pytest.raises(ImageError, match="unknown type"):
        scan_layer(io.BytesIO(b""), layer, diff_id=None, where="base")


def test_one_file_is_read_out_of_a_layer() -> None:
    twice = [*ENTRIES, Entry.file("opt/hostname", b"second\n"), Entry.file("big", bytes(3 << 20))]
    data, layer = blob(raw_tar(twice), Compression.ZSTD)

    def read(path: str) -> bytes | None:
        return read_layer_file(io.BytesIO(data), layer, path, where="base")

    assert read("opt/hostname") == b"second\n"
    assert read("big") == bytes(3 << 20)
    assert read("bin") is None
    assert read("missing") is None


def test_a_large_layer_is_scanned_in_constant_memory() -> None:
    script = """
import io, itertools, pathlib, re, sys
sys.path.insert(0, sys.argv[1])
from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.image.scan import scan_layer
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.tar import END_OF_ARCHIVE, write_entries
size = 300 << 20
big = [Entry(path, EntryKind.FILE, 0o644, size_bytes=size, content=lambda: (bytes(1 << 20) for _ in range(size >> 20)))
       for path in ("usr/lib/big.so", "var/lib/dpkg/info/big.list")]
compress, blob = compressor_for(Compression.GZIP).compress, io.BytesIO()
for chunk in itertools.chain(write_entries(big), [END_OF_ARCHIVE]):
    blob.write(compress(chunk))
layer = Descriptor(Compression.GZIP.media_type, Digest.of(blob.getvalue()), blob.tell())
blob.seek(0)
table = scan_layer(blob, layer, diff_id=None, where="big")
assert list(table.entries) == ["usr/lib/big.so", "var/lib/dpkg/info/big.list"] and not table.kept
# not ru_maxrss, which a child inherits from the process that forked it
print(re.search("VmHWM:\\s*([0-9]+)", pathlib.Path("/proc/self/status").read_text())[1])
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parents[3])], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 120_000


def test_what_is_kept_is_bounded_whatever_a_layer_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocibuild.image.recording._MOST_KEPT_BYTES", 100_000)
    entries = [Entry.file(f"var/lib/dpkg/info/{number}.list", bytes(8000)) for number in range(20)]
    table = scan(raw_tar([*entries, Entry.file("etc/passwd", b"last")]))
    assert len(table.entries) == 21
    assert sum(map(len, table.kept.values())) == 12 * 8000 + 4
