"""dpkg-divert(1) as data: a package takes over a file's name, and the file's own package gets another.

Source: dpkg 1.21's ``lib/dpkg/db-fsys-divert.c`` (three lines for each: path, diverted path, package).
"""

from ocibuild.ecosystem.apt.configure.context import Context

__all__ = ["divert_unmoved"]

_DATABASE = "var/lib/dpkg/diversions"


def divert_unmoved(context: Context, path: str, diverted: str) -> None:
    """The operation: ``dpkg-divert --no-rename --add`` for the package; newest first, as dpkg writes it.

    A diversion by another package is refused: what the script does then depends on it.
    """
    lines = context.overlay.read_text(_DATABASE, "").splitlines()
    entries = {lines[index]: lines[index + 2] for index in range(0, len(lines) - 2, 3)}
    if path not in entries:
        lines = [path, diverted, context.package.name, *lines]
        context.overlay.write(_DATABASE, "".join(f"{line}\n" for line in lines))
    elif entries[path] != context.package.name:
        context.refuse(f"{path} is diverted by {entries[path]}")
