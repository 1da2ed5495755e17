from pathlib import Path

import pytest

from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.spec.catalogue import Account, find_layer, read_catalogue_layer, shipped_layer


def test_the_account_layer_ships() -> None:
    layer = shipped_layer("user")
    assert layer.accounts == (Account("jovyan", 1000, 1000, "/home/jovyan", "/bin/bash", "Default user"),)


def test_an_unknown_layer_lists_the_known() -> None:
    with pytest.raises(UsageError, match="'nothing'") as caught:
        shipped_layer("nothing")
    assert "user" in str(caught.value.hint)


def test_a_layer_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "files/etc").mkdir(parents=True)
    (tmp_path / "files/etc/motd").write_text("hello\n")
    (tmp_path / "layer.toml").write_text('summary = "a greeting"\n[environment]\nA = "1"\n')
    layer = read_catalogue_layer(tmp_path)
    assert (layer.summary, layer.environment) == ("a greeting", {"A": "1"})
    assert layer.files == tmp_path / "files"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary =", "not TOML"),
        ("files = 1", "files: no such option"),
        ("[environment]\nA = 1", "table of texts"),
        ("account = 1", "write each as"),
        ("[[account]]\nname = 'A B'\nuid = 1\nhome = '/h'", "name in lower case"),
        ("[[account]]\nname = 'a'\nuid = 0\nhome = '/h'", "numbers above 0"),
        ("[[account]]\nname = 'a'\nuid = 5\nhome = '/h:/x'", "without ':'"),
    ],
)
def test_a_wrong_layer_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "layer.toml").write_text(text)
    with pytest.raises(RepositoryError, match=rf"layer\.toml(?::\d+)?: .*{message}"):
        read_catalogue_layer(tmp_path)


def test_a_folder_that_is_no_layer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no layer\.toml"):
        read_catalogue_layer(tmp_path)


def test_a_layer_is_a_folder_or_the_name_of_one_that_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_layer("tools") == shipped_layer("tools")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/layer.toml").write_text('summary = "mine"')
    assert find_layer("tools").summary == find_layer("./tools").summary == "mine"
    with pytest.raises(UsageError, match=r"no layer\.toml"):
        find_layer("./locale")
    with pytest.raises(UsageError, match="no layer 'none' ships"):
        find_layer("none")
