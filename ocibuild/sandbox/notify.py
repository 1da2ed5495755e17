"""Answers the calls of a program whose seccomp filter asks: owners and file capabilities are noted, not set.

The supervisor stands where the caller stands (its root and its folder, by chroot(2) and fchdir(2)) and lets the
kernel itself resolve the path: links, ``..`` and errors are right without a line of code, and nothing outside the
caller's root is reached. The file is opened once; what is noted and what is done are of that very file.

seccomp_unotify(2). The helper imports this: only light modules of the standard library may be used here.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from ocibuild.sandbox.journal import CAPABILITY_ATTRIBUTE, Journal
from ocibuild.sandbox.kernel import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    SYSTEM_CALLS,
    chown_descriptor,
    identify,
)

__all__ = ["Supervisor"]

_NOTIFICATION = struct.Struct(
    "=QIIiIQ6Q"
)  # struct seccomp_notif: id, pid, flags; number, architecture, address, arguments
_RESPONSE = struct.Struct("=QqiI")  # struct seccomp_notif_resp: id, value, error, flags
# SECCOMP_IOCTL_NOTIF_*. The number of ID_VALID has the direction that kernels before 5.17 know; later ones take it too.
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x80082102
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_LONGEST_PATH, _LONGEST_NAME, _LONGEST_VALUE = 4096, 256, 65536  # limits.h

_LET_THE_KERNEL = None


class _Caller:
    """The thread that waits for an answer.

    ``is_waiting`` tells whether its number is still its own: asked after each opening, so that what was opened is
    never that of another thread which was born with the number meanwhile.
    """

    def __init__(self, processes: int, thread: int, is_waiting: Callable[[], bool]) -> None:
        self._processes = processes
        self._thread = thread
        self._is_waiting = is_waiting

    def memory(self, address: int, size_bytes: int) -> bytes:
        """What it has there: fewer bytes where its memory ends."""
        descriptor = self._open("mem", os.O_RDONLY)
        try:
            return os.pread(descriptor, size_bytes, address)
        except (OSError, OverflowError) as error:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT)) from error
        finally:
            os.close(descriptor)

    def text(self, address: int, most_bytes: int, *, too_long: int = errno.ENAMETOOLONG) -> bytes:
        """The text that ends with a zero byte."""
        found, zero, _ = self.memory(address, most_bytes).partition(b"\0")
        if not zero:
            number = too_long if len(found) == most_bytes else errno.EFAULT
            raise OSError(number, os.strerror(number))
        return found

    def root(self) -> int:
        """Its root folder."""
        return self._open("root", os.O_PATH | os.O_DIRECTORY)

    def folder(self, descriptor: int) -> int:
        """The folder that its relative paths begin at."""
        name = "cwd" if descriptor == AT_FDCWD else f"fd/{descriptor}"
        return self._open(name, os.O_PATH)

    def file(self, descriptor: int) -> int:
        """What it has open."""
        return self._open(f"fd/{descriptor}", os.O_PATH)

    def _open(self, name: str, flags: int) -> int:
        try:
            descriptor = os.open(f"{self._thread}/{name}", flags | os.O_CLOEXEC, dir_fd=self._processes)
        except FileNotFoundError as error:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error
        if not self._is_waiting():
            os.close(descriptor)
            raise OSError(errno.EINTR, os.strerror(errno.EINTR))
        return descriptor


class Supervisor:
    """Answers one call after the other; ``listener`` is the filter's descriptor, ``processes`` an open ``/proc``.

    Owners are noted for files of the mount ``mount`` only: what is mounted into the root is not the root's.
    """

    def __init__(self, listener: int, *, processes: int, journal: Journal, mount: int) -> None:
        self._listener = listener
        self._processes = processes
        self._journal = journal
        self._mount = mount
        self._root: tuple[int, int] | None = None
        by_name: dict[str, Callable[[_Caller, list[int]], int | None]] = {
            "chown": lambda caller, a: self._chown_path(caller, AT_FDCWD, a[0], a[1], a[2], 0),
            "lchown": lambda caller, a: self._chown_path(caller, AT_FDCWD, a[0], a[1], a[2], AT_SYMLINK_NOFOLLOW),
            "fchownat": lambda caller, a: self._chown_path(caller, _signed(a[0]), a[1], a[2], a[3], a[4]),
            "fchown": lambda caller, a: self._chown(caller.file(_signed(a[0])), a[1], a[2]),
            "setxattr": lambda caller, a: self._set_attribute(caller, a, self._follow),
            "lsetxattr": lambda caller, a: self._set_attribute(caller, a, self._stay),
            "fsetxattr": lambda caller, a: self._set_attribute(caller, a, self._take),
            "removexattr": lambda caller, a: self._remove_attribute(caller, a, self._follow),
            "lremovexattr": lambda caller, a: self._remove_attribute(caller, a, self._stay),
            "fremovexattr": lambda caller, a: self._remove_attribute(caller, a, self._take),
        }
        self._answers = {SYSTEM_CALLS[name]: answer for name, answer in by_name.items() if name in SYSTEM_CALLS}

    def answer(self) -> None:
        """Take the call that waits, and answer it; nothing happens where the caller was ended meanwhile."""
        received = bytearray(_NOTIFICATION.size)
        if not self._control(_RECEIVE, received):
            return
        identifier, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(received)
        flags = 0
        try:
            caller = _Caller(self._processes, thread, lambda: self._is_waiting(identifier))
            error = self._answers[number](caller, arguments)
            if error is _LET_THE_KERNEL:
                error, flags = 0, _CONTINUE
        except OSError as failed:
            error = failed.errno or errno.EIO
        try:
            self._control(_SEND, bytearray(_RESPONSE.pack(identifier, 0, -error, flags)))
        except OSError as refused:
            if refused.errno != errno.EINVAL or not flags:
                raise
            # Before Linux 5.5 a call cannot go on: no attributes then, which programs that copy files put up with.
            self._control(_SEND, bytearray(_RESPONSE.pack(identifier, 0, -errno.ENOTSUP, 0)))

    def _is_waiting(self, identifier: int) -> bool:
        """Whether the call still waits for its answer."""
        return self._control(_IS_VALID, bytearray(struct.pack("=Q", identifier)))

    def _control(self, request: int, argument: bytearray) -> bool:
        """ioctl(2) on the listener; False where the caller was ended meanwhile."""
        while True:
            try:
                fcntl.ioctl(self._listener, request, argument)
            except InterruptedError:
                continue
            except FileNotFoundError:
                return False
            return True

    def _chown_path(self, caller: _Caller, folder: int, path: int, uid: int, gid: int, flags: int) -> int | None:
        if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
            return errno.EINVAL
        text = caller.text(path, _LONGEST_PATH)
        if not text and flags & AT_EMPTY_PATH:
            return self._chown(caller.folder(folder), uid, gid)
        return self._chown(self._open(caller, folder, text, follow=not flags & AT_SYMLINK_NOFOLLOW), uid, gid)

    def _chown(self, file: int, uid: int, gid: int) -> int:
        """Note the owner where the kernel sets the program's own: set-id bits, times and errors are then right."""
        uid, gid = _identifier(uid), _identifier(gid)
        try:
            key, mount = identify(file)
            is_of_root = mount == self._mount
            if is_of_root and not self._journal.may_chown(key, uid, gid):
                return errno.EPERM
            chown_descriptor(file, uid if uid == -1 else os.getuid(), gid if gid == -1 else os.getgid())
            if is_of_root and (uid, gid) != (-1, -1):
                self._journal.chown(key, uid, gid)
        finally:
            os.close(file)
        return 0

    def _set_attribute(
        self, caller: _Caller, arguments: list[int], opened: Callable[[_Caller, int], int]
    ) -> int | None:
        target, name, value, size_bytes, flags = arguments[:5]
        if caller.text(name, _LONGEST_NAME, too_long=errno.ERANGE) != CAPABILITY_ATTRIBUTE.encode():
            return _LET_THE_KERNEL
        if size_bytes > _LONGEST_VALUE:
            return errno.E2BIG
        wanted = caller.memory(value, size_bytes)
        file = opened(caller, target)
        try:
            if os.fstatvfs(file).f_flag & os.ST_RDONLY:
                return errno.EROFS
            key, mount = identify(file)
            return self._journal.set_capability(key, wanted, flags) if mount == self._mount else _LET_THE_KERNEL
        finally:
            os.close(file)

    def _remove_attribute(
        self, caller: _Caller, arguments: list[int], opened: Callable[[_Caller, int], int]
    ) -> int | None:
        if caller.text(arguments[1], _LONGEST_NAME, too_long=errno.ERANGE) != CAPABILITY_ATTRIBUTE.encode():
            return _LET_THE_KERNEL
        file = opened(caller, arguments[0])
        try:
            return self._journal.remove_capability(identify(file)[0])
        finally:
            os.close(file)

    def _follow(self, caller: _Caller, path: int) -> int:
        return self._open(caller, AT_FDCWD, caller.text(path, _LONGEST_PATH), follow=True)

    def _stay(self, caller: _Caller, path: int) -> int:
        return self._open(caller, AT_FDCWD, caller.text(path, _LONGEST_PATH), follow=False)

    def _take(self, caller: _Caller, descriptor: int) -> int:
        return caller.file(_signed(descriptor))

    def _open(self, caller: _Caller, folder: int, path: bytes, *, follow: bool) -> int:
        """The file that the caller means by this path."""
        self._stand_in_root(caller)
        if not path.startswith(b"/"):
            start = caller.folder(folder)
            try:
                os.fchdir(start)
            finally:
                os.close(start)
        return os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))

    def _stand_in_root(self, caller: _Caller) -> None:
        """Have the caller's root: nearly always the one of the call before, since few programs change theirs."""
        root = caller.root()
        try:
            status = os.fstat(root)
            if self._root != (status.st_dev, status.st_ino):
                os.fchdir(root)
                os.chroot(".")
                self._root = (status.st_dev, status.st_ino)
        finally:
            os.close(root)


def _signed(value: int) -> int:
    """A C int out of a register: the upper half may hold anything."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def _identifier(value: int) -> int:
    """A uid or gid out of a register; -1 stands for none."""
    value &= 0xFFFFFFFF
    return -1 if value == 0xFFFFFFFF else value  # noqa: PLR2004 - (uid_t) -1
