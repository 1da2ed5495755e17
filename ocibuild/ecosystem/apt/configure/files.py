"""Operations on single files and folders, with their arguments in the table of known parts."""

import hashlib
from collections.abc import Mapping

from ocibuild.ecosystem.apt.configure.context import Context, Operation
from ocibuild.image.overlay import Overlay

__all__ = ["FILE_OPERATIONS", "STAFF", "copy_missing"]

STAFF = 50
"""The group that may write below /usr/local where the image says so; its number is Debian's, base-passwd's."""
_STAFF_POLICY = "etc/staff-group-for-usr-local"


def copy_missing(overlay: Overlay, source: str, target: str) -> None:
    """``cp -p`` with the source's mode and owner, where there is no file ``target``."""
    entry = overlay.get(overlay.resolved(source))
    if overlay.is_file(target) or entry is None:
        return
    overlay.make_folders(target.rpartition("/")[0])
    overlay.write(target, overlay.read(source), mode=entry.mode, uid=entry.uid, gid=entry.gid)


def _copy_missing(context: Context, source: str, target: str) -> None:
    """On a new install."""
    if context.is_new_install:
        copy_missing(context.overlay, source, target)


def _touch_missing(context: Context, path: str, mode: str) -> None:
    """An empty file of root's where there is none."""
    if path not in context.overlay:
        context.overlay.make_folders(path.rpartition("/")[0])
        context.overlay.write(path, b"", mode=int(mode, 8))


def _folder_missing(context: Context, path: str, mode: str = "755", gid: str = "0", uid: str = "0") -> None:
    """A folder where there is none."""
    context.overlay.make_folders(context.expanded(path), mode=int(mode, 8), uid=int(uid), gid=int(gid))


def _link_missing(context: Context, path: str, target: str) -> None:
    """A symbolic link where there is nothing; a link into nothing counts as nothing, as ``test -e`` says."""
    if not context.overlay.is_file(path) and not context.overlay.is_folder(path):
        context.overlay.symlink(path, target)


def _link(context: Context, path: str, target: str) -> None:
    """``ln -nsf``."""
    context.overlay.symlink(context.expanded(path), context.expanded(target))


def _remove(context: Context, path: str) -> None:
    """A file that older versions, or an earlier step, left."""
    context.overlay.remove(context.expanded(path))


def _local_folder(context: Context, path: str, mode: str) -> None:
    """A folder of root:staff where there is none, whatever policy the image has."""
    if not context.overlay.is_folder(path):
        context.overlay.make_folders(path, mode=int(mode, 8), gid=STAFF)


def _usr_local_folder(context: Context, path: str, mode: str = "2775", always: str = "") -> None:
    """A folder of root's, or of the group staff where the image says so (Debian Policy 9.1.2).

    With ``always``, an existing folder gets the group and mode too.
    """
    path = context.expanded(path)
    is_new = not context.overlay.is_folder(path)
    context.overlay.make_folders(path)
    if context.overlay.is_file(_STAFF_POLICY) and (is_new or always):
        context.overlay.set_owner_and_mode(path, mode=int(mode, 8), uid=0, gid=STAFF)


def _write_line(context: Context, path: str, *words: str) -> None:
    """A file of one line, whatever it was before."""
    context.overlay.write(path, f"{context.expanded(' '.join(words))}\n")


def _lines_missing(context: Context, path: str, *words: str) -> None:
    """A file of these lines where there is none; a word ``|`` ends a line, one of backslash and t is a tab."""
    if path not in context.overlay:
        context.overlay.make_folders(path.rpartition("/")[0])
        context.overlay.write(path, " ".join(words).replace(" | ", "\n").replace("\\t ", "\t") + "\n")


def _library_link(context: Context, name: str) -> None:
    """The link of a folder of libraries (``lib32``) into a merged /usr, there as long as the folder is."""
    entry = context.overlay.get(name)
    is_link = entry is not None and entry.kind == "symlink"
    if not context.overlay.is_folder(f"usr/{name}"):
        if is_link:
            context.overlay.remove(name)
    elif entry is None:
        context.overlay.symlink(name, f"usr/{name}")


def _file(context: Context, path: str, mode: str, gid: str) -> None:
    """An empty file where there is none, with this mode and owner in any case, on a new install."""
    if context.is_new_install:
        if not context.overlay.is_file(path):
            context.overlay.write(path, b"")
        context.overlay.set_owner_and_mode(path, mode=int(mode, 8), uid=0, gid=int(gid))


def _moved_folder(context: Context, path: str, target: str) -> None:
    """A symbolic link in place of an empty folder."""
    entry = context.overlay.get(path)
    if entry is not None and entry.kind == "symlink":
        return
    if context.overlay.children(path):
        context.refuse(f"/{path} is a folder with files in it, and should become a link")
        return
    context.overlay.remove(path)
    context.overlay.symlink(path, target)


def _touch(context: Context, path: str) -> None:
    """An empty file of root's."""
    path = context.expanded(path)
    context.overlay.make_folders(path.rpartition("/")[0])
    context.overlay.write(path, b"")


def _trigger(context: Context, name: str) -> None:
    """``dpkg-trigger NAME``."""
    context.activated.append(context.expanded(name))


def _current_default(context: Context, name: str, path: str) -> None:
    """base-files' own: a file that is an old default becomes the current one."""
    current = context.overlay.read(f"usr/share/base-files/{name}")
    if context.overlay.is_file(path) and context.overlay.read(path) != current:
        digest = hashlib.md5(context.overlay.read(path), usedforsecurity=False).hexdigest()
        if digest in context.overlay.read_text(f"usr/share/base-files/{name}.md5sums", ""):
            context.overlay.write(path, current)


def _later(context: Context, *names: str) -> None:
    """Caches that are made once, at the end (:mod:`ocibuild.ecosystem.apt.configure.caches`)."""
    for name in names:
        context.pending.setdefault(context.expanded(name), context.package.name)


FILE_OPERATIONS: Mapping[str, Operation] = {
    "copy-missing": _copy_missing,
    "current-default": _current_default,
    "file": _file,
    "folder-missing": _folder_missing,
    "later": _later,
    "library-link": _library_link,
    "lines-missing": _lines_missing,
    "link": _link,
    "link-missing": _link_missing,
    "local-folder": _local_folder,
    "moved-folder": _moved_folder,
    "remove": _remove,
    "touch": _touch,
    "touch-missing": _touch_missing,
    "trigger": _trigger,
    "usr-local-folder": _usr_local_folder,
    "write-line": _write_line,
}
