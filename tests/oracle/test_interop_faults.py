"""What is wrong with an image, told by other tools: whatever one of them finds, ``check`` finds too.

None of them finds a wrong number of diff_ids or history entries (skopeo 1.9, umoci 0.4, podman 4.3), which is why this
program has a check of its own.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.image.check import check_image
from ocibuild.image.finding import Severity
from ocibuild.image.layout import LayoutSource, LayoutTarget, write_layout
from ocibuild.layer.compression import Compression
from tests.support.made_images import MadeImage, MemorySource, replace_config, replace_manifest
from tests.support.random_trees import random_layers

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="umoci and podman unpack as root here"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("skopeo", "umoci", "podman"))), reason="skopeo, umoci and podman are not all here"
    ),
]


def blob(source: MemorySource, number: int, folder: Path) -> Path:
    layer = str(json.loads(source.top.content)["layers"][number]["digest"])
    return folder / "blobs" / layer.replace(":", "/")


def flip_a_byte(source: MemorySource, folder: Path) -> None:
    path = blob(source, 1, folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(source: MemorySource, folder: Path) -> None:
    path = blob(source, 1, folder)
    path.write_bytes(path.read_bytes()[:-30])


def nothing(source: MemorySource, folder: Path) -> None:
    """The control: a sound image, which no tool may complain of."""


def no_document(source: MemorySource) -> None:
    """Documents stay as they are."""


FAULTS: list[tuple[str, Callable[[MemorySource], None], Callable[[MemorySource, Path], None], set[str]]] = [
    ("none", no_document, nothing, set()),
    ("a byte flipped", no_document, flip_a_byte, {"skopeo", "umoci", "podman"}),
    ("a layer cut short", no_document, cut_short, {"skopeo", "umoci", "podman"}),
    ("a layer missing", no_document, lambda s, f: blob(s, 1, f).unlink(), {"skopeo", "umoci", "podman"}),
    (
        "a wrong size",
        lambda s: replace_manifest(s, lambda m: m["layers"][1].update(size=m["layers"][1]["size"] + 1)),
        nothing,
        {"umoci"},
    ),
    (
        "a wrong diff_id",
        lambda s: replace_config(s, lambda c: c["rootfs"]["diff_ids"].__setitem__(1, "sha256:" + "1" * 64)),
        nothing,
        {"umoci"},
    ),
    ("too few diff_ids", lambda s: replace_config(s, lambda c: c["rootfs"]["diff_ids"].pop()), nothing, set()),
    ("too few history entries", lambda s: replace_config(s, lambda c: c["history"].pop()), nothing, set()),
]


def complaints(folder: Path, scratch: Path) -> set[str]:
    policy = scratch / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    with tempfile.TemporaryDirectory(prefix="podman-") as storage:
        commands: dict[str, list[str | Path]] = {
            "skopeo": ["skopeo", "--policy", policy, "copy", "-q", f"oci:{folder}:tag", f"dir:{scratch}/copy"],
            "umoci": ["umoci", "unpack", "--image", f"{folder}:tag", f"{scratch}/bundle"],
            "podman": [
                *("podman", "--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "vfs"),
                *("pull", "-q", "--signature-policy", policy, f"oci:{folder}:tag"),
            ],
        }
        return {
            name
            for name, command in commands.items()
            if subprocess.run([str(word) for word in command], capture_output=True, check=False, timeout=120).returncode
        }


def write_as_it_is(source: MemorySource, folder: Path) -> None:
    """A layout of the source's blobs whatever they are: this program's own writer would refuse what is wrong."""
    write_layout(MadeImage([[]]).source(), LayoutTarget(folder, "tag"))
    for digest, content in source.blobs.items():
        (folder / "blobs" / digest.replace(":", "/")).write_bytes(content)
    index = json.loads((folder / "index.json").read_bytes())
    index["manifests"][0] |= source.top.descriptor.to_json()
    (folder / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "damage", "known"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_check_finds_what_any_other_tool_finds(
    tmp_path: Path,
    change: Callable[[MemorySource], None],
    damage: Callable[[MemorySource, Path], None],
    known: set[str],
) -> None:
    source = MadeImage(random_layers(40), Compression.GZIP).source()
    change(source)
    folder = tmp_path / "layout"
    write_as_it_is(source, folder)
    damage(source, folder)
    errors = [f for f in check_image(LayoutSource(LayoutTarget(folder, "tag"))) if f.severity is Severity.ERROR]
    assert bool(errors) == (change is not no_document or damage is not nothing), errors
    found = complaints(folder, tmp_path)
    assert known <= found
    assert errors or not found
