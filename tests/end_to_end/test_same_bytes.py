"""Two builds give the same image, whatever differs around them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program

pytestmark = [pytest.mark.network, pytest.mark.slow]


def test_other_folder_umask_locale_zone_seed_and_jobs(warm: Program, rainfall: Path, tmp_path: Path) -> None:
    digest = warm.result("build", rainfall, "-o", f"oci:{tmp_path / 'one'}", "--jobs", "2")
    copy = tmp_path / "elsewhere"
    old = os.umask(0o077)
    try:
        shutil.copytree(rainfall, copy)
        # The resolution and the packages come along, nothing that was made of them.
        other = Program(tmp_path / "store", {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7"})
        _copy_downloads(warm.store, other.store)
        assert other.result("build", copy, "-o", f"oci:{tmp_path / 'two'}", "--jobs", "1") == digest
    finally:
        os.umask(old)


def test_a_new_commit_changes_the_source_layer_alone(warm: Program, rainfall: Path, tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(rainfall, copy)
    layers = []
    for epoch, text in (("1700000000", "one"), ("1800000000", "two")):
        (copy / "note.txt").write_text(text)
        warm.result("build", copy, "-o", f"oci:{tmp_path / text}", SOURCE_DATE_EPOCH=epoch)
        layers.append(_layers(warm, tmp_path / text))
    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]


def _layers(program: Program, layout: Path) -> list[str]:

    (report,) = json.loads(program.result("inspect", "--json", f"oci:{layout}"))
    return [layer["digest"] for layer in report["layers"]]


def _copy_downloads(source: Path, target: Path) -> None:
    """The resolutions, the package lists, and every blob that is a package or a list."""
    (target / "records").mkdir(parents=True)
    for kind in (source / "records").iterdir():
        if kind.name.startswith(("resolution", "apt")):
            shutil.copytree(kind, target / "records" / kind.name)
    (target / "blobs/sha256").mkdir(parents=True)
    for blob in (source / "blobs/sha256").iterdir():
        with blob.open("rb") as file:
            magic = file.read(4)
        if magic in (b"!<ar", b"PK\x03\x04"):
            os.link(blob, target / "blobs/sha256" / blob.name)
