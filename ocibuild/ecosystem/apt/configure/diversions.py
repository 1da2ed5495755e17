"""dpkg-divert(1) as data: a package takes over a file's name, and the file's own package gets another.

Source: dpkg 1.21's ``src/divert.c`` and ``lib/dpkg/db-fsys-divert.c``: three lines for each diversion (path, diverted
path, package); what is read comes out in reverse, a new one first.
"""

from collections.abc import Iterable

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.configure.context import Context
from ocibuild.image.overlay import Overlay

__all__ = ["divert_unmoved", "refuse_diverted", "require_diversion", "undivert_unmoved"]

_DATABASE = "var/lib/dpkg/diversions"
_Diversion = tuple[str, str, str]


def divert_unmoved(context: Context, path: str, diverted: str) -> None:
    """The operation ``divert``: ``dpkg-divert --no-rename --add`` for the package.

    A diversion by another package is refused: what the script does then depends on it.
    """
    path, diverted = context.expanded(path), context.expanded(diverted)
    entries = _read(context.overlay)
    owner = next((package for known, _, package in entries if known == path), None)
    if owner is None:
        _write(context.overlay, [(path, diverted, context.package.name), *reversed(entries)])
    elif owner != context.package.name:
        context.refuse(f"{path} is diverted by {owner}")


def undivert_unmoved(context: Context, path: str, diverted: str) -> None:
    """The operation ``undivert``: ``dpkg-divert --no-rename --remove`` of this very diversion, where it is there."""
    entries = _read(context.overlay)
    removed = (path, diverted, context.package.name)
    if removed in entries:
        _write(context.overlay, [entry for entry in reversed(entries) if entry != removed])


def refuse_diverted(context: Context, *paths: str) -> None:
    """The operation ``not-diverted``: the part does nothing where none of the paths is diverted."""
    for path, _, package in _read(context.overlay):
        if path in paths:
            context.refuse(f"{path} is diverted by {package}")


def require_diversion(context: Context, *paths: str) -> None:
    """The operation ``diverted``: the part does nothing where the package itself diverts each of the paths."""
    entries = _read(context.overlay)
    for path in paths:
        if not any(known == path and package == context.package.name for known, _, package in entries):
            context.refuse(f"{path} is not diverted by {context.package.name}")


def _read(overlay: Overlay) -> list[_Diversion]:
    lines = overlay.read_text(_DATABASE, "").splitlines()
    if len(lines) % 3:
        raise ImageError(f"/{_DATABASE} is malformed: {len(lines)} lines, not a multiple of three")
    return [(lines[index], lines[index + 1], lines[index + 2]) for index in range(0, len(lines), 3)]


def _write(overlay: Overlay, entries: Iterable[_Diversion]) -> None:
    overlay.write(_DATABASE, "".join(f"{line}\n" for entry in entries for line in entry))
