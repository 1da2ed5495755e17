"""``docker load`` takes what ``docker-archive:`` writes, and what ``docker save`` writes is read."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocibuild.core.reference import Reference
from ocibuild.image.check import check_image
from ocibuild.image.docker_archive import DockerArchiveSource, write_docker_archive
from ocibuild.image.image import read_image
from ocibuild.image.rootfs import write_rootfs
from ocibuild.layer.compression import Compression
from tests.support.made_images import MadeImage
from tests.support.random_trees import random_layers
from tests.support.trees import tree

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="dockerd needs root"),
    pytest.mark.skipif(not all(map(shutil.which, ("dockerd", "docker"))), reason="docker is not here"),
]
# What docker itself puts into every container.
MOUNT_POINTS = {".dockerenv", "dev", "etc", "proc", "sys"}


class Docker:
    """A daemon of the test's own, without networks, on a socket in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.host = f"unix://{folder}/socket"
        options = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        self.daemon = subprocess.Popen(
            [
                *("dockerd", "-H", self.host, "--storage-driver", "vfs", "--bridge", "none"),
                *("--iptables=false", "--ip6tables=false"),
                *(f"--{name}={folder}/{place}" for name, place in options.items()),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.daemon.stderr is not None
        log = ""
        for line in self.daemon.stderr:
            log += line
            if "API listen on" in line:
                threading.Thread(target=self.daemon.stderr.read, daemon=True).start()  # or a full pipe stops it
                return
        self.close()
        pytest.skip(f"dockerd does not start here: {log[-500:]}")

    def run(self, *words: str | Path) -> str:
        command = ["docker", "-H", self.host, *map(str, words)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout.strip()

    def close(self) -> None:
        self.daemon.terminate()
        self.daemon.communicate()


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with tempfile.TemporaryDirectory(prefix="docker-", ignore_cleanup_errors=True) as folder:
        made = Docker(Path(folder))
        yield made
        made.close()


@pytest.mark.parametrize("seed", [51, 52, 53])
def test_docker_loads_the_same_tree_and_saves_it_again(tmp_path: Path, docker: Docker, seed: int) -> None:
    source = MadeImage(random_layers(seed), Compression.ZSTD).source()
    name = f"host.example/team/image:{seed}"
    image_id = write_docker_archive(source, tmp_path / "ours.tar", tags=[Reference.parse(name)])
    docker.run("load", "-i", tmp_path / "ours.tar")
    assert docker.run("image", "inspect", "-f", "{{.Id}}", name) == str(image_id)

    container = docker.run("create", name, "/nothing")
    docker.run("export", "-o", tmp_path / "export.tar", container)
    (tmp_path / "theirs").mkdir()
    unpack = ("tar", "-C", tmp_path / "theirs", "-xpf", tmp_path / "export.tar", "--numeric-owner")
    subprocess.run(unpack, check=True)
    write_rootfs(source, tmp_path / "ours")
    theirs = {
        path: facts for path, facts in tree(tmp_path / "theirs").items() if path.split("/")[0] not in MOUNT_POINTS
    }
    assert theirs == tree(tmp_path / "ours")

    docker.run("save", "-o", tmp_path / "saved.tar", name)
    saved = DockerArchiveSource(tmp_path / "saved.tar", Reference.parse(name))
    assert read_image(saved).config.diff_ids == read_image(source).config.diff_ids
    assert check_image(saved) == []
