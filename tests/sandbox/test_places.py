"""The example is built where other builders cannot run, and gives the same image as everywhere."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.containers import ENVIRONMENT, ci_container, restricted_pod
from tests.support.program import program_command

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can make a place where less is allowed"),
    pytest.mark.skipif(shutil.which("runc") is None, reason="runc is not installed"),
]

_RAINFALL = Path(__file__).parent.parent / "repos" / "rainfall"
_LOGIN_NODE = Path(__file__).parent.parent / "rigs" / "login_node.py"
_CLUSTER_USER = 10001
PLACES = ("restricted pod", "login node", "CI container")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest, work: Path, profile: dict[str, Any], tmp_path: Path) -> Run:
    """Runs a command in the place; what is in ``work`` belongs to its user."""

    def in_place(*command: str) -> "subprocess.CompletedProcess[str]":
        if request.param == "login node":
            _give(work, _CLUSTER_USER)
            return subprocess.run(
                [sys.executable, str(_LOGIN_NODE), str(work), str(_CLUSTER_USER), *command],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        container = restricted_pod if request.param == "restricted pod" else ci_container
        _give(work, 65532 if container is restricted_pod else 0)
        return container(command, work=work, scratch=tmp_path / "rig", profile=profile, environment=ENVIRONMENT)

    return in_place


def _give(folder: Path, user: int) -> None:
    subprocess.run(["chown", "-R", f"{user}:{user}", folder], check=True)


def test_the_place_forbids_what_it_says(run: Run, request: pytest.FixtureRequest) -> None:
    place = request.node.callspec.params["run"]
    status = dict(line.split(":", 1) for line in run("cat", "/proc/self/status").stdout.splitlines())
    has_capabilities = int(status["CapEff"], 16) != 0
    assert (status["Uid"].split()[0] == "0") == has_capabilities == (place == "CI container")
    assert (status["Seccomp"].strip() == "2") == (place != "login node")
    assert (status["NoNewPrivs"].strip() == "1") == (place == "restricted pod")
    assert run("unshare", "--user", "true").returncode != 0
    assert run("touch", "/etc/a-file").returncode != 0
    assert run("touch", "/mnt/a-file").returncode == 0


def test_the_example_is_the_same_image(run: Run, work: Path, tmp_path: Path) -> None:
    shutil.copytree(_RAINFALL, work / "rainfall")
    cache = os.environ.get("OCIBUILD_TEST_CACHE")
    store = Path(cache) / "store" if cache else tmp_path / "store"
    lock = work / "rainfall.lock"
    outside = subprocess.run(
        program_command("build", _RAINFALL, "--lock", lock),
        env={**os.environ, "OCIBUILD_STORE": str(store)},
        capture_output=True,
        text=True,
        check=True,
    )
    _copy_packages(store, work / "store")
    done = run(*program_command("build", "rainfall", "--lock", "rainfall.lock", "--locked", "-o", "oci:image"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == outside.stdout
    assert run(*program_command("check", "oci:image")).stdout.endswith("is sound\n")


def test_steps_run_and_give_the_same_image(run: Run, work: Path, tmp_path: Path) -> None:
    repository = work / "repo"
    repository.mkdir()
    (repository / "apt.txt").write_text("sgml-base\n")  # whose scripts are not known as data
    script = (
        "mkdir /srv/a; chown root:staff /srv/a; chmod 2775 /srv/a; echo x > /srv/a/f; chown -R root /usr/share",
        "useradd -m -u 2001 ann; rm -f /etc/*-; sed -i 's/:[0-9]*:0:99999:7:::$/:3652:0:99999:7:::/' /etc/shadow",
    )
    toml = f"[[step]]\nuser = 'root'\nrun = {json.dumps(chr(10).join(script))}\n"
    (repository / "ocibuild.toml").write_text(toml)
    (repository / "postBuild").write_text("#!/bin/sh -e\nid -u > id; ls -ln . > /dev/null; echo made > made\n")
    (repository / "postBuild").chmod(0o755)
    cache = os.environ.get("OCIBUILD_TEST_CACHE")
    store = Path(cache) / "store" if cache else tmp_path / "store"
    outside = subprocess.run(
        program_command("build", repository, "--lock", work / "lock", "--sandbox", "chroot"),
        env={**os.environ, "OCIBUILD_STORE": str(store)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outside.returncode == 0, outside.stderr
    _copy_packages(store, work / "store")
    done = run(*program_command("build", "repo", "--lock", "lock", "--locked", "-o", "oci:image"))
    assert done.returncode == 0, done.stderr
    assert "running: postBuild (trap)" in done.stderr
    assert done.stdout == outside.stdout


def _copy_packages(source: Path, target: Path) -> None:
    """The downloads come along, and nothing that was made of them."""
    (target / "blobs/sha256").mkdir(parents=True)
    for blob in (source / "blobs/sha256").glob("[0-9a-f]*"):
        with blob.open("rb") as file:
            if file.read(4) in (b"!<ar", b"PK\x03\x04"):
                shutil.copy(blob, target / "blobs/sha256")
