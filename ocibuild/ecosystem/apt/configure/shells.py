"""/etc/shells as debianutils keeps it: ``update-shells``, ``add-shell``.

Source: debianutils 5.7's update-shells(8) and add-shell(8).
"""

from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.image.overlay import Overlay

__all__ = ["add_shells", "update_shells"]

_TEMPLATE = "usr/share/debianutils/shells"
_FOLDER = "usr/share/debianutils/shells.d"
_STATE = "var/lib/shells.state"
_SHELLS = "etc/shells"


def update_shells(overlay: Overlay) -> None:
    """Merge what packages declare into /etc/shells: what an administrator added or took away stays so."""
    packaged = _packaged_shells(overlay)
    state = [shell for line in overlay.read_text(_STATE, "").splitlines() if (shell := line.partition("#")[0])]
    source = _SHELLS if overlay.is_file(_SHELLS) else _TEMPLATE
    kept: list[str] = []
    listed: set[str] = set()
    for line in overlay.read_text(source, "").splitlines():
        shell = line.partition("#")[0]
        if not shell:
            kept.append(line)
        elif (shell in packaged or shell not in state) and shell not in listed:
            kept.append(line)
            listed.add(shell)
    kept += [shell for shell in packaged if shell not in listed and shell not in state]
    overlay.write(_SHELLS, _lines(kept))
    overlay.write(_STATE, _lines(packaged))


def _packaged_shells(overlay: Overlay) -> list[str]:
    """The declared shells in the order of their files, each followed by its path without folder links."""
    shells: dict[str, None] = {}
    for path in (_TEMPLATE, *(f"{_FOLDER}/{name}" for name in overlay.children(_FOLDER))):
        for line in overlay.read_text(path, "").splitlines():
            if shell := line.partition("#")[0]:
                shells.setdefault(shell)
                shells.setdefault(f"/{overlay.canonical(shell.lstrip('/'))}")
    return list(shells)


def add_shells(context: Context, *shells: str) -> None:
    """The operation ``add-shell``: PATH..., each with the path that merged folders give it, where it is not listed."""
    lines = context.overlay.read_text(_SHELLS, "").splitlines()
    for shell in shells:
        for name in (shell, f"/{context.overlay.canonical(shell.lstrip('/'))}"):
            if name not in lines:
                lines.append(name)
    context.overlay.write(_SHELLS, _lines(lines))


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
