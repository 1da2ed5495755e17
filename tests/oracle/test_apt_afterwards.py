"""apt and dpkg themselves work in an image that neither of them made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="chroot is root's"),
]


@pytest.fixture(scope="module")
def root(warm: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("afterwards")
    (folder / "repository").mkdir()
    (folder / "repository/apt.txt").write_text("git curl graphviz gfortran libgl1 fontconfig\n")
    root = folder / "root"
    warm.result("build", folder / "repository", "-o", f"rootfs:{root}")
    for device in ("null", "zero", "urandom", "tty"):
        subprocess.run(["cp", "-a", f"/dev/{device}", root / "dev" / device], check=False)
    for file in ("etc/resolv.conf", "etc/hosts"):
        shutil.copy(f"/{file}", root / file)
    # The mirror of this machine, so that the test needs no other.
    shutil.rmtree(root / "etc/apt/sources.list.d")
    shutil.copytree("/etc/apt/sources.list.d", root / "etc/apt/sources.list.d")
    for extra in (root / "etc/apt/sources.list.d").iterdir():
        if "debian" not in extra.name:
            extra.unlink()
    if Path("/etc/apt/sources.list").exists():
        shutil.copy("/etc/apt/sources.list", root / "etc/apt/sources.list")
    return root


def inside(root: Path, *command: str) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    environment |= {name: text for name, text in os.environ.items() if name.lower().endswith("_proxy")}
    done = subprocess.run(["chroot", str(root), *command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_dpkg_finds_nothing_wrong(root: Path) -> None:
    assert inside(root, "dpkg", "--audit") == ""
    assert inside(root, "dpkg", "--verify") == ""
    assert inside(root, "apt-get", "check", "-q")
    states = inside(root, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}\n").split()
    assert set(states) == {"ii"}
    assert len(states) > 170


def test_apt_has_nothing_to_do(root: Path) -> None:
    assert "0 upgraded, 0 newly installed, 0 to remove" in inside(root, "apt-get", "-s", "-f", "install")
    assert "0 to remove" in inside(root, "apt-get", "-s", "autoremove")
    manual = set(inside(root, "apt-mark", "showmanual").split())
    assert {"git", "curl", "graphviz", "gfortran", "libgl1", "fontconfig"} <= manual
    assert "libgvc6" not in manual


def alternatives(root: Path) -> dict[str, str]:
    folder = root / "etc/alternatives"
    return {path.name: str(path.readlink()) for path in folder.iterdir() if path.is_symlink()}


def test_alternatives_are_consistent(root: Path) -> None:
    names = inside(root, "update-alternatives", "--get-selections").split("\n")
    before = alternatives(root)
    for line in filter(None, names):
        inside(root, "update-alternatives", "--quiet", "--auto", line.split()[0])
    assert alternatives(root) == before


def test_a_real_installation_works_afterwards(root: Path) -> None:
    inside(root, "apt-get", "update", "-q")
    inside(root, "apt-get", "install", "-y", "-q", "--no-install-recommends", "less", "python3-six")
    assert inside(root, "python3", "-c", "import six; print(six.__name__)") == "six\n"
    assert inside(root, "dpkg", "--audit") == ""
    inside(root, "apt-get", "remove", "-y", "-q", "less")
    assert inside(root, "dpkg", "--audit") == ""
