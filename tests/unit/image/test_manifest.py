import json
from typing import Any

import pytest

from ocibuild.core.descriptor import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
)
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.image.manifest import Manifest

A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))


def docker_manifest(layer_type: str = DOCKER_LAYER_GZIP, **changes: Any) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, "size": 7, "digest": str(A)},
        "layers": [{"mediaType": layer_type, "size": 8, "digest": str(B)}],
    }
    return json.dumps(value | changes).encode()


def test_dockers_types_become_oci_types_of_the_same_blobs() -> None:
    manifest = Manifest.parse(docker_manifest(), where="base").as_oci(where="base")
    assert manifest.config == Descriptor(OCI_CONFIG, A, 7)
    assert manifest.layers == (Descriptor(OCI_LAYER_GZIP, B, 8),)


def test_a_manifest_is_written_deterministically_and_read_again() -> None:
    manifest = Manifest(
        Descriptor(OCI_CONFIG, A, 7), (Descriptor(OCI_LAYER_ZSTD, B, 8, {"k": "v"}),), {"z": "1", "a": "2"}
    )
    document = manifest.document()
    assert document.descriptor == Descriptor(OCI_MANIFEST, Digest.of(document.content), len(document.content))
    assert Manifest.parse(document.content, where="x") == manifest
    assert Manifest(manifest.config, manifest.layers, {"a": "2", "z": "1"}).document() == document


def test_dockers_types_are_never_written() -> None:
    with pytest.raises(ImageError, match="docker"):
        Manifest.parse(docker_manifest(), where="base").document()


@pytest.mark.parametrize(
    ("layer_type", "message"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "non-distributable"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "non-distributable"),
        ("application/vnd.in-toto+json", "unknown type"),
    ],
)
def test_layers_that_cannot_be_a_bases_are_refused(layer_type: str, message: str) -> None:
    manifest = Manifest.parse(docker_manifest(layer_type), where="base")
    with pytest.raises(ImageError, match=message):
        manifest.as_oci(where="base")


def test_an_artifact_is_no_base() -> None:
    config = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 7, "digest": str(A)}
    manifest = Manifest.parse(docker_manifest(config=config), where="chart")
    with pytest.raises(ImageError, match="not a container image"):
        manifest.as_oci(where="chart")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "schema 1"),
        ({"manifests": []}, "between an index and a manifest"),
        ({"layers": None}, "without layers"),
        ({"layers": {}}, "without layers"),
        ({"layers": [{"mediaType": "x", "size": -1, "digest": str(B)}]}, "layer 0"),
        ({"layers": [{"mediaType": "x", "size": True, "digest": str(B)}]}, "layer 0"),
        ({"layers": [{"mediaType": "x", "size": 1, "digest": "sha256:../../etc"}]}, "layer 0"),
        ({"config": None}, "config"),
        ({"schemaVersion": 3}, "not an image manifest"),
        ({"mediaType": "text/html"}, "not an image manifest"),
        ({"annotations": {"a": 1}}, "annotations"),
    ],
)
def test_what_is_malformed_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        Manifest.parse(docker_manifest(**changes), where="base")
