"""A channel's record of a package as the lock holds it, and back."""

import json
from collections.abc import Mapping
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform

__all__ = ["NOARCH", "is_python_package", "locked_package", "whole_record"]

NOARCH = "noarch"

# What a locked package says elsewhere: as its own fields, or in its digest, size and source.
_ELSEWHERE = frozenset({"name", "version", "build", "subdir", "fn", "url", "channel", "sha256", "size"})


def locked_package(
    record: Mapping[str, Any],
    *,
    channel: str,
    source: str,
    platform: Platform,
    specs: tuple[str, ...] = (),
    why: tuple[str, ...] = (),
) -> LockedPackage:
    """The package of a record (rattler's JSON form of it), which must have a SHA-256.

    ``channel`` is a name, or an address without credentials where the channel has none; ``source`` names the address
    that this machine has for it. ``specs`` are what asked for the package, none for a mere dependency.

    Its fields: ``build``, ``subdir``, ``channel``, ``filename``; ``record`` (JSON), the rest of the record as it was;
    ``specs``, one a line.
    """
    subdir, file_name = str(record["subdir"]), str(record["fn"])
    rest = {key: value for key, value in record.items() if key not in _ELSEWHERE}
    fields = {
        "build": str(record["build"]),
        "subdir": subdir,
        "channel": channel,
        "filename": file_name,
        "record": json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    }
    size = record.get("size")
    return LockedPackage(
        ecosystem=Ecosystem.CONDA,
        name=str(record["name"]),
        version=str(record["version"]),
        architecture=NOARCH if subdir == NOARCH else platform.architecture,
        source=source,
        path=f"{subdir}/{file_name}",
        digest=Digest.sha256(str(record["sha256"])),
        size_bytes=None if size is None else int(size),
        requested=bool(specs),
        why=why,
        fields=fields | ({"specs": "\n".join(specs)} if specs else {}),
    )


def whole_record(package: LockedPackage, address: str = "") -> dict[str, Any]:
    """The record that a locked package was made of.

    With the ``address`` of its channel (a slash at its end) it has ``url`` and that as ``channel``; without one,
    ``channel`` is the channel's name.
    """
    fields = package.fields
    return {
        **json.loads(fields.get("record", "{}")),
        "name": package.name,
        "version": package.version,
        "build": fields["build"],
        "subdir": fields["subdir"],
        "sha256": package.digest.hex,
        **({} if package.size_bytes is None else {"size": package.size_bytes}),
        "fn": fields["filename"],
        **({"url": address + package.path, "channel": address} if address else {"channel": fields["channel"]}),
    }


def is_python_package(package: LockedPackage) -> bool:
    """Whether it may bring Python distributions: it is for any Python, or needs one; where nothing is known, too."""
    record = json.loads(package.fields.get("record", "{}"))
    needed = {text.partition(" ")[0].rpartition("::")[2] for text in record.get("depends", ())}
    return record.get("noarch") == "python" or "depends" not in record or bool(needed & {"python", "python_abi"})
