"""Places that cannot be written are refused before anything is made."""

import os
from pathlib import Path

import pytest

from ocibuild.core.errors import MachineError, OcibuildError, UsageError
from ocibuild.core.platform import Platform
from ocibuild.work.outputs import OUTPUT_TYPES, Output, check_outputs

ONE = (Platform(),)
TWO = (Platform(), Platform(architecture="arm64"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thing").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout/oci-layout").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
@pytest.mark.parametrize("place", ["new", "new/below/it"])
def test_what_does_not_exist_can_be_made_and_is_not_made_yet(folder: Path, kind: str, place: str) -> None:
    check_outputs([Output(kind, f"{folder}/{place}")], platforms=ONE)
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("oci:full", "exists and is no OCI image layout"),
        ("oci:file", "file: Not a directory"),
        ("oci:file/below", "file: Not a directory"),
        ("oci-archive:empty", "empty: Is a directory"),
        ("docker-archive:full", "full: Is a directory"),
        ("docker-archive:file/below", "file: Not a directory"),
        ("rootfs:full", "full exists already"),
        ("rootfs:file", "file exists already"),
        ("rootfs:link", "link exists already"),
        ("rootfs:file/below", "file: Not a directory"),
    ],
)
def test_what_is_in_the_way(folder: Path, text: str, message: str) -> None:
    kind, _, place = text.partition(":")
    with pytest.raises(UsageError, match=message):
        check_outputs([Output(kind, f"{folder}/{place}")], platforms=ONE)


@pytest.mark.parametrize(
    "text", ["oci:layout:tag", "oci:empty", "rootfs:empty", "oci-archive:file", "docker-archive:file"]
)
def test_what_may_be_there(folder: Path, text: str) -> None:
    kind, _, place = text.partition(":")
    check_outputs([Output(kind, f"{folder}/{place}")], platforms=ONE)


@pytest.mark.parametrize("kind", ["docker-archive", "rootfs"])
def test_one_image_for_two_platforms(folder: Path, kind: str) -> None:
    with pytest.raises(UsageError, match="the image of one platform, and 2 are built"):
        check_outputs([Output(kind, f"{folder}/new")], platforms=TWO)


def test_an_index_is_for_two_platforms(folder: Path) -> None:
    check_outputs([Output("oci", f"{folder}/new"), Output("oci-archive", f"{folder}/archive")], platforms=TWO)


def test_a_place_that_is_named_twice(folder: Path) -> None:
    with pytest.raises(UsageError, match="asked for twice"):
        check_outputs([Output("oci", f"{folder}/new"), Output("oci", f"{folder}/new")], platforms=ONE)


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
def test_a_folder_that_nobody_may_write(kind: str) -> None:
    with pytest.raises(OcibuildError) as raised:
        check_outputs([Output(kind, "/proc/self/new/image")], platforms=ONE)
    assert isinstance(raised.value, MachineError) or os.geteuid() == 0  # root is asked for permission by nobody
