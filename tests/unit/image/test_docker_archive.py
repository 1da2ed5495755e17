import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.reference import Reference
from ocibuild.image import docker_archive
from ocibuild.image.docker_archive import DockerArchiveSource, write_docker_archive
from ocibuild.image.image import read_image
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from ocibuild.layer.tar import encode_header
from tests.support.made_images import MadeImage, raw_tar, replace_config

SAME = [Entry.file("same", b"x")]
IMAGE = MadeImage([[Entry.file("a", b"1" * 5000)], SAME, [Entry.file("b", b"2")], SAME])
TAG = Reference.parse("host.example/team/image:1.0")


@pytest.mark.parametrize("compression", list(Compression))
def test_docker_would_find_plain_layers_by_their_diff_ids(tmp_path: Path, compression: Compression) -> None:
    source = MadeImage(IMAGE.layers, compression).source()
    image_id = write_docker_archive(source, tmp_path / "a.tar", tags=[TAG])
    with tarfile.open(tmp_path / "a.tar") as archive:
        (value,) = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = archive.extractfile(value["Config"]).read()  # type: ignore[union-attr]
        layers = [archive.extractfile(name).read() for name in value["Layers"]]  # type: ignore[union-attr]
        assert len(archive.getnames()) == len(set(archive.getnames()))
    assert Digest.of(config) == image_id
    assert layers == [raw_tar(entries) for entries in IMAGE.layers]
    assert [str(Digest.of(layer)) for layer in layers] == json.loads(config)["rootfs"]["diff_ids"]
    assert value["RepoTags"] == ["host.example/team/image:1.0"]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_docker_archive(IMAGE.source(), path, tags=[TAG])
    for reference in (None, TAG):
        source = DockerArchiveSource(path, reference)
        image = read_image(source)
        assert image.config == read_image(IMAGE.source()).config
        for layer, entries in zip(image.layers, IMAGE.layers, strict=True):
            with source.open_blob(layer.descriptor) as stream:
                assert stream.read() == raw_tar(entries)
    with pytest.raises(ImageError, match=r"There is host\.example/team/image:1\.0"):
        DockerArchiveSource(path, Reference.parse("other")).root()


def test_a_compressed_archive_with_compressed_and_linked_layers_is_read(tmp_path: Path) -> None:
    """As ``docker save | gzip`` of several versions makes them: layers in folders, repeated ones as links."""
    config = IMAGE.documents()[1].content
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        add("c.json", config)
        add("one/layer.tar", raw_tar(IMAGE.layers[0]))
        add("two/layer.tar", gzip.compress(raw_tar(SAME)))
        add("three/layer.tar", raw_tar(IMAGE.layers[2]))
        link = tarfile.TarInfo("four/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../two/layer.tar"
        archive.addfile(link)
        layers = [f"{name}/layer.tar" for name in ("one", "two", "three", "four")]
        add("manifest.json", json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": layers}]).encode())
    image = read_image(DockerArchiveSource(path))
    types = [layer.descriptor.media_type.rpartition(".")[2] for layer in image.layers]
    assert types == ["tar", "tar+gzip", "tar", "tar+gzip"]
    assert image.manifest.layers[1] == image.manifest.layers[3]


def test_a_wrong_diff_id_is_not_written(tmp_path: Path) -> None:
    source = IMAGE.source()
    replace_config(source, lambda value: value["rootfs"]["diff_ids"].reverse())
    with pytest.raises(ImageError, match="its diff_id is"):
        write_docker_archive(source, tmp_path / "a.tar")
    assert not list(tmp_path.iterdir())


def test_a_layer_whose_header_grows_is_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of over 8 GiB needs a pax header, which is known when its size is."""

    def with_early_pax(entry: Entry) -> bytes:
        large = entry.size_bytes > 4000
        attributes = {"user.large": b"1"} if large else {}
        return encode_header(
            Entry(entry.path, entry.kind, entry.mode, size_bytes=entry.size_bytes, attributes=attributes)
        )

    monkeypatch.setattr(docker_archive, "encode_header", with_early_pax)
    write_docker_archive(IMAGE.source(), tmp_path / "a.tar")
    source = DockerArchiveSource(tmp_path / "a.tar")
    with source.open_blob(read_image(source).manifest.layers[0]) as stream:
        assert stream.read() == raw_tar(IMAGE.layers[0])


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"{", "not a JSON document"),
        (b"{}", "no list of images"),
        (b"[]", "none at all"),
        (b'[{"Config": "c.json", "Layers": ["gone.tar"]}]', "missing"),
        (b'[{"Config": "../../etc/passwd", "Layers": []}]', "missing"),
        (b"[{}, {}]", "which image"),
    ],
)
def test_a_broken_archive_is_named(tmp_path: Path, manifest: bytes, message: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, data in (("c.json", b"{}"), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(ImageError, match=message):
        DockerArchiveSource(tmp_path / "a.tar").root()
