"""What a folder holds, for comparing what two programs made."""

import hashlib
import stat
from pathlib import Path

__all__ = ["tree"]


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Path -> all that a file system says of it; hard links are told by the first path of the same file."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    for path in sorted(root.rglob("*")):
        name, status = str(path.relative_to(root)), path.lstat()
        facts = (oct(status.st_mode), status.st_uid, status.st_gid)
        if stat.S_ISDIR(status.st_mode):
            found[name] = facts
            continue
        content = str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[name] = (*facts, content, first.setdefault(status.st_ino, name), status.st_mtime)
    return found
