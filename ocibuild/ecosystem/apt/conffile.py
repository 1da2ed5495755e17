"""What becomes of a conffile that somebody may have changed, decided as ``dpkg --force-confold`` decides.

Source: deb-conffiles(5) and dpkg 1.21's ``main/configure.c`` (deferred_configure_conffile, conffoptcells).
"""

import hashlib
from dataclasses import dataclass

from ocibuild.image.view import View

__all__ = ["BEHIND_LINK", "NEW_CONFFILE", "FoundConffile", "conffile_md5", "found_conffile"]

BEHIND_LINK = "link"
"""Stands for the MD5 of what is there where that is a symbolic link."""

NEW_CONFFILE = "newconffile"
"""What the status has in place of a MD5 where no version of the conffile was ever put there (``NEWCONFFILEFLAG``)."""


@dataclass(frozen=True, slots=True, order=True)
class FoundConffile:
    """What lies at a conffile's path before its package comes.

    ``before`` is the MD5 of the version that was put there last, ``""`` where none was; ``now`` that of what is there,
    ``""`` for nothing. ``mode``, ``uid`` and ``gid`` are those of what is there.
    """

    path: str
    before: str
    now: str
    mode: int = 0
    uid: int = 0
    gid: int = 0

    @property
    def is_changed(self) -> bool:
        """Whether somebody changed, replaced or removed what a package had put there."""
        return self.now != self.before

    def target(self, shipped: str) -> str | None:
        """Where the version with the MD5 ``shipped`` goes; None where it is not needed.

        What somebody changed stays, and the new version goes beside it, unless it is the one that was changed.
        """
        if self.now == BEHIND_LINK:
            return f"{self.path}.dpkg-new"
        if shipped in (self.now, self.before):
            return None
        return f"{self.path}.dpkg-dist" if self.is_changed else self.path

    def recorded(self, shipped: str) -> str:
        """The MD5 that the status has afterwards: that of the new version, but for a link, which dpkg passes over."""
        return shipped if self.now != BEHIND_LINK else self.before or NEW_CONFFILE


def conffile_md5(content: bytes) -> str:
    """The hash by which versions of conffiles are told apart."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def found_conffile(path: str, before: str, view: View) -> FoundConffile:
    """What lies at ``path`` of the image (without a leading slash); ``before`` as in :class:`FoundConffile`."""
    entry = view.get(path)
    if entry is None:
        return FoundConffile(path, before, "")
    if entry.kind not in ("file", "hardlink"):
        return FoundConffile(path, before, BEHIND_LINK)
    return FoundConffile(path, before, conffile_md5(view.read(path)), entry.mode, entry.uid, entry.gid)
