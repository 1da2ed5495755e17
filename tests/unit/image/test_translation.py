import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.descriptor import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
)
from ocibuild.core.errors import ImageError
from ocibuild.core.platform import Platform
from ocibuild.image.check import check_image
from ocibuild.image.document import Document, canonical_json
from ocibuild.image.image import read_image
from ocibuild.image.layout import LayoutSource, LayoutTarget, write_layout
from ocibuild.image.source import members
from ocibuild.image.translation import OciTypedSource
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from tests.support.made_images import MadeImage, MemorySource, replace_manifest

IMAGE = MadeImage([[Entry.file("a", b"1")], [Entry.file("b", b"2")]], Compression.GZIP)


def docker_typed(layer_type: str = DOCKER_LAYER_GZIP) -> MemorySource:
    source = IMAGE.source()

    def change(manifest: dict[str, Any]) -> None:
        manifest["mediaType"] = DOCKER_MANIFEST
        manifest["config"]["mediaType"] = DOCKER_CONFIG
        for layer in manifest["layers"]:
            layer["mediaType"] = layer_type

    replace_manifest(source, change)
    return source


def listed(source: MemorySource, media_type: str) -> MemorySource:
    platforms = [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm", "variant": "v5"}]
    entries = [source.top.descriptor.to_json() | {"platform": platform} for platform in platforms]
    value = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return MemorySource(Document.of(media_type, canonical_json(value)), source.blobs)


def test_a_docker_manifest_becomes_the_oci_manifest_of_the_same_blobs() -> None:
    source = docker_typed()
    translated = OciTypedSource(source)
    assert translated.root() == IMAGE.source().root()
    assert read_image(translated).config == read_image(source).config
    assert check_image(source) == check_image(translated) == []


def test_a_docker_list_keeps_platforms_without_a_name_here() -> None:
    translated = OciTypedSource(listed(docker_typed(), DOCKER_MANIFEST_LIST))
    value = json.loads(translated.root().content)
    assert translated.root().descriptor.media_type == value["mediaType"] == OCI_INDEX
    assert [entry["mediaType"] for entry in value["manifests"]] == [OCI_MANIFEST] * 2
    assert value["manifests"][1]["platform"] == {"os": "linux", "architecture": "arm", "variant": "v5"}
    assert read_image(translated, Platform()).manifest_document == IMAGE.source().root()
    assert len(list(members(translated))) == 5


@pytest.mark.parametrize("make", [IMAGE.source, lambda: listed(IMAGE.source(), OCI_INDEX)])
def test_oci_documents_keep_their_bytes(make: Callable[[], MemorySource]) -> None:
    source = make()
    assert OciTypedSource(source).root() == source.root()


def test_layouts_hold_oci_documents_only(tmp_path: Path) -> None:
    descriptor = write_layout(listed(docker_typed(), DOCKER_MANIFEST_LIST), LayoutTarget(tmp_path, "tag"))
    assert descriptor.media_type == OCI_INDEX
    layout = LayoutSource(LayoutTarget(tmp_path, "tag"))
    assert layout.root().descriptor.digest == descriptor.digest
    assert b"vnd.docker" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert read_image(layout, Platform()).manifest_document.content == IMAGE.source().root().content


def test_foreign_layers_are_refused() -> None:
    source = docker_typed("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    with pytest.raises(ImageError, match="non-distributable"):
        OciTypedSource(source).root()
