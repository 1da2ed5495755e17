"""The documents that are written, against the OCI JSON schemas and against pyoci's builders."""

import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import referencing
import referencing.jsonschema
from jsonschema import Draft4Validator

from ocibuild.core.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.platform import Platform
from ocibuild.image.config import History, ImageConfig
from ocibuild.image.index import ImageIndex
from ocibuild.image.layout import LAYOUT_MARK, LayoutTarget, write_layout
from ocibuild.image.manifest import Manifest
from ocibuild.layer.compression import Compression
from tests.support.made_images import MadeImage
from tests.support.random_trees import random_layers

# Debian's golang-github-opencontainers-image-spec-dev
SCHEMAS = Path("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema")

needs_schemas = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the OCI schemas are not installed")


def local(uri: str) -> referencing.Resource[Any]:
    """The schemas name each other by address; none is ever fetched."""
    value = json.loads((SCHEMAS / uri.rpartition("/")[2]).read_text())
    return referencing.Resource.from_contents(value, default_specification=referencing.jsonschema.DRAFT4)


def faults(schema: str, value: Any) -> list[str]:
    registry: referencing.Registry[Any] = referencing.Registry(retrieve=local)  # type: ignore[call-arg]
    validator = Draft4Validator(json.loads((SCHEMAS / schema).read_text()), registry=registry)
    return [error.message for error in validator.iter_errors(value)]


@needs_schemas
@pytest.mark.parametrize("compression", list(Compression))
def test_an_image_in_a_layout_is_valid(tmp_path: Path, compression: Compression) -> None:
    config = ImageConfig(
        Platform.parse("linux/arm/v7"),
        environment={"PATH": "/bin"},
        user="jovyan",
        entrypoint=("/start",),
        command=("jupyter",),
        working_folder="/home/jovyan",
        labels={"a": "ü"},
        exposed_ports=("8888/tcp",),
    )
    source = MadeImage(random_layers(1), compression, config=config).source()
    write_layout(source, LayoutTarget(tmp_path, "tag"))
    index = json.loads((tmp_path / "index.json").read_bytes())
    manifest = json.loads(source.root().content)
    assert faults("image-layout-schema.json", json.loads((tmp_path / "oci-layout").read_bytes())) == []
    assert faults("image-index-schema.json", index) == []
    assert faults("image-manifest-schema.json", manifest) == []
    assert faults("config-schema.json", json.loads(source.blobs[manifest["config"]["digest"]])) == []
    assert faults("content-descriptor.json", manifest["layers"][0]) == []


@needs_schemas
def test_an_index_of_two_platforms_is_valid() -> None:
    images = {
        Platform.parse(name): Descriptor(OCI_MANIFEST, Digest.of(name.encode()), 7)
        for name in ("linux/amd64", "linux/arm/v7")
    }
    assert (
        faults("image-index-schema.json", json.loads(ImageIndex.of(images, platforms=list(images)).document().content))
        == []
    )


@needs_schemas
def test_the_schemas_refuse_what_is_wrong() -> None:
    manifest = json.loads(MadeImage(random_layers(2)).documents()[0].content)
    assert faults("image-manifest-schema.json", manifest | {"layers": "none"})
    assert faults("image-manifest-schema.json", manifest | {"config": {**manifest["config"], "size": "7"}})
    assert faults("image-layout-schema.json", {"imageLayoutVersion": 1})
    assert faults("config-schema.json", {"architecture": "amd64", "os": "linux", "rootfs": {"type": "other"}})


def oci() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever pyoci's own imports warn of is not this program's concern
        import pyoci.oci  # noqa: PLC0415 - only here, under this filter
    return pyoci.oci


def test_pyoci_builds_the_same_layout_and_manifest() -> None:
    layers = [Descriptor(OCI_LAYER_GZIP, Digest.of(bytes([number])), number) for number in range(3)]
    config = Descriptor(OCI_CONFIG, Digest.of(b"config"), 77)
    theirs = oci().build_manifest_json(
        str(config.digest),
        config.size_bytes,
        [oci().OCILayer(layer.media_type, str(layer.digest), layer.size_bytes, "") for layer in layers],
    )
    assert json.loads(Manifest(config, tuple(layers)).document().content) == theirs
    assert json.loads(LAYOUT_MARK) == oci().build_oci_layout()


@pytest.mark.parametrize("seed", range(20))
def test_pyoci_merges_a_base_to_the_same_configuration(seed: int) -> None:
    """But for what pyoci leaves to its caller: ``created``, and a working folder that it always overrides."""
    rng = random.Random(seed)
    base = ImageConfig(
        Platform(),
        environment={name: rng.choice("abc=") for name in rng.sample(["A", "B", "PATH", "LANG"], 3)},
        entrypoint=rng.choice([None, ("/entry",)]),
        command=("python3",),
        user=rng.choice(["root", "1000"]),
        labels={"base": "1", "both": "base"},
        run={"StopSignal": "SIGINT"},
        other={"author": "somebody"},
    ).appended([(Digest.of(b"base"), History(created_by="base", created="2024-01-01T00:00:00Z"))])
    added = [(Digest.of(bytes([number])), History(created_by=f"layer {number}")) for number in range(3)]
    environment = {name: rng.choice("xyz") for name in rng.sample(["A", "NEW", "PATH"], 2)}
    theirs = oci().build_config_json(
        "amd64",
        "linux",
        environment,
        "/work",
        ["/start"],
        None,
        labels={"both": "ours"},
        user="jovyan",
        cmd=["jupyter"],
        base_config=base.to_json(),
        diff_ids=[str(diff_id) for diff_id, _ in added],
        history=[entry.to_json() for _, entry in added],
    )
    ours = base.appended(added).with_environment(environment).with_labels({"both": "ours"})
    ours = ImageConfig(
        ours.platform,
        ours.diff_ids,
        ours.history,
        ours.created,
        ours.environment,
        "jovyan",
        ("/start",),
        ("jupyter",),
        "/work",
        ours.labels,
        ours.exposed_ports,
        ours.run,
        ours.other,
    )
    assert ours.to_json() == theirs
