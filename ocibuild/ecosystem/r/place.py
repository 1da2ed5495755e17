"""A binary R package as entries of a layer: the tree that ``R CMD INSTALL`` makes of it, without running R.

Source: R 4.2's ``tools:::.install_packages`` (``do_install_binary`` copies the tree, ``C_dirchmod`` sets the modes),
which the result equals file by file and mode by mode (tests/oracle/test_r_install.py). Files that share their content
in the archive by a hard link share it in the image too, where R's copy has each by itself.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import ImageError
from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import ancestors
from ocibuild.ecosystem.r.archive import read_package
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.placement import Placement

__all__ = ["PLACING_VERSION", "RPlaceContext", "place"]

PLACING_VERSION = 1
"""Part of every fragment's key: raise it whenever the entries made of some package change."""

_ALWAYS, _MOST = 0o644, 0o755  # what R sets on every file, and what the usual umask (022) leaves of its mode


@dataclass(frozen=True, slots=True)
class RPlaceContext:
    """All that placing a package depends on besides the package: the library's path without a leading slash."""

    library: str
    uid: int = 0
    gid: int = 0

    def canonical(self) -> bytes:
        """The same bytes for equal contexts, other bytes for others: part of a fragment's key."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":")).encode()


def place(package: LockedPackage, body: Path, context: RPlaceContext) -> Placement:
    """The entries of the binary package at ``body``, in the archive's order.

    ``body`` is a file whose digest was verified. An ImageError where the package was not built, holds another one,
    holds a path twice or below a link, or anything but files, folders and links; an IntegrityError where its data
    are broken. Nothing is unpacked to disk.
    """
    return Placement(_entries(package, body, context))


def _entries(package: LockedPackage, body: Path, context: RPlaceContext) -> Iterator[Entry]:
    kinds: dict[str, EntryKind] = {}
    built = False
    for entry in read_package(body, name=package.identity):
        path = entry.path
        if path.partition("/")[0] != package.name:
            raise _error(package, f"{path} lies outside {package.name}/")
        if path in kinds:
            if entry.kind is kinds[path] is EntryKind.DIRECTORY:
                continue
            raise _error(package, f"{path} is in it twice")
        # An implied folder counts as one, so that nothing can turn it into something else later.
        for folder in ancestors(path):
            if kinds.setdefault(folder, EntryKind.DIRECTORY) is not EntryKind.DIRECTORY:
                raise _error(package, f"{path} lies below a file or link")
        kinds[path] = entry.kind
        built = built or path == f"{package.name}/Meta/package.rds"
        yield _placed(entry, package, context, kinds)
    if not built:
        raise _error(package, "it has no Meta/package.rds, as packages have that are built")


def _placed(entry: Entry, package: LockedPackage, context: RPlaceContext, kinds: dict[str, EntryKind]) -> Entry:
    path = f"{context.library}/{entry.path}"
    if entry.kind is EntryKind.DIRECTORY:
        return Entry.directory(path, uid=context.uid, gid=context.gid)
    if entry.kind is EntryKind.SYMLINK:
        return Entry.symlink(path, entry.link, uid=context.uid, gid=context.gid)
    if entry.kind is EntryKind.OTHER:
        raise _error(package, f"{entry.path} is no file, folder or link")
    link = ""
    if entry.kind is EntryKind.HARDLINK:
        if kinds.get(entry.link) is not EntryKind.FILE:
            raise _error(package, f"{entry.path} is a link to {entry.link}, which is no file before it")
        link = f"{context.library}/{entry.link}"
    return replace(
        entry,
        path=path,
        mode=(entry.mode & _MOST) | _ALWAYS,
        uid=context.uid,
        gid=context.gid,
        link=link,
        modified=FIXED_TIME,
        attributes={},
    )


def _error(package: LockedPackage, message: str) -> ImageError:
    return ImageError(f"{package.identity}: not a binary R package that can be used: {message}")
