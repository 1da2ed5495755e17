from pathlib import Path

import pytest

from ocibuild.core.errors import UsageError
from ocibuild.core.events import discard
from ocibuild.store.store import Store
from ocibuild.work.source import Source, open_source_folder


def opened(text: str, store: Path, *, ref: str | None = None, subdir: str | None = None) -> Source:
    with open_source_folder(
        text, ref=ref, subdir=subdir, store=Store.at(store), environment={}, events=discard
    ) as source:
        return source


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "repo/sub").mkdir(parents=True)
    source = opened(str(tmp_path / "repo"), tmp_path / "store")
    assert source == Source(tmp_path / "repo", "repo")
    inside = opened(str(tmp_path / "repo"), tmp_path / "store", subdir="sub")
    assert (inside.folder, inside.name) == (tmp_path / "repo/sub", "repo-sub")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("text", "ref", "subdir", "message"),
    [
        (".", "main", None, "taken as it is"),
        (".", None, "..", "has no folder"),
        (".", None, "none", "has no folder"),
        (__file__, None, None, "is a file"),
        ("./nothing-here", None, None, "no folder here"),
    ],
)
def test_what_is_no_source(text: str, ref: str | None, subdir: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        opened(text, tmp_path / "store", ref=ref, subdir=subdir)
    assert not list(tmp_path.glob("store/source-*"))
