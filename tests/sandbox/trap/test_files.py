"""System calls on files: every path is the root's, whatever form the call has."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.trap.conftest import Trap, give

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes another user"),
]

Inside = Callable[[Path], str]


def test_every_call_with_a_path_is_answered_in_the_root(trap: Trap, folder: Path, inside: Inside) -> None:
    """x86-64's calls that other architectures do not have, by number, beside the newer ones."""
    trap.python(
        f"""
        os.chdir({inside(folder)!r})
        here = b"{inside(folder)}/"
        buffer = ctypes.create_string_buffer(4096)
        descriptor = call(2, here + b"open", os.O_CREAT | os.O_RDWR, 0o640)
        assert descriptor > 2 and os.write(descriptor, b"12345") == 5
        assert call(85, here + b"creat", 0o600) > 2
        for number in (4, 6):
            assert call(number, here + b"open", buffer) == 0  # stat, lstat
        assert call(5, descriptor, buffer) == 0  # fstat
        assert call(21, here + b"open", os.R_OK) == 0 and call(21, here + b"no", 0) == -errno.ENOENT  # access
        assert call(83, here + b"mkdir", 0o755) == 0 and call(84, here + b"mkdir") == 0  # mkdir, rmdir
        assert call(82, here + b"creat", here + b"renamed") == 0  # rename
        assert call(86, here + b"open", here + b"linked") == 0  # link
        assert call(88, b"open", here + b"symlink") == 0  # symlink
        assert call(89, here + b"symlink", buffer, 4096) == 4 and buffer.raw[:4] == b"open"  # readlink
        assert call(90, here + b"open", 0o604) == 0 and os.stat("open").st_mode & 0o7777 == 0o604  # chmod
        assert call(92, here + b"open", 5, 6) == 0 and os.stat("open").st_gid == 6  # chown
        assert call(94, here + b"symlink", 7, 8) == 0 and os.lstat("symlink").st_uid == 7  # lchown
        assert call(133, here + b"fifo", stat.S_IFIFO | 0o600, 0) == 0  # mknod
        assert call(132, here + b"open", None) == 0  # utime
        times = (ctypes.c_long * 4)(10, 500000, 20, 250000)
        assert call(235, here + b"open", times) == 0 and os.stat("open").st_mtime == 20.25  # utimes
        assert call(261, -100, b"open", times) == 0 and os.stat("open").st_atime == 10.5  # futimesat
        assert call(76, here + b"open", 2) == 0 and os.stat("linked").st_size == 2  # truncate
        assert call(137, here + b"open", buffer) == 0  # statfs
        assert call(87, here + b"symlink") == 0  # unlink
        assert call(80, here) == 0 and os.getcwd() == "{inside(folder)}"  # chdir
        assert sorted(os.listdir()) == ["fifo", "linked", "open", "renamed"]
        """
    )
    assert sorted(path.name for path in folder.iterdir()) == ["fifo", "linked", "open", "renamed"]


def test_every_call_with_a_folder_and_a_path_is_answered_in_the_root(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        here = os.open("{inside(folder)}", os.O_RDONLY)
        buffer = ctypes.create_string_buffer(4096)
        descriptor = call(257, here, b"open", os.O_CREAT | os.O_RDWR, 0o640)  # openat
        assert descriptor > 2 and os.write(descriptor, b"12345") == 5
        how = (ctypes.c_ulong * 3)(os.O_RDONLY, 0, 0)
        assert call(437, here, b"open", how, 24) > 2  # openat2
        assert call(437, here, b"open", how, 8) == -errno.EINVAL
        assert call(262, here, b"open", buffer, 0) == 0  # newfstatat
        assert call(332, here, b"open", 0, 0x7ff, buffer) == 0  # statx
        assert call(269, here, b"open", os.R_OK) == 0  # faccessat
        assert call(439, here, b"open", os.R_OK, 0x200) == 0  # faccessat2
        assert call(258, here, b"mkdir", 0o755) == 0 and call(263, here, b"mkdir", 0x200) == 0  # mkdirat, unlinkat
        assert call(264, here, b"open", here, b"a") == 0 and call(316, here, b"a", here, b"open", 1) == 0  # renameat(2)
        assert call(265, here, b"open", here, b"linked", 0) == 0  # linkat
        assert call(265, descriptor, b"", here, b"by-descriptor", 0x1000) == 0
        assert call(266, b"open", here, b"symlink") == 0  # symlinkat
        assert call(267, here, b"symlink", buffer, 2) == 2 and buffer.raw[:2] == b"op"  # readlinkat
        assert call(268, here, b"open", 0o604) == 0 and call(91, descriptor, 0o640) == 0  # fchmodat, fchmod
        assert call(452, here, b"symlink", 0o600, 0x100) == -errno.EOPNOTSUPP  # fchmodat2
        assert call(260, here, b"symlink", 1, 2, 0x100) == 0 and call(93, descriptor, 3, 4) == 0  # fchownat, fchown
        assert (os.lstat("{inside(folder)}/symlink").st_uid, os.fstat(descriptor).st_uid) == (1, 3)
        assert call(259, here, b"fifo", stat.S_IFIFO | 0o600, 0) == 0  # mknodat
        times = (ctypes.c_long * 4)(10, 0, 20, 0)
        assert call(280, here, b"symlink", times, 0x100) == 0  # utimensat
        assert os.lstat("{inside(folder)}/symlink").st_mtime == 20
        assert call(280, descriptor, None, times, 0) == 0 and os.fstat(descriptor).st_mtime == 20
        assert call(81, here) == 0 and os.getcwd() == "{inside(folder)}"  # fchdir
        watch = call(253)  # inotify_init
        assert call(254, watch, b"{inside(folder)}", 0x100) > 0  # inotify_add_watch
        os.close(os.open("seen", os.O_CREAT | os.O_WRONLY))
        assert b"seen" in os.read(watch, 4096)
        handle = (ctypes.c_int * 34)(128)
        assert call(303, here, b"open", handle, buffer, 0) in (0, -errno.EOPNOTSUPP, -errno.EOVERFLOW)
        """
    )
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["by-descriptor", "fifo", "linked", "open", "seen", "symlink"]


def test_links_and_dots_never_leave_the_root(trap: Trap, folder: Path, inside: Inside) -> None:
    (folder / "absolute").symlink_to("/etc/debian_version")
    (folder / "upwards").symlink_to("../../../../../../../etc/debian_version")
    (folder / "chain").symlink_to("absolute")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to(f"{inside(folder)}/made")
    (folder / "folder").symlink_to("/usr/lib")
    version = (trap.root / "etc/debian_version").read_text()
    assert version != Path("/etc/hostname").read_text()
    trap.python(
        f"""
        os.chdir("{inside(folder)}")
        for name in ("absolute", "upwards", "chain", "/../../etc/debian_version", "../../../../../etc/debian_version"):
            assert open(name).read() == {version!r}, name
        assert failure(open, "loop") == "ELOOP" and failure(open, "/etc/debian_version/x") == "ENOTDIR"
        assert failure(os.open, "absolute", os.O_RDONLY | os.O_NOFOLLOW) == "ELOOP"
        assert failure(os.mkdir, "dangling") == "EEXIST"
        assert failure(os.open, "dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY) == "EEXIST"
        open("dangling", "w").write("x")
        assert os.listdir("folder/..") == os.listdir("/usr") and os.path.realpath("folder") == "/usr/lib"
        os.chdir("folder/python3"); assert os.getcwd() == "/usr/lib/python3"
        os.chdir("/../.."); assert os.getcwd() == "/"
        assert failure(os.stat, "") == "ENOENT" and failure(os.stat, "x" * 5000) == "ENAMETOOLONG"
        assert failure(os.stat, "etc/passwd/") == "ENOTDIR" and os.stat("etc/").st_ino == os.stat("/etc").st_ino
        """
    )
    assert (folder / "made").read_text() == "x"


def test_scopes_of_openat2_hold(trap: Trap, folder: Path, inside: Inside) -> None:
    (folder / "etc").mkdir()
    (folder / "etc/inner").write_text("inner")
    (folder / "link").symlink_to("/etc/inner")
    give(folder)
    trap.python(
        f"""
        here = os.open("{inside(folder)}", os.O_PATH)
        def opened(path, resolve, flags=os.O_RDONLY):
            return call(437, here, path, (ctypes.c_ulong * 3)(flags, 0o600 if flags & os.O_CREAT else 0, resolve), 24)
        assert os.read(opened(b"link", 0x10), 10) == b"inner"  # RESOLVE_IN_ROOT
        assert os.read(opened(b"/etc/inner", 0x10), 10) == b"inner"
        assert opened(b"../x", 0x08) == opened(b"link", 0x08) == -errno.EXDEV  # RESOLVE_BENEATH
        assert opened(b"link", 0x04) == -errno.ELOOP  # RESOLVE_NO_SYMLINKS
        assert opened(b"/etc/debian_version", 0x04) > 0
        assert opened(b"new", 0x08, os.O_CREAT | os.O_WRONLY) > 0
        """
    )
    assert (folder / "new").exists()


def test_temporary_and_unnamed_files(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        import tempfile
        os.chdir("{inside(folder)}")
        descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(descriptor, b"x")
        assert call(265, -100, b"/proc/self/fd/%d" % descriptor, -100, b"linked", 0x400) == 0  # AT_SYMLINK_FOLLOW
        assert open("linked").read() == "x"
        assert os.stat("linked").st_ino == os.stat(f"/proc/self/fd/{{descriptor}}").st_ino
        with tempfile.TemporaryFile(dir=".") as file:
            file.write(b"y")
        memory = os.memfd_create("name")
        os.write(memory, b"z")
        assert open(f"/proc/self/fd/{{memory}}").read() == "z"
        reading, writing = os.pipe()
        os.write(os.open(f"/dev/fd/{{writing}}", os.O_WRONLY), b"p")
        assert os.read(reading, 1) == b"p"
        """
    )


def test_pipes_with_names_wait_for_their_other_end(trap: Trap, folder: Path, inside: Inside) -> None:
    outcome = trap.shell(f"cd {inside(folder)}; mkfifo pipe; (sleep 0.2; echo through > pipe) & cat pipe")
    assert outcome.output == "through\n"
    trap.python(
        f"""
        import signal
        class Interrupted(Exception): pass
        def interrupt(*_): raise Interrupted
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            os.open("{inside(folder)}/pipe", os.O_RDONLY)
        except Interrupted:
            print("interrupted")
        assert failure(os.open, "{inside(folder)}/pipe", os.O_WRONLY | os.O_NONBLOCK) == "ENXIO"
        """
    )


def test_changed_roots(trap: Trap, folder: Path, inside: Inside) -> None:
    (folder / "etc").mkdir()
    (folder / "etc/name").write_text("inner")
    (folder / "link").symlink_to("/etc/name")
    give(folder)
    trap.python(
        f"""
        def enter():
            os.chroot("{inside(folder)}"); os.chdir("/")
            assert sorted(os.listdir("/")) == ["etc", "link"] and open("/link").read() == "inner"
            assert open("../../etc/name").read() == "inner" and os.getcwd() == "/"
            os.mkdir("deeper"); os.chroot("deeper"); os.chdir("/")
            assert os.listdir("/") == [] and failure(os.stat, "/etc") == "ENOENT"
        as_user(0, enter)
        as_user(1000, lambda: failure(os.chroot, "/") == "EPERM" or sys.exit(1))
        assert open("/etc/debian_version")
        """
    )


def test_addresses_that_are_no_memory_are_refused(trap: Trap) -> None:
    trap.python(
        """
        bad = 8
        for number, arguments in {
            2: (bad, 0, 0), 4: (bad, bad), 83: (bad, 0), 59: (bad, 0, 0), 89: (b"/bin", bad, 10), 79: (bad, 100),
            257: (-100, bad, 0, 0), 332: (-100, b"/etc", 0, 0x7ff, bad), 13: (10, bad, 0, 8), 14: (0, bad, 0, 8),
            118: (bad, bad, bad), 116: (2, bad), 42: (0, bad, 16), 437: (-100, b"/etc", bad, 24), 270: (0, 0, 0, 0, 0, bad),
            130: (bad, 8), 46: (0, bad, 0),
        }.items():
            assert call(number, *arguments) in (-errno.EFAULT, -errno.ENOTSOCK), number
        assert call(2, None, 0, 0) == -errno.EFAULT
        """
    )
