"""What a run in a name space of one id would have done to owners and file capabilities, had it had all ids.

The helper imports this: only light modules of the standard library may be used here.
"""

import errno
from collections.abc import Iterable, Mapping

__all__ = ["CAPABILITY_ATTRIBUTE", "Journal"]

CAPABILITY_ATTRIBUTE = "security.capability"
_UNCHANGED = -1  # chown(2)
_CREATE_ONLY, _REPLACE_ONLY = 1, 2  # setxattr(2)
# linux/capability.h: the revision is in the first word's uppermost byte, and decides the value's size in bytes.
_CAPABILITY_SIZES: Mapping[int, int] = {2: 20, 3: 24}

Key = tuple[int, int]


class Journal:
    """Decides as the kernel would, and remembers by inode.

    ``uid``, ``gid`` and ``groups`` are the program's; ``owners`` what is recorded of files that were there before;
    ``started`` is the time (nanoseconds since the epoch) from which on a file that is born is the program's own.
    In ``owners`` an id of -1 is left open: of a new file it may be its folder's, which is not known here.
    """

    def __init__(
        self,
        *,
        uid: int,
        gid: int,
        groups: Iterable[int],
        owners: Iterable[tuple[int, int, int, int]],
        started: int,
    ) -> None:
        self._uid, self._gid, self._groups = uid, gid, {gid, *groups}
        self._before: dict[Key, tuple[int, int]] = {
            (inode, birth): (user, group) for inode, birth, user, group in owners
        }
        self._started = started
        self.owners: dict[Key, tuple[int, int]] = {}
        self.capabilities: dict[Key, bytes] = {}

    def owner(self, key: Key) -> tuple[int, int]:
        """To whom the file belongs, as far as is known."""
        user, group = self._known(key)
        return (self._uid if user == _UNCHANGED else user, self._gid if group == _UNCHANGED else group)

    def _known(self, key: Key) -> tuple[int, int]:
        known = self.owners.get(key) or self._before.get(key)
        if known is not None:
            return known
        # A file system without times of birth does not tell old files from new ones: the program's is then assumed.
        was_there = 0 < key[1] < self._started
        return (0, 0) if was_there else (_UNCHANGED, _UNCHANGED)

    def may_chown(self, key: Key, uid: int, gid: int) -> bool:
        """Whether the program may do this (chown(2), "EPERM")."""
        user, _ = self.owner(key)
        return self._uid == 0 or (
            user == self._uid and uid in (_UNCHANGED, user) and (gid == _UNCHANGED or gid in self._groups)
        )

    def chown(self, key: Key, uid: int, gid: int) -> None:
        """Note the new owner; the file's capabilities are gone, as the kernel has it."""
        user, group = self._known(key)
        self.owners[key] = (user if uid == _UNCHANGED else uid, group if gid == _UNCHANGED else gid)
        self.capabilities.pop(key, None)

    def set_capability(self, key: Key, value: bytes, flags: int) -> int:
        """Note the file's capabilities; 0, or the error that the kernel would answer (setxattr(2), capabilities(7))."""
        revision = value[3] if len(value) > 3 else 0  # noqa: PLR2004 - the least that has a first word
        if _CAPABILITY_SIZES.get(revision) != len(value):
            return errno.EINVAL
        if self._uid != 0:
            return errno.EPERM
        if flags & _CREATE_ONLY and key in self.capabilities:
            return errno.EEXIST
        if flags & _REPLACE_ONLY and key not in self.capabilities:
            return errno.ENODATA
        self.capabilities[key] = value
        return 0

    def remove_capability(self, key: Key) -> int | None:
        """Forget the file's noted capabilities; None where none are noted, and the file itself has to be asked."""
        if key not in self.capabilities:
            return None
        if self._uid != 0:
            return errno.EPERM
        del self.capabilities[key]
        return 0
