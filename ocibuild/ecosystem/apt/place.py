"""One .deb as entries of a layer: what ``dpkg --unpack`` makes of it, without dpkg and without running its scripts.

Sources: deb(5), deb-conffiles(5), and dpkg 1.21's ``main/archives.c`` and ``main/unpack.c``, whose tree and lists the
result equals path for path.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import ImageError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.apt.conffile import NEW_CONFFILE, FoundConffile, conffile_md5
from ocibuild.ecosystem.apt.deb import Control, DebFile
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode
from ocibuild.layer.entry import WHITEOUT_PREFIX, Entry, EntryKind
from ocibuild.layer.placement import Placement

__all__ = ["INFO_FOLDER", "PLACING_VERSION", "AptPlaceContext", "info_name", "place"]

PLACING_VERSION = 2
"""Part of every fragment's key: raise it whenever the entries made of some .deb change."""

INFO_FOLDER = "var/lib/dpkg/info"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.:_-]*")  # what dpkg takes as a package's name, and our name:architecture
_LARGEST_CONFFILE_BYTES = 32 << 20  # it is held in memory, for its hash decides where it goes


@dataclass(frozen=True)
class AptPlaceContext:
    """All that placing a .deb depends on besides the .deb. Paths have no leading slash.

    ``links`` are folder links of the image that the package's paths lead through (merged /usr: ``bin`` -> ``usr/bin``).
    ``renamed`` are paths, as the package names them, that go elsewhere because of a diversion. ``overrides`` are modes
    and owners of dpkg-statoverride(1), by the path as the package names it. ``left_out`` are places in the image that
    another package's file takes. ``conffiles`` are those where something is in the way of the package's own. All but
    ``links`` are empty in the common case, so that fragments are shared.
    """

    links: tuple[tuple[str, str], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    conffiles: tuple[FoundConffile, ...] = ()
    overrides: tuple[tuple[str, int, int, int], ...] = ()

    def canonical(self) -> bytes:
        """The same bytes for equal contexts, other bytes for others: part of a fragment's key."""
        fields = {
            "links": sorted(self.links),
            "renamed": sorted(self.renamed),
            "left_out": sorted(self.left_out),
            "conffiles": [dataclasses.astuple(found) for found in sorted(self.conffiles)],
            "overrides": sorted(self.overrides),
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @cached_property
    def _links(self) -> dict[str, str]:
        return dict(self.links)

    @cached_property
    def _renamed(self) -> dict[str, str]:
        return dict(self.renamed)

    def is_link(self, path: str) -> bool:
        """Whether the image has a folder link at this place."""
        return path in self._links

    def target(self, path: str) -> str:
        """Where a path of the package is put: diverted, as diversions name paths as packages do, then through links."""
        path = self._renamed.get(path, path)
        for _ in range(len(self.links) + 1):
            folder = self._first_link(path)
            if not folder:
                return path
            path = f"{self._links[folder]}{path[len(folder) :]}".lstrip("/")
        raise ImageError(f"folder links lead in a circle at /{path}")

    def _first_link(self, path: str) -> str:
        """The outermost folder above ``path`` that is a link, or ``""``."""
        end = path.find("/")
        while end > 0:
            if path[:end] in self._links:
                return path[:end]
            end = path.find("/", end + 1)
        return ""


def info_name(package: str, architecture: str, multi_arch: str) -> str:
    """The name under which dpkg keeps the package's files in its info folder."""
    return f"{package}:{architecture}" if multi_arch == "same" else package


def place(package: LockedPackage, body: Path, context: AptPlaceContext) -> Placement:
    """The entries of the .deb at ``body``: its data in the archive's order, then its files of dpkg's info folder.

    ``body`` is a file whose digest was verified. The notes are ``control`` (the control file) and ``conffiles`` (JSON:
    path -> what dpkg's status has, the MD5 of what is shipped in most cases; ``""`` for one that the package wants
    removed). An ImageError for a package that is malformed, holds what no layer may (device nodes, whiteouts, a path
    twice), or whose control file is of another package than the lock says.
    """
    notes: dict[str, bytes] = {}
    return Placement(_entries(package, body, context, notes), notes)


def _entries(
    package: LockedPackage, body: Path, context: AptPlaceContext, notes: MutableMapping[str, bytes]
) -> Iterator[Entry]:
    with DebFile.open(body, name=package.identity) as deb:
        control = deb.control()
        name = _checked_name(package, Paragraph.parse(decode(control.members["control"])))
        conffiles = _Conffiles(control, context, package)
        sums = _Sums(control)
        listed: dict[str, None] = {"/.": None}
        files: set[str] = set()
        for entry in map(sums.counted, deb.entries()):
            shown = f"/{entry.path}"
            if shown in listed and entry.kind is not EntryKind.DIRECTORY:
                raise ImageError(f"{package.identity}: {shown} occurs twice")
            listed[shown] = None
            placed = _placed(entry, context, package)
            if placed is not None and shown in conffiles.recorded and entry.kind is EntryKind.FILE:
                placed = conffiles.placed(shown, placed)
            if placed is None:
                continue
            if placed.kind is EntryKind.FILE:
                files.add(placed.path)
            elif placed.kind is EntryKind.HARDLINK and placed.link not in files:
                raise ImageError(f"{package.identity}: {shown} shares /{placed.link}, which is not there before it")
            yield placed
        members = dict(control.members) | sums.made(conffiles.recorded)
        yield from _info_files(name, Control(members, control.executable), listed)
        notes["control"] = control.members["control"]
        notes["conffiles"] = json.dumps(conffiles.recorded).encode()


def _checked_name(package: LockedPackage, fields: Mapping[str, str]) -> str:
    """The name of the package's info files; an ImageError where the file is not the package of the lock."""
    found = tuple(fields.get(name, "") for name in ("Package", "Version", "Architecture"))
    if found != (package.name, package.version, package.architecture):
        raise ImageError(f"{package.identity}: the file is {found[0]}={found[1]} {found[2]}")
    name = info_name(package.name, package.architecture, fields.get("Multi-Arch", ""))
    if _NAME.fullmatch(name) is None:
        raise ImageError(f"{package.identity}: not a name that a package may have")
    return name


class _Sums:
    """The MD5 sums of a package that ships none: dpkg then makes them itself (dpkg 1.21, ``unpack.c``)."""

    def __init__(self, control: Control) -> None:
        self._wanted = "md5sums" not in control.members
        self._states: dict[str, Any] = {}

    def counted(self, entry: Entry) -> Entry:
        """The entry, its content hashed as it is taken where that is needed."""
        if not self._wanted or entry.kind is not EntryKind.FILE:
            return entry
        state = self._states[entry.path] = hashlib.md5(usedforsecurity=False)

        def chunks() -> Iterator[bytes | memoryview]:
            for chunk in entry.chunks():
                state.update(chunk)
                yield chunk

        return dataclasses.replace(entry, content=chunks)

    def made(self, conffiles: Mapping[str, str]) -> dict[str, bytes]:
        """The file ``md5sums``, without conffiles, whose sums are in the status; nothing where it was shipped."""
        if not self._wanted:
            return {}
        lines = (f"{s.hexdigest()}  {path}\n" for path, s in self._states.items() if f"/{path}" not in conffiles)
        return {"md5sums": "".join(lines).encode("utf-8", "surrogateescape")}


class _Conffiles:
    """The conffiles of a package. ``recorded`` is what the status has of each, in the order of deb-conffiles(5)."""

    def __init__(self, control: Control, context: AptPlaceContext, package: LockedPackage) -> None:
        self._found = {found.path: found for found in context.conffiles}
        self._package = package
        self.recorded: dict[str, str] = {}
        for line in decode(control.members.get("conffiles", b"")).splitlines():
            flag, slash, path = line.strip().partition("/")
            if slash and flag.strip() in ("", "remove-on-upgrade"):
                self.recorded[f"/{path}"] = "" if flag else NEW_CONFFILE

    def placed(self, shown: str, entry: Entry) -> Entry | None:
        """The entry of the conffile ``shown``, or None where what is there stays."""
        if entry.size_bytes > _LARGEST_CONFFILE_BYTES:
            raise ImageError(f"{self._package.identity}: the conffile {shown} has {entry.size_bytes} bytes")
        content = entry.read()
        shipped = self.recorded[shown] = conffile_md5(content)
        found = self._found.get(entry.path)
        if found is None:
            return dataclasses.replace(entry, content=content)
        self.recorded[shown] = found.recorded(shipped)
        target = found.target(shipped)
        if target is None:
            return None
        mode, uid, gid = (found.mode, found.uid, found.gid) if found.mode else (entry.mode, entry.uid, entry.gid)
        return dataclasses.replace(entry, path=target, content=content, mode=mode, uid=uid, gid=gid)


def _placed(entry: Entry, context: AptPlaceContext, package: LockedPackage) -> Entry | None:
    """The entry as it goes into the layer, or None where it does not."""
    if entry.kind is EntryKind.OTHER:
        raise ImageError(f"{package.identity}: /{entry.path} is a device or fifo, which no layer may hold")
    if WHITEOUT_PREFIX in entry.path and f"/{WHITEOUT_PREFIX}" in f"/{entry.path}":
        raise ImageError(f"{package.identity}: /{entry.path} would hide other files of the image")
    path = context.target(entry.path)
    if path in context.left_out or (entry.kind is EntryKind.DIRECTORY and context.is_link(path)):
        return None  # a folder that is a link in the image stays one (dpkg(1), "Path to a symlinked directory")
    mode, uid, gid = entry.mode, entry.uid, entry.gid
    for overridden, *values in context.overrides:
        if overridden == entry.path:
            mode, uid, gid = values
    link = context.target(entry.link) if entry.kind is EntryKind.HARDLINK else entry.link
    mode = 0o777 if entry.kind is EntryKind.SYMLINK else mode
    return Entry(path, entry.kind, mode, uid, gid, entry.size_bytes, link, entry.content, FIXED_TIME, entry.attributes)


def _info_files(name: str, control: Control, listed: Iterable[str]) -> Iterator[Entry]:
    files: Mapping[str, bytes] = {
        **{member: data for member, data in control.members.items() if member != "control"},
        "list": ("\n".join(listed) + "\n").encode("utf-8", "surrogateescape"),
    }
    for member, data in sorted(files.items()):
        mode = 0o755 if member in control.executable else 0o644
        yield Entry.file(f"{INFO_FOLDER}/{name}.{member}", data, mode=mode)
