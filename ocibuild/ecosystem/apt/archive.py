"""One Packages index of an archive: what pins can tell apart, and where its files lie."""

from dataclasses import dataclass

__all__ = ["Archive"]


@dataclass(frozen=True, slots=True)
class Archive:
    """Where the stanzas of one Packages index come from.

    ``source`` is the name under which the lock knows the source, ``base_path`` what stands before a stanza's
    ``Filename`` in the lock's path (``""`` for a Debian archive, the folder for a flat repository below the source's
    address). ``origin`` to ``version`` and the two automatic flags are the fields of the Release file
    (https://wiki.debian.org/DebianRepository/Format), ``site`` is the host name of the address, ``architecture`` that
    of the index. ``pin_priority`` is the priority of the whole archive where the user gave one.
    """

    source: str
    base_path: str = ""
    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    version: str = ""
    component: str = ""
    site: str = ""
    architecture: str = ""
    not_automatic: bool = False
    but_automatic_upgrades: bool = False
    trusted: bool = True
    pin_priority: int | None = None
