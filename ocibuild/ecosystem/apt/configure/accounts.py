"""The account files as base-passwd, passwd and adduser leave them: passwd(5), group(5), shadow(5), gshadow(5).

Source: shadow 4.13's shadowconfig(8), pwconv(8) and grpconv(8); adduser 3.134's ``--system``.
"""

import re

from ocibuild.ecosystem.apt.configure.context import FIXED_DAY, Context
from ocibuild.image.overlay import Overlay

__all__ = ["shadow_on", "system_user", "write_here_document"]

_SHADOW_GROUP = 42
_SHADOW_MODE = 0o640


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


def system_user(context: Context, name: str) -> None:
    """The operation: a system account that base-passwd has already; where it lacks, a free number would be taken."""
    accounts = {line.partition(":")[0] for line in context.overlay.read_text("etc/passwd", "").splitlines()}
    if name not in accounts:
        context.refuse(f"adduser would choose a number for the account {name}")
