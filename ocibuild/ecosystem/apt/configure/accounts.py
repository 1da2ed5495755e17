"""The account files as base-passwd, passwd and adduser leave them: passwd(5), group(5), shadow(5), gshadow(5).

Source: shadow 4.13's shadowconfig(8), pwconv(8) and grpconv(8); adduser 3.134's ``--system``.
"""

import re

from ocibuild.ecosystem.apt.configure.context import FIXED_DAY, Context
from ocibuild.image.overlay import Overlay

__all__ = ["add_system_group", "add_system_user", "group_number", "shadow_on", "write_here_document"]

_SHADOW_GROUP = 42
_SHADOW_MODE = 0o640
_NO_GROUP = 65534
_SYSTEM_NUMBERS = range(100, 1000)


def write_here_document(context: Context, path: str) -> None:
    """The operation: the text that the script itself holds for this file, where there is no such file.

    A document that begins with ``<<-`` loses its lines' leading tabs, as the shell says.
    """
    target = re.escape(f"/{path}")
    found = re.search(rf"> \S*?{target}\"? <<(-?)'?(\w+)'?\n(.*?)^\t*\2$", context.part.text, re.DOTALL | re.MULTILINE)
    if found is None:
        context.refuse(f"its text for /{path} is not where it was")
    elif path not in context.overlay:
        text = re.sub(r"^\t+", "", found[3], flags=re.MULTILINE) if found[1] else found[3]
        context.overlay.make_folders(path.rpartition("/")[0])
        context.overlay.write(path, text)


def shadow_on(context: Context) -> None:
    """The operation: ``shadowconfig on`` for a new install: passwords move into files that only root reads."""
    if context.is_new_install:
        _shadow(context.overlay, "etc/passwd", "etc/shadow", f"{{password}}:{FIXED_DAY}:0:99999:7:::")
        _shadow(context.overlay, "etc/group", "etc/gshadow", "{password}::{members}")


def _shadow(overlay: Overlay, path: str, shadow_path: str, rest: str) -> None:
    shadowed = {line.partition(":")[0] for line in overlay.read_text(shadow_path, "").splitlines()}
    shadows = overlay.read_text(shadow_path, "").splitlines()
    lines = []
    for line in overlay.read_text(path, "").splitlines():
        fields = line.split(":")
        if fields[0] not in shadowed:
            shadows.append(f"{fields[0]}:{rest.format(password=fields[1], members=fields[-1])}")
        lines.append(":".join([fields[0], "x", *fields[2:]]))
    overlay.write(path, "".join(f"{line}\n" for line in lines))
    overlay.write(shadow_path, "".join(f"{line}\n" for line in shadows), mode=_SHADOW_MODE, gid=_SHADOW_GROUP)


def add_system_group(context: Context, name: str) -> None:
    """The operation ``system-group``: ``addgroup --system``, with the first free number."""
    overlay = context.overlay
    if group_number(overlay, name) is None:
        _append_group(overlay, name, _first_free(_numbers(overlay, "etc/group")))


def add_system_user(context: Context, name: str, home: str, own_group: str = "") -> None:
    """The operation ``system-user``: ``adduser --system --no-create-home --home HOME``, with ``--group`` if so said."""
    overlay = context.overlay
    if any(line.startswith(f"{name}:") for line in overlay.read_text("etc/passwd", "").splitlines()):
        return
    taken = _numbers(overlay, "etc/passwd")
    gid = group_number(overlay, name)
    if not own_group:
        uid, gid = _first_free(taken), _NO_GROUP
    elif gid is None:
        uid, gid = _first_free(taken), _first_free(_numbers(overlay, "etc/group"))
        _append_group(overlay, name, gid)
    else:
        context.refuse(f"there is a group {name}, but no such account")
        return
    _append(overlay, "etc/passwd", f"{name}:x:{uid}:{gid}::{home}:/usr/sbin/nologin")
    _append(overlay, "etc/shadow", f"{name}:!:{FIXED_DAY}::::::")


def group_number(overlay: Overlay, name: str) -> int | None:
    """The number of the group; None where there is no such group."""
    fields = (line.split(":") for line in overlay.read_text("etc/group", "").splitlines())
    return next((int(each[2]) for each in fields if each[0] == name and len(each) > 2), None)  # noqa: PLR2004 - group(5)


def _append_group(overlay: Overlay, name: str, gid: int) -> None:
    _append(overlay, "etc/group", f"{name}:x:{gid}:")
    _append(overlay, "etc/gshadow", f"{name}:!::")


def _append(overlay: Overlay, path: str, line: str) -> None:
    if overlay.is_file(path):
        overlay.write(path, f"{overlay.read_text(path)}{line}\n")


def _numbers(overlay: Overlay, path: str) -> set[int]:
    fields = (line.split(":") for line in overlay.read_text(path, "").splitlines())
    return {int(each[2]) for each in fields if len(each) > 2 and each[2].isdigit()}  # noqa: PLR2004 - passwd(5)


def _first_free(taken: set[int]) -> int:
    """The first number of adduser.conf(5)'s range for system accounts that is not taken."""
    return next(number for number in _SYSTEM_NUMBERS if number not in taken)
