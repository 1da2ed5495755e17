"""Conditions under which it is known what a part does, with their arguments in the table of known parts.

A script asks for many things that no image has (a program, a file that an old version left). Where the image has one
after all, the part is refused: it would do what no operation here does.
"""

from collections.abc import Mapping

from ocibuild.ecosystem.apt.configure.context import Context, Operation

__all__ = ["CONDITIONS"]

# The PATH that dpkg needs for its scripts.
_PROGRAM_FOLDERS = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")


def _merged_usr(context: Context) -> None:
    """The tree must have /bin, /lib, /sbin as links into /usr already: converting is more than data."""
    unmerged = [name for name in ("bin", "lib", "sbin") if context.overlay.canonical(f"{name}/x") != f"usr/{name}/x"]
    if any(context.overlay.is_folder(name) for name in unmerged):
        context.refuse(f"it would move the files of /{unmerged[0]} into /usr")


def _absent(context: Context, *paths: str) -> None:
    """What the part would run or act upon; it does nothing where the image has none of it."""
    for path in paths:
        if path in context.overlay:
            context.refuse(f"it would act upon /{path}")


def _no_program(context: Context, *names: str) -> None:
    """Programs that the part would run if they were on the path; it does nothing where none is."""
    for name in names:
        for folder in _PROGRAM_FOLDERS:
            if context.overlay.is_file(f"{folder}/{name}"):
                context.refuse(f"it would run /{folder}/{name}")
                return


def _no_link(context: Context, path: str) -> None:
    """The part removes the path where it is a link, which an older version left: nothing where it is none."""
    entry = context.overlay.get(path)
    if entry is not None and entry.kind == "symlink":
        context.refuse(f"/{path} is a link of an older version")


def _mode_is(context: Context, path: str, mode: str) -> None:
    """What the part does is known for a file of this mode only."""
    entry = context.overlay.get(context.overlay.resolved(path))
    if entry is None or entry.mode != int(mode, 8):
        context.refuse(f"/{path} has not the mode {mode}")


def _absent_other(context: Context, folder: str, *names: str) -> None:
    """The part would run what is in the folder: nothing but these, which are known to do nothing here."""
    for name in context.overlay.children(folder):
        if name not in names:
            context.refuse(f"it would run /{folder}/{name}")


def _debian_only(context: Context) -> None:
    """The part does something else on other distributions."""
    if "ID=debian" not in context.overlay.read_text("etc/os-release", "").splitlines():
        context.refuse("what it does on another distribution than Debian is not known")


def _not_in_ucf(context: Context, path: str) -> None:
    """The part purges the file from ucf(1)'s registry: nothing where it is not registered."""
    lines = context.overlay.read_text("var/lib/ucf/hashfile", "").splitlines()
    if any(line.split()[-1:] == [path] for line in lines):
        context.refuse(f"{path} is registered with ucf")


CONDITIONS: Mapping[str, Operation] = {
    "absent": _absent,
    "absent-other": _absent_other,
    "debian-only": _debian_only,
    "merged-usr": _merged_usr,
    "mode-is": _mode_is,
    "no-link": _no_link,
    "no-program": _no_program,
    "not-in-ucf": _not_in_ucf,
}
