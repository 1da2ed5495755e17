"""The README's example: an image from nothing but a package mirror, and the container that it makes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def image(warm: Program, rainfall: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    layout = tmp_path_factory.mktemp("image") / "image"
    warm.result("build", rainfall, "-o", f"oci:{layout}")
    return layout


@pytest.fixture(scope="module")
def root(warm: Program, image: Path, rainfall: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root") / "root"
    warm.result("build", rainfall, "-o", f"rootfs:{folder}")
    for device in ("null", "zero", "urandom"):
        subprocess.run(["cp", "-a", f"/dev/{device}", folder / "dev" / device], check=True)
    for file in ("etc/resolv.conf", "etc/hosts"):
        shutil.copy(f"/{file}", folder / file)
    return folder


def in_root(root: Path, script: str, *, user: str = "jovyan") -> str:
    command = ["chroot", f"--userspec={user}", str(root), "/bin/bash", "-c", script]
    environment = {
        "PATH": "/srv/conda/envs/notebook/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/home/jovyan",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_image_is_sound(warm: Program, image: Path) -> None:
    assert warm.result("check", f"oci:{image}").endswith("is sound")


def test_the_image_tells_what_is_in_it(warm: Program, image: Path) -> None:
    (report,) = json.loads(warm.result("inspect", "--json", f"oci:{image}"))
    packages = {line.partition("=")[0] for layer in report["layers"] for line in layer["packages"]}
    assert {"apt git", "apt curl", "apt graphviz", "pip numpy", "pip pandas"} <= packages
    assert (report["user"], report["working_folder"]) == ("jovyan", "/home/jovyan")
    assert report["command"] == ["python", "rainfall.py"]
    assert len(report["layers"]) <= 24


def test_the_plan_names_every_package_and_why(warm: Program, rainfall: Path, image: Path) -> None:
    plan = json.loads(warm.result("plan", rainfall, "--json"))
    why = {package["name"]: package["why"] for package in plan["packages"]}
    assert why["git"] == "apt.txt:5"
    assert why["pandas"] == "requirements.txt:2"
    assert "graphviz" in why["libgvc6"]
    assert plan["steps"] == []
    assert all(len(package["sha256"]) == 64 for package in plan["packages"])
    assert {layer["state"] for layer in plan["layers"]} >= {"base", "cached"}


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="chroot is root's")
class TestTheContainer:
    def test_the_script_of_the_repository_runs(self, root: Path) -> None:
        output = in_root(root, "cd && python rainfall.py /tmp/chart.svg")
        assert "wet months: January, June, July" in output
        assert (root / "tmp/chart.svg").read_text().rstrip().endswith("</svg>")

    def test_dot_draws(self, root: Path) -> None:
        assert "<svg" in in_root(root, "echo 'digraph { a -> b }' | dot -Tsvg")
        assert int(in_root(root, "echo 'digraph { a -> b }' | dot -Tpng | wc -c")) > 1000

    def test_git_works(self, root: Path) -> None:
        script = "cd /tmp && git init -q r && cd r && git -c user.name=a -c user.email=b commit -qm x --allow-empty && git log --oneline"
        assert in_root(root, script).endswith("x\n")

    def test_the_authorities_are_there(self, root: Path) -> None:
        """curl verifies certificates with the bundle that is made as data."""
        count = in_root(root, "grep -c BEGIN /etc/ssl/certs/ca-certificates.crt")
        assert int(count) > 100
        assert in_root(root, "openssl verify -CApath /etc/ssl/certs /etc/ssl/certs/ISRG_Root_X1.pem").endswith("OK\n")

    def test_the_accounts(self, root: Path) -> None:
        assert in_root(root, "id -un; id -u; echo ~").split() == ["jovyan", "1000", "/home/jovyan"]
        assert in_root(root, "touch ~/new && rm ~/new && pip --version").startswith("pip ")

    def test_dpkg_is_content(self, root: Path) -> None:
        assert in_root(root, "dpkg --audit", user="root") == ""
        assert in_root(root, "dpkg --verify", user="root") == ""
        assert {"curl", "git", "graphviz"} <= {*in_root(root, "apt-mark showmanual", user="root").split()}
        assert "libcurl4" in in_root(root, "apt-mark showauto", user="root").split()
