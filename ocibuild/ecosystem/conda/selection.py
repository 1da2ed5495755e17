"""From a channel's records to locked packages, and from a preferred lock's packages back to records."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ocibuild.core.asks import CondaAsk
from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.conda.channel import Channels
from ocibuild.ecosystem.conda.order import dependency_names
from ocibuild.ecosystem.conda.record import NOARCH, locked_package, whole_record
from ocibuild.ecosystem.conda.target import CondaTarget

__all__ = ["locked_packages", "preferred_records"]


def locked_packages(
    records: Iterable[Mapping[str, Any]],
    asked: Sequence[tuple[str, CondaAsk]],
    channels: Channels,
    target: CondaTarget,
    *,
    why: str = "",
) -> tuple[LockedPackage, ...]:
    """The packages of these records, sorted by name; ``asked`` are the asks with their packages' names.

    ``why`` is the reason for those that neither an ask nor a package names: a lock's path. A BuildError where a channel
    gives no SHA-256 of a package.
    """
    ordered = sorted(records, key=lambda record: str(record["name"]))
    needing: dict[str, list[str]] = {}
    for record in ordered:
        for name in dependency_names(record):
            needing.setdefault(name, []).append(str(record["name"]))
    packages = []
    for record in ordered:
        name = str(record["name"])
        asks = [ask for each, ask in asked if each == name]
        channel = channels.of_url(str(record["url"]))
        if channel is None or "sha256" not in record:
            raise BuildError(
                f"the channel {channel.shown if channel else record['channel']} gives no SHA-256 of {record['fn']}",
                hint="ask the channel's owner to index it anew: conda-index has written them since 2017",
            )
        packages.append(
            locked_package(
                record,
                channel=channel.name,
                source=channel.source,
                platform=target.platform,
                specs=tuple(dict.fromkeys(ask.text for ask in asks)),
                why=tuple(dict.fromkeys(str(ask.origin) for ask in asks))
                or tuple(needing.get(name, ()))
                or ((why,) if why else ()),
            )
        )
    return tuple(packages)


def preferred_records(
    packages: Iterable[LockedPackage], channels: Channels, target: CondaTarget, not_after: datetime | None
) -> list[dict[str, Any]]:
    """The records of those packages that are for this target and from these channels, and were there in time."""
    limit = not_after.timestamp() * 1000 if not_after else None
    records = []
    for package in packages:
        channel = channels.named(package.fields["channel"])
        timestamp = json.loads(package.fields["record"]).get("timestamp")
        is_late = limit is not None and (timestamp is None or timestamp > limit)
        if channel is not None and package.fields["subdir"] in (NOARCH, target.subdir) and not is_late:
            records.append(whole_record(package, channel.address))
    return records
