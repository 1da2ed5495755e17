"""skopeo, umoci and podman read what this program writes, and see the same files.

Two traps (each was met): programs keep what they once unpacked by diff_id or cache what they know of a blob, so every
image here has contents of its own; and a test that compares nothing passes, so a case that must differ is here too.
"""

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.descriptor import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from ocibuild.core.reference import Reference
from ocibuild.image.check import check_image
from ocibuild.image.docker_archive import DockerArchiveSource, write_docker_archive
from ocibuild.image.image import read_image
from ocibuild.image.layout import LayoutSource, LayoutTarget, write_layout
from ocibuild.image.oci_archive import OciArchiveSource, write_oci_archive
from ocibuild.image.rootfs import write_rootfs
from ocibuild.image.source import ImageSource
from ocibuild.layer.compression import Compression
from ocibuild.layer.entry import Entry
from tests.support.made_images import MadeImage, raw_tar, replace_manifest
from tests.support.podman import Podman, run
from tests.support.random_trees import random_layers
from tests.support.trees import tree

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="unpacking with owners needs root"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("skopeo", "umoci", "podman"))), reason="skopeo, umoci and podman are not all here"
    ),
]
SEEDS = [11, 12, 13, 14]
TAG = Reference.parse("host.example/team/image:1.0")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.json"
    path.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    return path


@pytest.fixture
def podman(policy: Path) -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="podman-") as folder:
        made = Podman(Path(folder), policy)
        yield made
        made.close()


def made(seed: int, compression: Compression) -> MadeImage:
    return MadeImage(random_layers(seed), compression)


def unpacked(source: ImageSource, folder: Path) -> dict[str, tuple[object, ...]]:
    write_rootfs(source, folder)
    return tree(folder)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.NONE])
def test_umoci_unpacks_the_same_tree(tmp_path: Path, seed: int, compression: Compression) -> None:
    source = made(seed, compression).source()
    write_layout(source, LayoutTarget(tmp_path / "layout", "tag"))
    run("umoci", "unpack", "--image", f"{tmp_path}/layout:tag", tmp_path / "bundle")
    expected = unpacked(source, tmp_path / "ours")
    assert len(expected) > 20
    assert tree(tmp_path / "bundle/rootfs") == expected
    assert "layer 2" in run("umoci", "stat", "--image", f"{tmp_path}/layout:tag")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("compression", list(Compression))
def test_podman_mounts_the_same_tree(tmp_path: Path, podman: Podman, seed: int, compression: Compression) -> None:
    source = made(seed, compression).source()
    write_layout(source, LayoutTarget(tmp_path / "layout", "tag"))
    image = podman.pull(f"oci:{tmp_path}/layout:tag")
    assert image == read_image(source).config_document.descriptor.digest.hex
    assert tree(podman.mount(image)) == unpacked(source, tmp_path / "ours")


def test_an_image_with_dockers_types_is_read_out_of_a_layout(tmp_path: Path, podman: Podman, policy: Path) -> None:
    """Pulled images are often of Docker's types, which none of the three finds in a layout: they are translated."""
    source = made(25, Compression.GZIP).source()

    def change(manifest: dict[str, Any]) -> None:
        manifest["mediaType"] = DOCKER_MANIFEST
        manifest["config"]["mediaType"] = DOCKER_CONFIG
        for layer in manifest["layers"]:
            layer["mediaType"] = DOCKER_LAYER_GZIP

    replace_manifest(source, change)
    write_layout(source, LayoutTarget(tmp_path / "layout", "tag"))
    expected = unpacked(source, tmp_path / "ours")
    assert tree(podman.mount(podman.pull(f"oci:{tmp_path}/layout:tag"))) == expected
    run("umoci", "unpack", "--image", f"{tmp_path}/layout:tag", tmp_path / "bundle")
    assert tree(tmp_path / "bundle/rootfs") == expected
    run("skopeo", "--policy", policy, "copy", "-q", f"oci:{tmp_path}/layout:tag", f"dir:{tmp_path}/dir")


def test_podman_loads_archives_of_both_forms(tmp_path: Path, podman: Podman) -> None:
    for number, write in enumerate(("docker", "oci")):
        source = made(20 + number, Compression.ZSTD).source()
        path = tmp_path / f"{write}.tar"
        if write == "docker":
            write_docker_archive(source, path, tags=[TAG])
        else:
            write_oci_archive(source, LayoutTarget(path, "tag"))
        image = podman.pull(f"{write}-archive:{path}")
        assert tree(podman.mount(image)) == unpacked(source, tmp_path / write)
    assert "host.example/team/image" in run(*podman.command, "images", "--format", "{{.Repository}}")


@pytest.mark.parametrize("compression", list(Compression))
def test_skopeo_copies_every_form_byte_for_byte(tmp_path: Path, policy: Path, compression: Compression) -> None:
    source = made(random.SystemRandom().randrange(1000), compression).source()
    write_layout(source, LayoutTarget(tmp_path / "layout", "tag"))
    write_oci_archive(source, LayoutTarget(tmp_path / "archive.tar", "tag"))
    write_docker_archive(source, tmp_path / "docker.tar", tags=[TAG])
    skopeo = ("skopeo", "--policy", policy, "copy", "-q")
    for name in (f"oci:{tmp_path}/layout:tag", f"oci-archive:{tmp_path}/archive.tar:tag"):
        shutil.rmtree(tmp_path / "dir", ignore_errors=True)
        run(*skopeo, name, f"dir:{tmp_path}/dir")
        assert (tmp_path / "dir/manifest.json").read_bytes() == source.root().content
        for layer in read_image(source).manifest.layers:
            assert (tmp_path / "dir" / layer.digest.hex).read_bytes() == source.blobs[str(layer.digest)]
    run(*skopeo, f"docker-archive:{tmp_path}/docker.tar:{TAG}", f"oci:{tmp_path}/back:tag")
    back = LayoutSource(LayoutTarget(tmp_path / "back", "tag"))
    assert read_image(back).config.diff_ids == read_image(source).config.diff_ids
    assert unpacked(back, tmp_path / "a") == unpacked(source, tmp_path / "b")


def test_what_skopeo_and_podman_write_is_read(tmp_path: Path, policy: Path, podman: Podman) -> None:
    source = made(30, Compression.GZIP).source()
    write_layout(source, LayoutTarget(tmp_path / "layout", "tag"))
    origin = f"oci:{tmp_path}/layout:tag"
    skopeo = ("skopeo", "--policy", policy, "copy", "-q")
    run(*skopeo, origin, f"oci-archive:{tmp_path}/skopeo-oci.tar:tag")
    run(*skopeo, origin, f"docker-archive:{tmp_path}/skopeo-docker.tar:{TAG}")
    run(*skopeo, "--format", "v2s2", origin, f"dir:{tmp_path}/v2s2")
    image = podman.pull(origin)
    run(*podman.command, "save", "-q", "--format", "docker-archive", "-o", tmp_path / "podman-docker.tar", image)
    run(*podman.command, "save", "-q", "--format", "oci-archive", "-o", tmp_path / "podman-oci.tar", image)
    readers: list[ImageSource] = [
        OciArchiveSource(LayoutTarget(tmp_path / "skopeo-oci.tar")),
        DockerArchiveSource(tmp_path / "skopeo-docker.tar", TAG),
        DockerArchiveSource(tmp_path / "podman-docker.tar"),
        OciArchiveSource(LayoutTarget(tmp_path / "podman-oci.tar")),
    ]
    expected = unpacked(source, tmp_path / "ours")
    for number, reader in enumerate(readers):
        assert [str(f) for f in check_image(reader) if "no time of creation" not in f.what] == [], reader.name
        assert unpacked(reader, tmp_path / str(number)) == expected, reader.name


def test_an_end_of_archive_inside_a_layer_loses_files_everywhere_but_here(tmp_path: Path, podman: Podman) -> None:
    """The case that must differ: the readers drop files and call it a success, and only our check tells."""
    first, second = ([Entry.file(name, random.SystemRandom().randbytes(2000))] for name in ("one", "two"))
    source = MadeImage([[]], Compression.GZIP, raw={0: raw_tar(first) + raw_tar(second)}).source()
    write_layout(source, LayoutTarget(tmp_path / "layout", "tag"))
    run("umoci", "unpack", "--image", f"{tmp_path}/layout:tag", tmp_path / "bundle")
    assert list(tree(tmp_path / "bundle/rootfs")) == ["one"]
    assert list(tree(podman.mount(podman.pull(f"oci:{tmp_path}/layout:tag")))) == ["one"]
    assert "data behind an end-of-archive block" in str(check_image(source)[0])
