from pathlib import Path

import pytest

from ocibuild.core.asks import CondaChannelAsk, Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.conda.channel import Channels, channel_address
from ocibuild.ecosystem.conda.configuration import CondaSettings, Credential

ORIGIN = Origin("environment.yml", 2)
PUBLIC = "https://conda.anaconda.org"


def channels(*names: str, settings: CondaSettings = CondaSettings(), specs: tuple[str, ...] = ()) -> Channels:  # noqa: B008 - frozen
    asked = [CondaChannelAsk(name, ORIGIN) for name in names]
    return Channels(asked, settings, specs=[(spec, ORIGIN) for spec in specs], folder=Path("/repository"))


def listed(found: Channels) -> list[tuple[str, str, str]]:
    return [(each.name, each.source, each.address) for group in found.groups for each in group.channels]


def test_the_default_is_conda_forge_behind_what_is_asked() -> None:
    assert [name for name, _, _ in listed(channels())] == ["conda-forge"]
    assert [name for name, _, _ in listed(channels("bioconda"))] == ["bioconda", "conda-forge"]
    assert [name for name, _, _ in listed(channels("bioconda", "nodefaults"))] == ["bioconda"]
    own = CondaSettings(channels=("team", "conda-forge"))
    assert [name for name, _, _ in listed(channels("conda-forge", settings=own))] == ["conda-forge", "team"]


def test_public_addresses() -> None:
    assert channel_address("conda-forge/label/dev") == f"{PUBLIC}/conda-forge/label/dev/"
    assert channel_address("pkgs/main") == "https://repo.anaconda.com/pkgs/main/"
    assert channel_address("https://host/x") == "https://host/x/"
    (group,) = channels("defaults", "nodefaults").groups
    assert group.name == "defaults"
    assert [each.name for each in group.channels] == ["pkgs/main", "pkgs/r"]


@pytest.mark.parametrize(
    ("settings", "name", "address"),
    [
        (CondaSettings(alias="https://mirror/conda"), "conda-forge", "https://mirror/conda/conda-forge/"),
        (CondaSettings(alias="https://mirror/conda"), "pkgs/main", "https://repo.anaconda.com/pkgs/main/"),
        (CondaSettings(custom={"conda-forge": "https://c"}), "conda-forge", "https://c/conda-forge/"),
        (CondaSettings(custom={"conda-forge": "https://c"}), "conda-forge/label/x", "https://c/conda-forge/label/x/"),
        (CondaSettings(custom={"conda-forge": "https://c"}), "conda-forge2", f"{PUBLIC}/conda-forge2/"),
        (CondaSettings(custom={"pkgs": "https://c"}), "pkgs/r", "https://c/pkgs/r/"),
        (CondaSettings(mirrors={"x": ("https://m/other", "https://n")}, alias="https://a"), "x", "https://m/other/"),
    ],
)
def test_mirrors(settings: CondaSettings, name: str, address: str) -> None:
    assert listed(channels(name, "nodefaults", settings=settings)) == [(name, name, address)]


def test_the_public_address_of_a_channel_is_its_name() -> None:
    settings = CondaSettings(alias="https://mirror/conda")
    for text in (f"{PUBLIC}/conda-forge", f"{PUBLIC}/conda-forge/linux-64/", f"{PUBLIC}/conda-forge/"):
        assert listed(channels(text, "nodefaults", settings=settings)) == [
            ("conda-forge", "conda-forge", "https://mirror/conda/conda-forge/")
        ]
    own = f"{PUBLIC}/t/s3cr3t/team"
    assert listed(channels(own, "nodefaults", settings=settings)) == [("team", "team", f"{own}/")]


def test_urls_and_what_is_secret_in_them() -> None:
    found = channels("https://user:pa%20ss@host/a/team", "https://host/t/tok/team", "nodefaults")
    assert listed(found) == [
        ("https://host/a/team", "a/team", "https://user:pa%20ss@host/a/team/"),
        ("https://host/team", "team", "https://host/t/tok/team/"),
    ]
    assert set(found.secrets) == {"pa ss", "pa%20ss", "tok"}
    assert all("tok" not in channel.shown and "pa" not in channel.shown for g in found.groups for channel in g.channels)


def test_sources_are_told_apart() -> None:
    found = channels("https://one/team", "https://two/team", "team", "nodefaults")
    assert [source for _, source, _ in listed(found)] == ["team", "team.2", "team.3"]
    assert found.addresses["team.2"] == "https://two/team/"


def test_addresses_of_this_machines_user_are_not_names() -> None:
    own = CondaSettings(channels=("https://intern/conda/team",), multi={"defaults": ("https://intern/pkgs/main",)})
    assert [name for name, _, _ in listed(channels("defaults", settings=own))] == ["pkgs/main", "team"]


def test_specs_with_channels() -> None:
    settings = CondaSettings(alias="https://mirror")
    found = channels(
        "conda-forge", "nodefaults", settings=settings, specs=("numpy", "bioconda::samtools>=1", "defaults::x")
    )
    assert [group.name or group.channels[0].name for group in found.groups] == ["conda-forge", "bioconda", "defaults"]
    assert found.located("numpy >=2") == "numpy >=2"
    assert found.located("bioconda::samtools>=1") == "https://mirror/bioconda::samtools>=1"
    assert found.located("conda-forge/noarch::x") == "https://mirror/conda-forge/noarch::x"
    assert found.located("defaults::x") == "defaults::x"
    assert found.located("x[version='>=1']") == "x[version='>=1']"


def test_packages_are_known_by_the_longest_address() -> None:
    found = channels("https://host/team", "https://host/team/label/dev", "nodefaults")
    channel = found.of_url("https://host/team/label/dev/noarch/x-1-0.conda")
    assert channel is not None
    assert channel.source == "team/label/dev"
    assert found.of_url("https://host/other/noarch/x-1-0.conda") is None


def test_credentials_of_the_machine() -> None:
    known = {
        "conda.anaconda.org": Credential(token="tok"), "*.example": Credential(user="u", password="p/w"),
        "host:8080": Credential(user="x", password="y"),
    }  # fmt: skip
    settings = CondaSettings(credentials=known)
    names = (
        "conda-forge",
        "https://a.b.example/team",
        "http://host:8080/x",
        "https://me@c.example/y",
        "https://host/z",
    )
    found = channels(*names, "nodefaults", settings=settings)
    assert [address for _, _, address in listed(found)] == [
        f"{PUBLIC}/t/tok/conda-forge/", "https://u:p%2Fw@a.b.example/team/", "http://x:y@host:8080/x/",
        "https://me@c.example/y/", "https://host/z/",
    ]  # fmt: skip
    assert [name for name, _, _ in listed(found)][:2] == ["conda-forge", "https://a.b.example/team"]
    assert {"tok", "p/w", "y"} <= set(found.secrets)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "http://[x", "https://host:port/x", "https://", "a\nb", "http://u:secret@[x/y"]
)
def test_what_is_no_channel(name: str) -> None:
    with pytest.raises(RepositoryError, match="is no channel") as caught:
        channels(name)
    assert (caught.value.file, caught.value.line) == ("environment.yml", 2)
    assert "secret" not in str(caught.value)
