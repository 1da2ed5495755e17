import json
import tarfile
from pathlib import Path

import pytest

from ocibuild.core.descriptor import OCI_INDEX, Descriptor
from ocibuild.core.errors import BuildError, ImageError, OcibuildError, UsageError
from ocibuild.core.platform import Platform
from ocibuild.image.document import Document
from ocibuild.image.image import read_image, read_images
from ocibuild.image.index import ImageIndex
from ocibuild.image.layout import LayoutSource, LayoutTarget, write_layout
from ocibuild.image.oci_archive import OciArchiveSource, write_oci_archive
from ocibuild.image.source import members
from ocibuild.layer.entry import Entry
from tests.support.made_images import MadeImage, MemorySource

ONE = MadeImage([[Entry.file("a", b"1" * 5000)], [Entry.file("b", b"2")]])
TWO = MadeImage([[Entry.file("a", b"1" * 5000)], [Entry.file("c", b"3")]])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def index_source() -> MemorySource:
    images = {}
    blobs: dict[str, bytes] = {}
    for platform in (Platform.parse("amd64"), Platform.parse("arm64")):
        source = MadeImage([[Entry.file("arch", str(platform).encode())]], platform=platform).source()
        images[platform] = source.root().descriptor
        blobs |= source.blobs
    return MemorySource(ImageIndex.of(images, platforms=list(images)).document(), blobs)


@pytest.mark.parametrize(
    ("text", "path", "tag"),
    [("out", "out", None), ("out:1.0", "out", "1.0"), ("/a/b:host.example/x:2", "/a/b", "host.example/x:2")],
)
def test_a_target_is_split_at_its_first_colon(text: str, path: str, tag: str | None) -> None:
    assert LayoutTarget.parse(text) == LayoutTarget(Path(path), tag)
    assert str(LayoutTarget.parse(text)) == text


@pytest.mark.parametrize("text", ["", ":tag", "dir:"])
def test_a_target_without_a_path_or_tag_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        LayoutTarget.parse(text)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    source = ONE.source()
    target = LayoutTarget(tmp_path / "out", "1.0")
    descriptor = write_layout(source, target)
    assert descriptor == source.root().descriptor
    layout = LayoutSource(target)
    assert layout.root() == source.root()
    assert read_image(layout).config == read_image(source).config
    for layer in read_image(layout).manifest.layers:
        with layout.open_blob(layer) as stream:
            assert stream.read() == source.blobs[str(layer.digest)]
    assert json.loads((tmp_path / "out/oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_other_tags_stay_and_shared_blobs_are_written_once(tmp_path: Path) -> None:
    write_layout(ONE.source(), LayoutTarget(tmp_path, "one"))
    source = TWO.source()
    write_layout(source, LayoutTarget(tmp_path, "two"))
    shared = source.root()
    first = read_image(LayoutSource(LayoutTarget(tmp_path, "one")))
    second = read_image(LayoutSource(LayoutTarget(tmp_path, "two")))
    assert first.manifest.layers[0] == second.manifest.layers[0]
    assert second.manifest_document == shared
    assert str(first.manifest.layers[0].digest) not in source.opened
    write_layout(TWO.source(), LayoutTarget(tmp_path, "one"))
    assert read_image(LayoutSource(LayoutTarget(tmp_path, "one"))).manifest_document == shared
    assert len(json.loads((tmp_path / "index.json").read_bytes())["manifests"]) == 2


def test_without_a_tag_latest_or_the_only_one_is_read(tmp_path: Path) -> None:
    write_layout(ONE.source(), LayoutTarget(tmp_path, "one"))
    assert LayoutSource(LayoutTarget(tmp_path)).root() == ONE.source().root()
    write_layout(TWO.source(), LayoutTarget(tmp_path, "two"))
    with pytest.raises(ImageError, match="no image tagged latest; there is one, two"):
        LayoutSource(LayoutTarget(tmp_path)).root()
    write_layout(TWO.source(), LayoutTarget(tmp_path))
    assert LayoutSource(LayoutTarget(tmp_path)).root() == TWO.source().root()


def test_an_index_is_written_with_all_its_images(tmp_path: Path) -> None:
    source = index_source()
    write_layout(source, LayoutTarget(tmp_path, "both"))
    layout = LayoutSource(LayoutTarget(tmp_path, "both"))
    assert layout.root().descriptor.media_type == OCI_INDEX
    assert [str(image.config.platform) for image in read_images(layout)] == ["linux/amd64", "linux/arm64"]
    assert read_image(layout, Platform.parse("arm64")).config.platform == Platform.parse("arm64")
    with pytest.raises(ImageError, match="an index of 2 images: linux/amd64, linux/arm64"):
        read_image(layout)


def test_blobs_come_before_what_needs_them_and_once() -> None:
    source = index_source()
    seen: list[Descriptor] = []
    for member in members(source):
        if member.document is not None and member.descriptor.media_type.endswith("manifest.v1+json"):
            manifest = json.loads(member.document.content)
            there = {str(descriptor.digest) for descriptor in seen}
            assert {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])} <= there
        seen.append(member.descriptor)
    assert seen[-1].digest == source.root().descriptor.digest
    assert len({descriptor.digest for descriptor in seen}) == len(seen) == 7


def test_blobs_of_a_source_with_files_are_linked(tmp_path: Path) -> None:
    write_layout(ONE.source(), LayoutTarget(tmp_path / "a", "x"))
    first = LayoutSource(LayoutTarget(tmp_path / "a", "x"))
    write_layout(first, LayoutTarget(tmp_path / "b", "x"))
    layer = read_image(first).manifest.layers[0]
    assert first.blob_path(layer).stat().st_nlink == 2
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "lacks 1"),
        (lambda data: data + b"x", "longer"),
        (lambda data: b"x" + data[1:], "other bytes"),
    ],
)
@pytest.mark.parametrize("write", [write_layout, write_oci_archive])
def test_a_damaged_blob_leaves_the_tag_as_it_was(tmp_path: Path, write, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    target = LayoutTarget(tmp_path / "out", "x")
    write(ONE.source(), target)
    before = files(tmp_path)
    source = TWO.source()
    layer = read_image(source).manifest.layers[1]
    source.blobs[str(layer.digest)] = damage(source.blobs[str(layer.digest)])
    with pytest.raises((ImageError, BuildError), match=message):
        write(source, target)
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert not [name for name in after if "partial" in name]
    assert not any(layer.digest.hex in name for name in after)


def test_a_new_folder_is_not_left_behind_by_a_write_that_fails(tmp_path: Path) -> None:
    source = ONE.source()
    source.blobs.pop(str(read_image(source).manifest.layers[1].digest))
    with pytest.raises(ImageError, match="is missing"):
        write_layout(source, LayoutTarget(tmp_path / "new"))
    assert list(tmp_path.iterdir()) == []
    write_layout(TWO.source(), LayoutTarget(tmp_path / "old"))
    with pytest.raises(ImageError, match="is missing"):
        write_layout(source, LayoutTarget(tmp_path / "old"))
    assert read_image(LayoutSource(LayoutTarget(tmp_path / "old"))).config == read_image(TWO.source()).config


def test_a_folder_of_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="is no OCI image layout"):
        write_layout(ONE.source(), LayoutTarget(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="file"):
        write_layout(ONE.source(), LayoutTarget(tmp_path / "file" / "out"))
    with pytest.raises(UsageError, match="file"):
        write_oci_archive(ONE.source(), LayoutTarget(tmp_path / "file" / "out.tar"))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "oci-layout").unlink(), "no OCI image layout"),
        (lambda folder: (folder / "index.json").unlink(), "cannot read index.json"),
        (lambda folder: (folder / "index.json").write_text("[]"), "an object was expected"),
        (lambda folder: (folder / "index.json").write_text('{"manifests": [1]}'), "no list of manifests"),
        (lambda folder: (folder / "index.json").write_text('{"manifests": []}'), "none at all"),
        (lambda folder: [path.unlink() for path in folder.glob("blobs/*/*")], "is missing"),
        (lambda folder: [path.write_bytes(b"{}") for path in folder.glob("blobs/*/*")], "2 bytes where"),
    ],
)
def test_a_broken_layout_is_named(tmp_path: Path, break_it, message: str) -> None:  # type: ignore[no-untyped-def]
    write_layout(ONE.source(), LayoutTarget(tmp_path, "x"))
    break_it(tmp_path)
    with pytest.raises(ImageError, match=message):
        read_image(LayoutSource(LayoutTarget(tmp_path, "x")))


def test_an_archive_holds_the_layout(tmp_path: Path) -> None:
    source = index_source()
    for name in ("a.tar", "b.tar"):
        write_oci_archive(source, LayoutTarget(tmp_path / name, "both"))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    write_layout(source, LayoutTarget(tmp_path / "layout", "both"))
    with tarfile.open(tmp_path / "a.tar") as archive:
        held = {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}  # type: ignore[union-attr]
    assert held == files(tmp_path / "layout")
    read = OciArchiveSource(LayoutTarget(tmp_path / "a.tar", "both"))
    assert read.root() == source.root()
    image = read_image(read, Platform.parse("arm64"))
    with read.open_blob(image.manifest.layers[0]) as stream:
        assert stream.read() == source.blobs[str(image.manifest.layers[0].digest)]


@pytest.mark.parametrize("damage", [lambda data: data[:3000], lambda data: b"", lambda data: b"hello" * 1000])
def test_a_broken_archive_is_named(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.tar"
    write_oci_archive(ONE.source(), LayoutTarget(path, "x"))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OcibuildError, match=r"a\.tar"):
        read_image(OciArchiveSource(LayoutTarget(path, "x")))


def test_a_document_of_another_platform_is_not_taken() -> None:
    source = MadeImage([], platform=Platform.parse("arm64")).source()
    with pytest.raises(ImageError, match="the image is for linux/arm64, not for linux/amd64"):
        read_image(source, Platform.parse("amd64"))


def test_an_index_that_names_only_indexes_ends() -> None:
    source = ONE.source()
    document: Document = source.root()
    for _ in range(6):
        document = Document.of(
            OCI_INDEX,
            json.dumps({"schemaVersion": 2, "manifests": [document.descriptor.to_json()]}).encode(),
        )
        source.blobs[str(document.descriptor.digest)] = document.content
    source.top = document
    with pytest.raises(ImageError):
        read_image(source)
    with pytest.raises(ImageError, match="too deeply"):
        read_images(source)
    with pytest.raises(ImageError, match="too deeply"):
        list(members(source))
