"""Finding locked packages again: where this machine has the channels that a lock names."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.asks import CondaAsks, Origin
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.channel import Channels, channel_address
from ocibuild.ecosystem.conda.configuration import CondaSettings
from ocibuild.ecosystem.conda.resolve import CondaResolution

__all__ = ["locate"]


def locate(
    packages: Iterable[LockedPackage],
    asks: CondaAsks,
    settings: CondaSettings,
    *,
    folder: Path,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> CondaResolution:
    """The same packages with the sources of this machine, and their addresses.

    Nothing is resolved and nobody is asked: a package's path below its channel is the same everywhere. ``asks`` are
    those of the repository, for the channels and credentials that they name; the other arguments are those of
    :func:`.resolve.resolve`. A lock keeps the packages as they are in it.
    """
    specs = [(ask.text, ask.origin) for ask in asks.packages]
    channels = Channels(asks.channels, settings, specs=specs, folder=folder, variables=variables)
    located = []
    for package in packages:
        name = package.fields["channel"]
        channel = channels.named(name) or channels.include(channel_address(name), Origin(name))
        located.append(replace(package, source=channel.source))
    return CondaResolution(tuple(located), channels.addresses)
