"""One .deb as entries of a layer: what ``dpkg --unpack`` makes of it, without dpkg and without running its scripts.

Sources: deb(5), deb-conffiles(5), and dpkg 1.21's ``main/archives.c`` and ``main/unpack.c``, whose tree and lists the
result equals path for path.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import ImageError
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.apt.deb import Control, DebFile
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.placement import Placement

__all__ = ["INFO_FOLDER", "PLACING_VERSION", "AptPlaceContext", "info_name", "place"]

PLACING_VERSION = 1
"""Part of every fragment's key: raise it whenever the entries made of some .deb change."""

INFO_FOLDER = "var/lib/dpkg/info"


@dataclass(frozen=True, slots=True)
class AptPlaceContext:
    """All that placing a .deb depends on besides the .deb. Paths have no leading slash.

    ``links`` are folder links of the image that the package's paths lead through (merged /usr: ``bin`` -> ``usr/bin``).
    ``renamed`` are paths that go elsewhere because of a diversion. ``left_out`` are paths that another package's file
    takes. ``conffiles`` are those that somebody changed or removed since the package was installed: the path, the MD5
    of what was shipped then, and that of what is there now (``""`` for nothing). ``overrides`` are modes and owners of
    dpkg-statoverride(1). All but ``links`` are empty in the common case, so that fragments are shared.
    """

    links: tuple[tuple[str, str], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    conffiles: tuple[tuple[str, str, str], ...] = ()
    overrides: tuple[tuple[str, int, int, int], ...] = ()

    def canonical(self) -> bytes:
        """The same bytes for equal contexts, other bytes for others: part of a fragment's key."""
        fields = {name: sorted(value) for name, value in dataclasses.asdict(self).items()}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    def target(self, path: str) -> str:
        """Where a path of the package is put, links and renamings applied."""
        moved = self._through_links(path)
        return dict(self.renamed).get(moved, moved)

    def _through_links(self, path: str) -> str:
        links = dict(self.links)
        for _ in range(len(links) + 1):
            parts = path.split("/")
            prefixes = ("/".join(parts[:count]) for count in range(1, len(parts)))
            found = next((prefix for prefix in prefixes if prefix in links), None)
            if found is None:
                return path
            path = f"{links[found]}{path[len(found) :]}".lstrip("/")
        raise ImageError(f"folder links lead in a circle at /{path}")


def info_name(package: str, architecture: str, multi_arch: str) -> str:
    """The name under which dpkg keeps the package's files in its info folder."""
    return f"{package}:{architecture}" if multi_arch == "same" else package


def place(package: LockedPackage, body: Path, context: AptPlaceContext) -> Placement:
    """The entries of the .deb at ``body``: its data in the archive's order, then its files of dpkg's info folder.

    ``body`` is a file whose digest was verified. The notes are ``control`` (the control file) and ``conffiles`` (JSON:
    path -> MD5 of what is shipped, as dpkg's status has it). An ImageError for a package that is malformed, holds
    device nodes, or whose control file is of another package than the lock says.
    """
    notes: dict[str, bytes] = {}
    return Placement(_entries(package, body, context, notes), notes)


def _entries(
    package: LockedPackage, body: Path, context: AptPlaceContext, notes: MutableMapping[str, bytes]
) -> Iterator[Entry]:
    with DebFile.open(body, name=package.identity) as deb:
        control = deb.control()
        fields = Paragraph.parse(decode(control.members["control"]))
        if (fields.get("Package"), fields.get("Version")) != (package.name, package.version):
            raise ImageError(f"{package.identity}: the file is {fields.get('Package')}={fields.get('Version')}")
        conffiles = _conffiles(control)
        listed = ["/."]
        shipped: dict[str, str] = {}
        sums = _Sums(control)
        for entry in map(sums.counted, deb.entries()):
            listed.append(f"/{entry.path}")
            placed = _placed(entry, context, package)
            if f"/{entry.path}" in conffiles and entry.kind is EntryKind.FILE:
                content = entry.read()
                shipped[f"/{entry.path}"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
                placed = _conffile(placed, content, shipped[f"/{entry.path}"], context)
            if placed is not None:
                yield placed
        name = info_name(package.name, fields.get("Architecture", ""), fields.get("Multi-Arch", ""))
        members = dict(control.members) | sums.made(conffiles)
        yield from _info_files(name, Control(members, control.executable), listed)
        notes["control"] = control.members["control"]
        notes["conffiles"] = json.dumps({path: shipped[path] for path in conffiles if path in shipped}).encode()


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

    def made(self, conffiles: Sequence[str]) -> dict[str, bytes]:
        """The file ``md5sums``, without conffiles, whose sums are in the status; nothing where it was shipped."""
        if not self._wanted:
            return {}
        lines = (f"{s.hexdigest()}  {path}\n" for path, s in self._states.items() if f"/{path}" not in conffiles)
        return {"md5sums": "".join(lines).encode("utf-8", "surrogateescape")}


def _conffile(placed: Entry | None, content: bytes, shipped: str, context: AptPlaceContext) -> Entry | None:
    """The entry of a conffile as ``dpkg --force-confold`` treats it: what somebody changed stays as it is.

    The new version then goes beside it, unless it is the one that was changed, or what is there already.
    """
    if placed is None:
        return None
    placed = dataclasses.replace(placed, content=content)
    for path, before, now in context.conffiles:
        if path == placed.path:
            if shipped in (before, now):
                return None
            return dataclasses.replace(placed, path=f"{path}.dpkg-dist")
    return placed


def _placed(entry: Entry, context: AptPlaceContext, package: LockedPackage) -> Entry | None:
    """The entry as it goes into the layer, or None where it does not."""
    if entry.kind is EntryKind.OTHER:
        raise ImageError(f"{package.identity}: /{entry.path} is a device or fifo, which no layer may hold")
    links = dict(context.links)
    path = context.target(entry.path)
    if path in context.left_out or (path in links and entry.kind in (EntryKind.DIRECTORY, EntryKind.SYMLINK)):
        return None  # a folder that is a link in the image stays one (dpkg(1), "Path to a symlinked directory")
    mode, uid, gid = entry.mode, entry.uid, entry.gid
    for overridden, *values in context.overrides:
        if overridden == path:
            mode, uid, gid = values
    link = context.target(entry.link) if entry.kind is EntryKind.HARDLINK else entry.link
    mode = 0o777 if entry.kind is EntryKind.SYMLINK else mode
    return Entry(path, entry.kind, mode, uid, gid, entry.size_bytes, link, entry.content, FIXED_TIME, entry.attributes)


def _conffiles(control: Control) -> list[str]:
    """The paths of deb-conffiles(5); those flagged ``remove-on-upgrade`` are not shipped and have no hash."""
    lines = decode(control.members.get("conffiles", b"")).splitlines()
    return [line.strip() for line in lines if line.startswith("/")]


def _info_files(name: str, control: Control, listed: list[str]) -> Iterator[Entry]:
    files: Mapping[str, bytes] = {
        **{member: data for member, data in control.members.items() if member != "control"},
        "list": ("\n".join(listed) + "\n").encode("utf-8", "surrogateescape"),
    }
    for member, data in sorted(files.items()):
        mode = 0o755 if member in control.executable else 0o644
        yield Entry.file(f"{INFO_FOLDER}/{name}.{member}", data, mode=mode)
