"""Prepared root file systems: folders of the store in which steps run, each held by one process at a time.

``roots/KIND/ID`` is an idle root and ``roots/KIND/ID@HOLDER`` one that is held (:mod:`ocibuild.store.lease`). What lies
in a root's ``tree`` and what is recorded of it is the business of ``ocibuild.sandbox``.
"""

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocibuild.core.atomic import map_os_error, replacing
from ocibuild.core.errors import OcibuildError
from ocibuild.store.lease import Holder, boot_identifier

__all__ = ["MOST_IDLE_ROOTS", "IdleRoot", "PreparedRoots", "RemoveRoot", "RootFolder"]

MOST_IDLE_ROOTS = 3
"""Of each kind: as many repositories can be built in turn without their roots being changed back and forth."""

_KIND = re.compile(r"[a-z][a-z0-9-]*")
_IDENTIFIER = re.compile(r"[0-9a-f]{16}")
_DIRTY, _SUMMARY = "dirty", "summary.json"

RemoveRoot = Callable[[Path], None]
"""Removes a root's folder with all that is in it. Files of a root with real owners are not this process' to remove."""


@dataclass(frozen=True, slots=True)
class RootFolder:
    """A root's folder, which this process holds. ``dirty`` must be set before anything in ``tree`` changes."""

    path: Path

    @property
    def tree(self) -> Path:
        """The root file system."""
        return self.path / "tree"

    @property
    def state(self) -> Path:
        """What is recorded of the tree: true of it while the root is not dirty."""
        return self.path / "state.json"

    @property
    def trash(self) -> Path:
        """Where folders go that are being removed."""
        return self.path / "trash"

    @property
    def change(self) -> Path:
        """What the last step changed, as a tar stream."""
        return self.path / "change.tar"

    @property
    def is_dirty(self) -> bool:
        """Whether something may have changed the tree since its state was written.

        A start of the machine counts: where it came without warning, files may have lost what was written last.
        """
        if (self.path / _DIRTY).exists() or not self.state.exists():
            return True
        summary = _summary(self.path)
        return not isinstance(summary, dict) or summary.get("boot") != boot_identifier()

    def mark_dirty(self) -> None:
        """Note that the state cannot be trusted from here on; the folder's time says that it is in use."""
        (self.path / _DIRTY).touch()
        os.utime(self.path)

    def mark_clean(self, chain: str, pieces: Collection[str], size_bytes: int) -> None:
        """Note that the state is true of the tree, which is this chain of layers (""  for none exactly).

        ``pieces`` name the layers in it, and ``size_bytes`` is about its size: for choosing and evicting roots alone.
        """
        summary = {
            "chain": chain,
            "pieces": list(pieces),
            "size_bytes": size_bytes,
            "boot": boot_identifier(),
        }
        with replacing(self.path / _SUMMARY) as file:
            file.write(json.dumps(summary).encode())
        (self.path / _DIRTY).unlink(missing_ok=True)

    @property
    def chain(self) -> str:
        """The key of the chain of layers that the tree is; "" where it is none exactly, or that is not certain."""
        summary = None if self.is_dirty else _summary(self.path)
        return str(summary.get("chain", "")) if isinstance(summary, dict) else ""


@dataclass(frozen=True, slots=True)
class IdleRoot:
    """A root that nobody holds. ``used`` is its last use, in seconds since the epoch."""

    path: Path
    used: float
    size_bytes: int
    pieces: frozenset[str]


class PreparedRoots:
    """The roots below the store's folder. Safe for several processes at once, on this machine and others."""

    def __init__(self, store_folder: Path) -> None:
        self._folder = store_folder / "roots"

    @contextmanager
    def lease(self, kind: str, *, remove: RemoveRoot, wanted: Collection[str] = ()) -> Iterator[RootFolder]:
        """Hold a root of this kind: the idle one that has most of the ``wanted`` pieces, else a new, empty one.

        Of roots with equally much the one used last is taken. Roots of processes that are gone count as idle. When the
        block ends the root is idle again, and those above :data:`MOST_IDLE_ROOTS` that were not used for longest are
        removed.
        """
        if not _KIND.fullmatch(kind):
            raise OcibuildError(f"not a kind of prepared root: {kind!r}")
        folder = self._folder / kind
        try:
            held = self._take(folder, frozenset(wanted)) or _new(folder)
        except OSError as error:
            raise map_os_error(error, attempted=f"taking a root below {folder}") from error
        try:
            yield held
        finally:
            _give_back(held)
            self._trim(folder, remove)

    def _take(self, folder: Path, wanted: frozenset[str]) -> RootFolder | None:
        roots = sorted(self.idle(folder.name), key=lambda root: (len(root.pieces & wanted), root.used), reverse=True)
        for root in roots:
            held = _take(root.path)
            if held is not None:
                return held
        return None

    def idle(self, kind: str | None = None) -> Iterator[IdleRoot]:
        """The roots that nobody holds, of one kind or of all, in no order."""
        for folder in [self._folder / kind] if kind else _listed(self._folder):
            for path in _listed(folder):
                root = _idle_root(path)
                if root is not None:
                    yield root

    def remove(self, root: IdleRoot, remove: RemoveRoot) -> bool:
        """Remove an idle root; False where somebody else has taken it meanwhile."""
        held = _take(root.path)
        if held is None:
            return False
        held.mark_dirty()
        remove(held.path)
        return True

    def _trim(self, folder: Path, remove: RemoveRoot) -> None:
        idle = sorted(self.idle(folder.name), key=lambda root: root.used, reverse=True)
        for root in idle[MOST_IDLE_ROOTS:]:
            self.remove(root, remove)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _new(folder: Path) -> RootFolder:
    path = folder / f"{os.urandom(8).hex()}@{Holder.here()}"
    path.mkdir(mode=0o700, parents=True)
    return RootFolder(path)


def _take(path: Path) -> RootFolder | None:
    """Hold the root that has this name; None where it has it no more."""
    held = path.with_name(f"{path.name.partition('@')[0]}@{Holder.here()}")
    try:
        path.rename(held)
    except FileNotFoundError:
        if not held.exists():  # over NFS an answer may be lost, and the rename be done when it is tried again
            return None
    os.utime(held)
    return RootFolder(held)


def _give_back(held: RootFolder) -> None:
    with suppress(FileNotFoundError):  # removed, or taken by somebody to whom it seemed abandoned
        held.change.unlink(missing_ok=True)
        os.utime(held.path)
        held.path.rename(held.path.with_name(held.path.name.partition("@")[0]))


def _idle_root(path: Path) -> IdleRoot | None:
    identifier, at, holder_text = path.name.partition("@")
    if not _IDENTIFIER.fullmatch(identifier):
        return None
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if status.st_uid != os.geteuid():
        return None  # of another user who shares the store
    holder = Holder.parse(holder_text)
    if at and (holder is None or not holder.is_stale(idle_seconds=time.time() - status.st_mtime)):
        return None
    summary = _summary(path)
    try:
        return IdleRoot(path, status.st_mtime, int(summary["size_bytes"]), frozenset(summary["pieces"]))
    except (KeyError, TypeError, ValueError):
        return IdleRoot(path, status.st_mtime, 0, frozenset())


def _summary(path: Path) -> Any:
    try:
        return json.loads((path / _SUMMARY).read_bytes())
    except (OSError, ValueError):
        return None
