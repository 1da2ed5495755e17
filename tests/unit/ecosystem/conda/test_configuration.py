from pathlib import Path

import pytest

from ocibuild.core.errors import UsageError
from ocibuild.ecosystem.conda.configuration import CondaSettings, Credential, read_conda_settings


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    return tmp_path / "system"


def test_no_files_are_no_settings(home: Path, system: Path) -> None:
    assert read_conda_settings({}, home=home, system=system) == CondaSettings()


def test_every_key(home: Path, system: Path) -> None:
    write(
        home / ".condarc",
        """
channels: [conda-forge, https://host/team]
channel_alias: https://mirror/$WHERE
custom_channels: {bioconda: "https://other/${WHERE}"}
mirrored_channels: {conda-forge: [https://first/conda-forge, https://second/conda-forge]}
default_channels: [https://mirror/pkgs/main]
custom_multichannels: {ours: [a, b]}
channel_priority: strict
ssl_verify: false
offline: true
auto_activate_base: false
""",
    )
    settings = read_conda_settings({"WHERE": "here"}, home=home, system=system)
    assert settings.channels == ("conda-forge", "https://host/team")
    assert settings.alias == "https://mirror/here"
    assert not settings.reach.trust("https://mirror/here").is_verified
    assert dict(settings.custom) == {"bioconda": "https://other/here"}
    assert settings.mirrors["conda-forge"] == ("https://first/conda-forge", "https://second/conda-forge")
    assert dict(settings.multi) == {"ours": ("a", "b"), "defaults": ("https://mirror/pkgs/main",)}
    assert settings.priority == "strict"
    assert not settings.verifies_tls
    assert settings.is_offline


def test_later_files_come_before_earlier_ones(home: Path, system: Path, tmp_path: Path) -> None:
    write(
        system / "etc/conda/.condarc", "channels: [system]\nchannel_alias: https://system\nchannel_priority: strict\n"
    )
    write(home / ".config/conda/condarc.d/10.yaml", "channels: [folder]\n")
    write(home / ".condarc", "channels: [home, system]\nchannel_alias: https://home\n")
    write(tmp_path / "prefix/.condarc", "channels: [prefix]\n")
    write(tmp_path / "named", "channels: [named]\n")
    environment = {"CONDA_PREFIX": str(tmp_path / "prefix"), "CONDARC": str(tmp_path / "named")}
    settings = read_conda_settings(environment, home=home, system=system)
    assert settings.channels == ("named", "prefix", "home", "system", "folder")
    assert settings.alias == "https://home"
    assert settings.priority == "strict"


def test_variables_come_first(home: Path, system: Path) -> None:
    write(home / ".condarc", "channels: [file]\nchannel_priority: strict\ndefault_channels: [file-default]\n")
    environment = {
        "CONDA_CHANNELS": "one, two",
        "CONDA_CHANNEL_ALIAS": "https://variable",
        "CONDA_DEFAULT_CHANNELS": "d",
        "CONDA_CHANNEL_PRIORITY": "disabled",
        "CONDA_SSL_VERIFY": "no",
        "CONDA_OFFLINE": "1",
    }
    settings = read_conda_settings(environment, home=home, system=system)
    assert settings.channels == ("one", "two", "file")
    assert settings.alias == "https://variable"
    assert settings.multi["defaults"] == ("d", "file-default")
    assert settings.priority == "disabled"
    assert (settings.verifies_tls, settings.is_offline) == (False, True)


@pytest.mark.parametrize(("word", "priority"), [("true", "flexible"), ("false", "disabled"), ("flexible", "flexible")])
def test_priorities_of_old_files(home: Path, system: Path, word: str, priority: str) -> None:
    write(home / ".condarc", f"channel_priority: {word}\n")
    assert read_conda_settings({}, home=home, system=system).priority == priority


@pytest.mark.parametrize(
    "text",
    [
        "[a, b]",
        "channels: {a: b",
        "\x00",
        "channel_priority: sometimes",
        "custom_channels: [a]",
        "mirrored_channels: x",
    ],
)
def test_what_is_wrong_is_named(home: Path, system: Path, text: str) -> None:
    write(home / ".condarc", text)
    with pytest.raises(UsageError, match=r"\.condarc"):
        read_conda_settings({}, home=home, system=system)


def test_a_wrong_variable(home: Path, system: Path) -> None:
    with pytest.raises(UsageError, match="CONDA_CHANNEL_PRIORITY"):
        read_conda_settings({"CONDA_CHANNEL_PRIORITY": "x"}, home=home, system=system)


def test_credentials_that_rattler_keeps(home: Path, system: Path, tmp_path: Path) -> None:
    text = """{"host": {"CondaToken": "tok"}, "*.b": {"BasicHTTP": {"username": "u", "password": "p"}},
               "c": {"BearerToken": "x"}, "d": 3}"""
    expected = {"host": Credential(token="tok"), "*.b": Credential(user="u", password="p")}
    write(home / ".rattler/credentials.json", text)
    assert dict(read_conda_settings({}, home=home, system=system).credentials) == expected
    write(tmp_path / "named", "{}")
    named = {"RATTLER_AUTH_FILE": str(tmp_path / "named")}
    assert dict(read_conda_settings(named, home=home, system=system).credentials) == {}
    write(tmp_path / "named", "{")
    with pytest.raises(UsageError, match="named"):
        read_conda_settings(named, home=home, system=system)
