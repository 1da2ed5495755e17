"""A wheel as entries of a layer: the tree that ``pip install --no-compile`` makes of it, without running pip.

Sources: the binary distribution format (packaging.python.org, "Binary distribution format"), "Recording installed
projects", and pip 26.3's ``operations/install/wheel.py``, which the result equals byte for byte and mode for mode.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import folders_above
from ocibuild.ecosystem.pip.installation import Installation, Target
from ocibuild.ecosystem.pip.record import checked, checked_stream
from ocibuild.ecosystem.pip.wheel import LARGEST_WHOLE_BYTES, WheelArchive
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.placement import Placement

__all__ = ["PLACING_VERSION", "PipPlaceContext", "place"]

PLACING_VERSION = 1
"""Part of every fragment's key: raise it whenever the entries made of some wheel change."""


@dataclass(frozen=True, slots=True)
class PipPlaceContext:
    """All that placing a wheel depends on besides the wheel.

    ``prefix`` is the environment's path in the image without a leading slash; ``python_version`` is major and minor
    (``3.11``); ``interpreter`` is the absolute path that scripts name in their first line. ``requested`` tells that the
    package was asked for and is no mere dependency. ``direct_url`` is the text of ``direct_url.json`` (PEP 610), empty
    for a package from an index. ``left_out`` are paths that another package's file takes (:mod:`.settle`).
    """

    prefix: str
    python_version: str
    interpreter: str
    uid: int = 0
    gid: int = 0
    requested: bool = False
    direct_url: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def site_packages(self) -> str:
        """Where modules go, pure or not: in a venv ``lib64`` is a link to ``lib``."""
        return f"{self.prefix}/lib/python{self.python_version}/site-packages"

    def canonical(self) -> bytes:
        """The same bytes for equal contexts, other bytes for others: part of a fragment's key."""
        fields = dataclasses.asdict(self) | {"left_out": sorted(self.left_out)}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def place(package: LockedPackage, body: Path, context: PipPlaceContext) -> Placement:
    """The entries of the wheel at ``body``: folders first, then files, each in the order of their paths.

    ``body`` is a file whose digest was verified. Every file is compared with the wheel's RECORD while it is taken; one
    that differs is an IntegrityError, and a wheel that breaks its format or would write outside the prefix is an
    ImageError. Nothing is unpacked to disk, and a member of any size needs constant memory.
    """
    return Placement(_entries(package, body, context))


def _entries(package: LockedPackage, body: Path, context: PipPlaceContext) -> Iterator[Entry]:
    name = package.fields.get("filename") or package.identity
    with WheelArchive(body, name=name) as archive:
        left_out = frozenset(context.left_out)
        targets = [
            target
            for target in Installation(
                archive,
                package_name=package.name,
                prefix=context.prefix,
                python_version=context.python_version,
                interpreter=context.interpreter,
                requested=context.requested,
                direct_url=context.direct_url,
            ).targets()
            if target.path not in left_out
        ]
        below = f"{context.prefix}/"
        above = folders_above(target.path for target in targets)
        for folder in sorted(folder for folder in above if folder.startswith(below)):
            yield Entry.directory(folder, uid=context.uid, gid=context.gid)
        for target in targets:
            yield _entry(archive, target, context)


def _entry(archive: WheelArchive, target: Target, context: PipPlaceContext) -> Entry:
    member = target.member
    if member is None:
        return Entry.file(target.path, target.content, mode=target.mode, uid=context.uid, gid=context.gid)
    where = f"{archive.name}: {member.name}"
    if member.size_bytes <= LARGEST_WHOLE_BYTES:
        data = checked(archive.read(member), target.recorded_hash, where=where)
        return Entry.file(target.path, data, mode=target.mode, uid=context.uid, gid=context.gid)
    return Entry(
        target.path,
        EntryKind.FILE,
        target.mode,
        context.uid,
        context.gid,
        member.size_bytes,
        content=lambda: checked_stream(archive.stream(member), target.recorded_hash, where=where),
    )
