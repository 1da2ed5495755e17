"""Looking at every path of a tree once."""

import os

from ocibuild.sandbox.root_state import StatKey
from ocibuild.sandbox.tree import Tree

__all__ = ["LONGEST_PATH_BYTES", "scan", "stat_key"]

LONGEST_PATH_BYTES = 4095
"""Linux' PATH_MAX without its NUL: no call takes a longer path, and no image can hold one."""


def stat_key(status: os.stat_result) -> StatKey:
    """What is remembered of a file's status."""
    # Written for tens of thousands of files: the constructor of a named tuple takes as long again.
    return tuple.__new__(
        StatKey,
        (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
        ),
    )


def scan(tree: Tree) -> dict[str, StatKey]:
    """Path -> status of everything below the root, links not followed; each folder stands before what is in it.

    A folder whose path is longer than :data:`LONGEST_PATH_BYTES` is named, but not looked into.
    """
    found: dict[str, StatKey] = {}
    pending = [""]
    while pending:
        folder = pending.pop()
        prefix = f"{folder}/" if folder else ""
        with os.scandir(tree.folder(folder)) as entries:
            for entry in entries:
                path = prefix + entry.name
                found[path] = stat_key(entry.stat(follow_symlinks=False))
                if entry.is_dir(follow_symlinks=False) and len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
                    pending.append(path)
    return found
