from pathlib import Path

import pytest

from ocibuild.binder.config_file import read_config
from ocibuild.core.errors import RepositoryError


def test_texts_are_taken_and_nothing_is_run(tmp_path: Path) -> None:
    file = tmp_path / "repo2docker_config.py"
    file.write_text(
        '"""Ours."""\nimport os\nc.Repo2Docker.base_image = "a:1"\nc.Repo2Docker.user_id = 7\nc.Repo2Docker.run = True\n'
        f"open('{tmp_path}/ran', 'w')\nc.Repo2Docker.appendix = 'RUN x'\n"
    )
    texts, unused = read_config(file)
    assert texts == {"Repo2Docker.base_image": "a:1", "Repo2Docker.user_id": "7", "Repo2Docker.appendix": "RUN x"}
    assert [line.split(":")[1] for line in unused] == ["5", "6"]
    assert not (tmp_path / "ran").exists()


def test_what_is_no_python(tmp_path: Path) -> None:
    file = tmp_path / "c.py"
    file.write_text("x = (\n")
    with pytest.raises(RepositoryError, match=r"c\.py:1: not a program"):
        read_config(file)
    with pytest.raises(RepositoryError, match="cannot be read"):
        read_config(tmp_path / "none.py")
