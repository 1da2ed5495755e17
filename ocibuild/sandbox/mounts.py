"""The mounts of a root that a program runs in: what every runtime gives a container, and what is bound into it.

All of it is done in a mount name space of the helper's own, and is gone with it. Paths have been resolved before
(:meth:`ocibuild.sandbox.made_paths.MadePaths.ensure`), so that none has a link in it.

The helper imports this: only light modules of the standard library may be used here.
"""
# ruff: noqa: PTH102, PTH110, PTH123, PTH211 - pathlib is not light

import contextlib
import errno
import os
import re

from ocibuild.sandbox.kernel import detach, mount, pivot_root

__all__ = [
    "DEVICES",
    "DEVICE_LINKS",
    "FOLDERS",
    "bind",
    "enter_mounted",
    "isolate",
    "mount_devices",
    "mount_processes",
    "mount_system",
]

_READ_ONLY, _NO_SET_ID, _NO_DEVICES, _NO_EXECUTION, _REMOUNT = 1, 2, 4, 8, 32  # mount(2)
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_NAMED_FLAGS = {"nosuid": _NO_SET_ID, "nodev": _NO_DEVICES, "noexec": _NO_EXECUTION}

FOLDERS = ("/proc", "/dev", "/sys")
"""Where a root needs folders to mount on."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
"""The device nodes that every program may expect (OCI runtime-spec, config-linux.md, "Default Devices")."""

DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
"""As above ("Dev symbolic links")."""

_TERMINAL_GROUP = 5  # "tty" in Debian, Fedora and what derives from them
_MACHINE_SETTINGS = ("bus", "fs", "irq", "sys", "sysrq-trigger")
"""What a container's root may not change below /proc (runtime-spec's usual read-only paths)."""


def enter_mounted(root: str) -> None:
    """Make what is mounted at ``root`` this process' root; nothing else of this machine's tree can be reached."""
    os.chdir(root)
    pivot_root(".", ".")  # the old root then lies on top of the new one, at the same place (pivot_root(2), "NOTES")
    detach(".")
    os.chdir("/")


def isolate(root: str) -> None:
    """Keep mounts to this name space, and make the root a mount of its own."""
    mount(None, "/", None, _RECURSIVE | _PRIVATE)
    mount(root, root, None, _BIND | _RECURSIVE)


def mount_processes(root: str, *, is_fresh: bool, is_machine_root: bool) -> None:
    """/proc of this process name space, or this machine's where a fresh one may not be mounted.

    With ``is_machine_root`` the name space's root is this machine's: its settings are then kept from being changed.
    """
    target = f"{root}/proc"
    if is_fresh:
        mount("proc", target, "proc", _NO_SET_ID | _NO_DEVICES | _NO_EXECUTION)
    else:
        mount("/proc", target, None, _BIND | _RECURSIVE)
    for name in _MACHINE_SETTINGS if is_machine_root else ():
        if os.path.lexists(f"{target}/{name}"):
            bind(f"{target}/{name}", f"{target}/{name}", writable=False)


def mount_system(root: str) -> None:
    """/sys of this machine, to look at only."""
    bind("/sys", f"{root}/sys", writable=False)


def mount_devices(root: str) -> None:
    """A /dev of the devices that every program may use, terminals of its own, and shared memory."""
    folder = f"{root}/dev"
    mount("tmpfs", folder, "tmpfs", _NO_SET_ID, "mode=755,size=65536k")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            _make_file(f"{folder}/{name}")
            mount(f"/dev/{name}", f"{folder}/{name}", None, _BIND)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"{folder}/{name}")
    os.mkdir(f"{folder}/pts")
    os.mkdir(f"{folder}/shm")
    mount("shm", f"{folder}/shm", "tmpfs", _NO_SET_ID | _NO_DEVICES, "mode=1777")
    options = "newinstance,ptmxmode=0666,mode=0620"
    try:
        mount("devpts", f"{folder}/pts", "devpts", _NO_SET_ID | _NO_EXECUTION, f"{options},gid={_TERMINAL_GROUP}")
    except OSError:  # a name space without that group
        with contextlib.suppress(OSError):  # as in a kernel without terminals of a name space's own: none, then
            mount("devpts", f"{folder}/pts", "devpts", _NO_SET_ID | _NO_EXECUTION, options)


def bind(source: str, target: str, *, writable: bool) -> None:
    """Let a file or folder with all that is mounted below it appear at ``target``."""
    mount(source, target, None, _BIND | _RECURSIVE)
    if not writable:
        _make_read_only(target)


def _make_read_only(target: str) -> None:
    """Of a bind mount and those below it. Flags that the name space may not take away are given again."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split(" ") for line in file]
    for place, options in [(_unescaped(row[4]), row[5]) for row in rows]:
        if place == target or place.startswith(f"{target}/"):
            kept = sum(_NAMED_FLAGS.get(word, 0) for word in options.split(","))
            try:
                mount(None, place, None, _REMOUNT | _BIND | _READ_ONLY | kept)
            except OSError as error:
                if place == target or error.errno != errno.EINVAL:
                    raise  # else it lies hidden below another mount


def _unescaped(text: str) -> str:
    """A path of /proc/self/mountinfo, where blanks are octal (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def _make_file(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
