"""What a process has half-written when it must end at once."""

from pathlib import Path

import pytest

from ocibuild.core.atomic import partial_file, remove_partials, replaced_folder, replacing
from ocibuild.core.errors import OcibuildError


def test_what_is_half_written_is_removed(tmp_path: Path) -> None:
    with replacing(tmp_path / "whole") as whole:
        whole.write(b"x")
    with (
        pytest.raises(OcibuildError),  # another thread that is still at it
        replaced_folder(tmp_path / "root") as root,
        partial_file(tmp_path / "folder", attempted="writing") as file,
    ):
        file.write(b"x")
        (root / "below").mkdir()
        remove_partials()
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "whole"]
    remove_partials()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "whole"]
