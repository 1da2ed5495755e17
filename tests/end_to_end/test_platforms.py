"""Images for another architecture, made without running anything of it."""

import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository

pytestmark = [pytest.mark.network, pytest.mark.slow]

_MACHINES = {"amd64": 62, "arm64": 183}  # e_machine of the ELF header: EM_X86_64, EM_AARCH64


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("repository"), apt_txt="jq\n", requirements_txt="numpy\n")


def machines(root: Path) -> dict[int, int]:
    """How many ELF files there are for each machine."""
    found: dict[int, int] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                continue
            with path.open("rb") as file:
                head = file.read(20)
            if head.startswith(b"\x7fELF"):
                (machine,) = struct.unpack_from("<H", head, 18)
                found[machine] = found.get(machine, 0) + 1
    return found


def test_two_platforms_are_one_index(warm: Program, source: Path, tmp_path: Path) -> None:
    both = ["--platform", "linux/amd64", "--platform", "linux/arm64", "--compression", "gzip"]
    layout = tmp_path / "image"
    warm.result("build", source, *both, "-o", f"oci:{layout}:two")
    assert warm.result("check", f"oci:{layout}:two").endswith("is sound")
    for architecture, machine in _MACHINES.items():
        copied = tmp_path / architecture
        subprocess.run(
            ["skopeo", "--override-arch", architecture, "copy", "-q", f"oci:{layout}:two", f"oci:{copied}:one"],
            check=True,
        )
        shown = subprocess.run(["skopeo", "inspect", "--config", f"oci:{copied}:one"], capture_output=True, check=True)
        assert json.loads(shown.stdout)["architecture"] == architecture
        bundle = tmp_path / f"{architecture}-bundle"
        rootless = [] if os.getuid() == 0 else ["--rootless"]
        subprocess.run(
            ["umoci", "unpack", *rootless, "--image", f"{copied}:one", bundle], check=True, capture_output=True
        )
        found = machines(bundle / "rootfs")
        assert found.keys() == {machine}
        assert found[machine] > 200
        status = (bundle / "rootfs/var/lib/dpkg/status").read_text()
        assert f"Architecture: {architecture}\n" in status
    single = warm.result("build", source, "--platform", "linux/arm64", "--compression", "gzip")
    manifests = json.loads((layout / "index.json").read_text())["manifests"]
    index = json.loads((layout / "blobs" / manifests[0]["digest"].replace(":", "/")).read_text())
    assert single in [member["digest"] for member in index["manifests"]]
