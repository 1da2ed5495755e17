from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ocibuild.core.asks import CondaAsks, CondaChannelAsk, Origin
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.configuration import CondaSettings
from ocibuild.ecosystem.conda.locate import locate

Locked = Callable[..., LockedPackage]


def of(package: LockedPackage, channel: str) -> LockedPackage:
    return replace(package, fields={**package.fields, "channel": channel}, source="as it was there")


def test_packages_are_where_this_machine_has_their_channels(locked: Locked) -> None:
    packages = [of(locked("a"), "conda-forge"), of(locked("b"), "https://host/team"), of(locked("c"), "pkgs/main")]
    ask = CondaChannelAsk("https://user:word@host/team", Origin("environment.yml", 2))
    settings = CondaSettings(alias="https://mirror")
    found = locate(packages, CondaAsks(channels=(ask,)), settings, folder=Path("/repository"))
    urls = [found.addresses[package.source] + package.path for package in found.packages]
    assert urls == [
        "https://mirror/conda-forge/linux-64/a-1.0-0.conda",
        "https://user:word@host/team/linux-64/b-1.0-0.conda",
        "https://repo.anaconda.com/pkgs/main/linux-64/c-1.0-0.conda",
    ]
    assert [package.digest for package in found.packages] == [package.digest for package in packages]


def test_a_channel_that_nothing_names_any_more_is_at_its_own_address(locked: Locked) -> None:
    found = locate([of(locked("a"), "https://gone/x")], CondaAsks(), CondaSettings(), folder=Path("/repository"))
    assert found.addresses[found.packages[0].source] == "https://gone/x/"
