import gzip
import io
from pathlib import Path

import pytest

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import Event, TaskAdvanced, TaskFinished, TaskStarted
from ocibuild.image.docker_archive import DockerArchiveSource, write_docker_archive
from ocibuild.image.hashing import HashingReader
from ocibuild.image.image import read_image
from ocibuild.image.layer_reader import open_layer
from ocibuild.image.layout import LayoutTarget, write_layout
from ocibuild.image.oci_archive import write_oci_archive
from ocibuild.image.rootfs import write_rootfs
from ocibuild.image.source import verified_chunks
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from tests.support.made_images import MadeImage, raw_tar

ENTRIES = [Entry.file("a", bytes(range(256)) * 2000)]


@pytest.mark.parametrize("compression", list(Compression))
def test_a_layer_is_read_plain_and_its_progress_told(compression: Compression) -> None:
    events: list[Event] = []
    source = MadeImage([ENTRIES], compression).source()
    (layer,) = read_image(source).layers
    with open_layer(source, layer, events=events.append) as reader:
        assert reader.raw.read(100) == raw_tar(ENTRIES)[:100]  # the rest is verified all the same
    assert reader.raw_bytes == len(raw_tar(ENTRIES))
    assert isinstance(events[0], TaskStarted)
    assert events[0].total_bytes == layer.descriptor.size_bytes
    assert sum(event.bytes_done for event in events if isinstance(event, TaskAdvanced)) == layer.descriptor.size_bytes
    assert isinstance(events[-1], TaskFinished)
    assert {event.task for event in events if isinstance(event, TaskAdvanced | TaskFinished)} == {events[0].task}


def test_writing_tells_its_progress(tmp_path: Path) -> None:
    source = MadeImage([ENTRIES]).source()
    size_bytes = read_image(source).manifest.layers[0].size_bytes
    events: list[Event] = []
    for write in (
        lambda: write_layout(source, LayoutTarget(tmp_path / "layout"), events=events.append),
        lambda: write_oci_archive(source, LayoutTarget(tmp_path / "oci.tar"), events=events.append),
        lambda: write_docker_archive(source, tmp_path / "docker.tar", events=events.append),
        lambda: write_rootfs(source, tmp_path / "root", events=events.append),
    ):
        events.clear()
        write()
        assert sum(event.bytes_done for event in events if isinstance(event, TaskAdvanced)) == size_bytes


def test_hashing_is_of_all_that_was_read() -> None:
    data = bytes(range(256)) * 20_000
    reader = HashingReader(io.BytesIO(data), algorithm="sha512")
    assert reader.buffered().read(10) == data[:10]
    reader.drain()
    assert (reader.digest.algorithm, reader.size_bytes) == ("sha512", len(data))


@pytest.mark.parametrize(
    ("data", "message"), [(b"abc", None), (b"ab", "lacks 1"), (b"abcd", "longer than its 3"), (b"abd", "other bytes")]
)
def test_only_what_was_promised_is_handed_out(data: bytes, message: str | None) -> None:
    descriptor = Descriptor("x", Digest.of(b"abc"), 3)
    if message is None:
        assert b"".join(verified_chunks(io.BytesIO(data), descriptor, where="test")) == b"abc"
        return
    with pytest.raises(ImageError, match=message):
        list(verified_chunks(io.BytesIO(data), descriptor, where="test"))


def test_damage_in_the_middle_of_a_compressed_archive_is_named(tmp_path: Path) -> None:

    write_docker_archive(MadeImage([ENTRIES]).source(), tmp_path / "a.tar")
    data = bytearray(gzip.compress((tmp_path / "a.tar").read_bytes()))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.tar.gz").write_bytes(data)
    with pytest.raises(ImageError, match="damaged"):
        read_image(DockerArchiveSource(tmp_path / "a.tar.gz"))
