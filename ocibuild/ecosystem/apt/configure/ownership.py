"""Owners and modes that scripts set, and dpkg-statoverride(1), by which administrators say otherwise.

Source: dpkg 1.21's ``src/statoverride.c`` and ``lib/dpkg/db-fsys-override.c``: a line holds user, group, mode and path.
"""

from ocibuild.ecosystem.apt.configure.accounts import group_number
from ocibuild.ecosystem.apt.configure.context import Context

__all__ = ["add_override", "refuse_overridden", "set_owner"]

_DATABASE = "var/lib/dpkg/statoverride"


def set_owner(context: Context, path: str, mode: str, group: str = "root") -> None:
    """The operation ``owner``: a file's mode, and root and the group by name as its owners."""
    gid = group_number(context.overlay, group)
    if gid is None:
        context.refuse(f"there is no group {group}")
    else:
        context.overlay.set_owner_and_mode(context.expanded(path), mode=int(mode, 8), uid=0, gid=gid)


def add_override(context: Context, user: str, group: str, mode: str, path: str) -> None:
    """The operation ``statoverride``: ``dpkg-statoverride --update --add`` where the path has no override."""
    text = context.overlay.read_text(_DATABASE, "")
    if path not in _paths(text):
        context.overlay.write(_DATABASE, f"{user} {group} {mode} {path}\n{text}")
        set_owner(context, path.lstrip("/"), mode, group)


def refuse_overridden(context: Context, path: str) -> None:
    """The operation ``no-override``: what the part does is known where nobody has overridden the path's owner."""
    if path in _paths(context.overlay.read_text(_DATABASE, "")):
        context.refuse(f"{path} has an owner or mode of dpkg-statoverride")


def _paths(text: str) -> list[str]:
    return [line.split(" ", 3)[-1] for line in text.splitlines()]
