"""Linux system calls that Python's library does not offer. Each raises OSError, as functions of ``os`` do.

The helper imports this: only light modules of the standard library may be used here.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Mapping

__all__ = [
    "ARCHITECTURE",
    "AT_EMPTY_PATH",
    "AT_FDCWD",
    "AT_SYMLINK_NOFOLLOW",
    "NEW_IPC",
    "NEW_MOUNTS",
    "NEW_NAMES",
    "NEW_NETWORK",
    "NEW_PROCESSES",
    "NEW_USERS",
    "SYSTEM_CALLS",
    "become_subreaper",
    "chown_descriptor",
    "detach",
    "die_with_parent",
    "identify",
    "install_filter",
    "mount",
    "name_machine",
    "pivot_root",
    "unshare",
]

NEW_MOUNTS, NEW_NAMES, NEW_IPC = 0x20000, 0x4000000, 0x8000000
NEW_USERS, NEW_PROCESSES, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
"""unshare(2), sched.h"""
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
"""fcntl.h"""

_SET_PARENT_DEATH_SIGNAL, _SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 1, 36, 38  # prctl.h
_DETACH = 2  # umount2(2)
_SET_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5  # seccomp.h
_BIRTH_TIME, _MOUNT_ID = 0x800, 0x1000  # statx(2)
_STATX_BYTES = 256

ARCHITECTURE = os.uname().machine
"""The processor as ``uname -m`` names it."""

_NUMBERS: Mapping[str, Mapping[str, int]] = {
    # arch/x86/entry/syscalls/syscall_64.tbl
    "x86_64": {
        "chown": 92,
        "fchown": 93,
        "lchown": 94,
        "setuid": 105,
        "setgid": 106,
        "setreuid": 113,
        "setregid": 114,
        "setgroups": 116,
        "setresuid": 117,
        "setresgid": 119,
        "setfsuid": 122,
        "setfsgid": 123,
        "capset": 126,
        "pivot_root": 155,
        "setxattr": 188,
        "lsetxattr": 189,
        "fsetxattr": 190,
        "removexattr": 197,
        "lremovexattr": 198,
        "fremovexattr": 199,
        "fchownat": 260,
        "seccomp": 317,
        "statx": 332,
        "setxattrat": 463,
        "removexattrat": 466,
    },
    # include/uapi/asm-generic/unistd.h; what it lacks (chown) the architecture does not have
    "aarch64": {
        "setxattr": 5,
        "lsetxattr": 6,
        "fsetxattr": 7,
        "removexattr": 14,
        "lremovexattr": 15,
        "fremovexattr": 16,
        "pivot_root": 41,
        "fchownat": 54,
        "fchown": 55,
        "capset": 91,
        "setregid": 143,
        "setgid": 144,
        "setreuid": 145,
        "setuid": 146,
        "setresuid": 147,
        "setresgid": 149,
        "setfsuid": 151,
        "setfsgid": 152,
        "setgroups": 159,
        "seccomp": 277,
        "statx": 291,
        "setxattrat": 463,
        "removexattrat": 466,
    },
}
SYSTEM_CALLS: Mapping[str, int] = _NUMBERS.get(ARCHITECTURE, {})
"""Numbers by name, for this processor; empty for one that the program does not know."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _system_call(name: str, *arguments: object) -> int:
    """Make the call itself, since an old C library may lack its wrapper; the kernel takes numbers as long."""
    if name not in SYSTEM_CALLS:
        raise OSError(errno.ENOSYS, f"{name} is not known for {ARCHITECTURE} processors")
    passed = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(SYSTEM_CALLS[name]), *passed))


def unshare(flags: int) -> None:
    """Leave the name spaces of these flags for new ones."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def name_machine(host_name: str) -> None:
    """Give the machine this name, and no domain, in this name space of names."""
    for function, name in ((_libc.sethostname, host_name), (_libc.setdomainname, "(none)")):
        text = os.fsencode(name)
        _checked(function(text, ctypes.c_size_t(len(text))))


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Attach a file system, or change one that is attached: None where a text is not taken."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _checked(_libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3]))


def detach(target: str) -> None:
    """Take a mount away once nobody uses it any more, as umount2(2) with MNT_DETACH."""
    _checked(_libc.umount2(os.fsencode(target), _DETACH))


def pivot_root(new_root: str, old_root: str) -> None:
    """Exchange this mount name space's root; the old one is then at ``old_root``."""
    _system_call("pivot_root", os.fsencode(new_root), os.fsencode(old_root))


def die_with_parent(signal_number: int) -> None:
    """Be sent this signal when the thread that forked this process ends (PR_SET_PDEATHSIG)."""
    _checked(_libc.prctl(_SET_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal_number), 0, 0, 0))


def become_subreaper() -> None:
    """Be the parent of every descendant whose own parent ends (PR_SET_CHILD_SUBREAPER)."""
    _checked(_libc.prctl(_SET_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0))


class _FilterProgram(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install_filter(program: bytes) -> int:
    """Apply a seccomp filter to this thread and what it starts; the descriptor of its notifications (seccomp(2)).

    It is closed on exec. Set-user-id programs do not change ids from here on (PR_SET_NO_NEW_PRIVS).
    """
    _checked(_libc.prctl(_SET_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), 0, 0, 0))
    filtered = ctypes.byref(_FilterProgram(len(program) // 8, program))
    try:
        # A signal does not break a call that the supervisor has begun to answer: runtimes such as Go's send many.
        return _system_call("seccomp", _SET_FILTER, _NEW_LISTENER | _WAIT_KILLABLE, filtered)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the kernel is older than 5.19
            raise
        return _system_call("seccomp", _SET_FILTER, _NEW_LISTENER, filtered)


def chown_descriptor(descriptor: int, uid: int, gid: int) -> None:
    """Change the owner of what is open, also where it is open with O_PATH only; -1 keeps an id."""
    _system_call("fchownat", descriptor, b"", uid, gid, AT_EMPTY_PATH)


def identify(descriptor: int) -> tuple[tuple[int, int], int]:
    """The inode number and time of birth (nanoseconds, 0 where there is none) of what is open, and its mount.

    O_PATH suffices. The mount is a number that differs from one mount to the next; before Linux 5.8 it is the device.
    """
    answer = ctypes.create_string_buffer(_STATX_BYTES)
    _system_call("statx", descriptor, b"", AT_EMPTY_PATH, _BIRTH_TIME | _MOUNT_ID, answer)
    (mask,) = struct.unpack_from("=I", answer, 0)
    (inode,) = struct.unpack_from("=Q", answer, 32)
    seconds, nanoseconds = struct.unpack_from("=qI", answer, 80)
    major, minor, mount_id = struct.unpack_from("=IIQ", answer, 136)
    birth = (seconds * 1_000_000_000 + nanoseconds) if mask & _BIRTH_TIME else 0
    return (inode, birth), mount_id if mask & _MOUNT_ID else os.makedev(major, minor)
