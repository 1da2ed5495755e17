"""/proc and /dev: what is shown there is the root's, and nothing tells where the root lies."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.trap.conftest import Trap

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes another user"),
]

Inside = Callable[[Path], str]


def test_links_are_the_roots(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        os.chdir("{inside(folder)}")
        file = os.open("file", os.O_CREAT | os.O_RDWR)
        pid = os.getpid()
        for self in ("self", str(pid), f"{{pid}}/task/{{pid}}", "thread-self"):
            at = f"/proc/{{self}}/"
            assert os.readlink(at + "exe") == os.path.realpath("/usr/bin/python3"), at
            assert os.readlink(at + "cwd") == "{inside(folder)}" and os.readlink(at + "root") == "/"
            assert os.readlink(at + f"fd/{{file}}") == "{inside(folder)}/file"
            assert os.readlink(str(file), dir_fd=os.open(at + "fd", os.O_RDONLY)) == "{inside(folder)}/file"
            assert os.readlink("exe", dir_fd=os.open(at, os.O_RDONLY)) == os.path.realpath("/usr/bin/python3")
            assert open(at + "exe", "rb").read(4) == b"\\x7fELF" and os.listdir(at + "cwd") == ["file"]
            assert open(at + "root/etc/debian_version").read() == open("/etc/debian_version").read()
            assert open(at + "cwd/../../etc/debian_version") and os.stat(at + "root").st_ino == os.stat("/").st_ino
        assert os.readlink(f"/proc/{{os.getppid()}}/exe")
        assert os.readlink(f"/proc/self/fd/{{os.memfd_create('x')}}") == "/memfd:x (deleted)"
        os.unlink("file"); assert os.readlink(f"/proc/self/fd/{{file}}") == "{inside(folder)}/file (deleted)"
        assert os.path.realpath("/dev/fd") == f"/proc/{{pid}}/fd" and os.path.samefile("/dev/stdout", "/proc/self/fd/1")
        """
    )


def test_no_file_of_proc_tells_where_the_root_lies(trap: Trap) -> None:
    trap.python(
        f"""
        root = {str(trap.root)!r}
        for name in ("maps", "smaps", "mounts", "mountinfo", "environ", "status"):
            text = open(f"/proc/self/{{name}}", "rb").read().decode(errors="replace")
            assert text and root not in text and "/ob-" not in text, name
            assert open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=os.open("/proc/self", os.O_RDONLY))).read()
        maps = open("/proc/self/maps").read()
        assert f" {{os.path.realpath('/usr/bin/python3')}}\\n" in maps and "[ocibuild-root]" in maps
        assert open("/proc/self/cmdline", "rb").read().startswith(b"python3\\0-c\\0") and open("/proc/self/comm").read() == "python3\\n"
        mounts = [line.split()[1] for line in open("/proc/mounts")]
        assert mounts.count("/") == 1 and "/proc" in mounts
        vector = open("/proc/self/auxv", "rb").read()
        entries = dict(zip(*[iter(memoryview(vector).cast("L"))] * 2))
        libc.getauxval.restype = ctypes.c_ulong
        assert all(libc.getauxval(n) == entries[n] for n in (3, 5, 7, 9)) and entries[11] == 0
        assert ctypes.string_at(libc.getauxval(31)).decode().endswith("/python3")
        """
    )


def test_processes_see_each_other_as_they_are(trap: Trap) -> None:
    outcome = trap.shell(
        """
        printf '#!/bin/sh\\nsleep 30\\n' > /tmp/a-script; chmod 755 /tmp/a-script; /tmp/a-script & script=$!
        busybox sleep 31 & sleep 0.3
        ps -o comm=,args= -p $script,$!; readlink /proc/$script/exe /proc/$!/exe; pgrep -xc busybox
        kill $script $!; rm /tmp/a-script
        """
    )
    assert outcome.output.splitlines() == [
        "a-script        /bin/sh /tmp/a-script",
        "busybox         busybox sleep 31",
        *("/usr/bin/dash", "/usr/bin/busybox", "1"),
    ]


def test_devices_are_those_that_every_program_may_expect(trap: Trap) -> None:
    trap.python(
        """
        names = sorted(os.listdir("/dev"))
        assert set(names) <= {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin", "stdout", "stderr"}
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and failure(os.stat, "/dev/mem") == failure(os.stat, "/dev/sda") == "ENOENT"
        open("/dev/null", "w").write("x"); assert open("/dev/zero", "rb").read(2) == b"\\0\\0" and len(open("/dev/urandom", "rb").read(2)) == 2
        os.chdir("/dev"); assert os.stat("null").st_rdev == os.stat("/dev/null").st_rdev == os.makedev(1, 3)
        assert failure(lambda: open("/dev/full", "w", buffering=1).write("x\\n")) == "ENOSPC"
        import multiprocessing.shared_memory as shared, pty
        memory = shared.SharedMemory(create=True, size=10); other = shared.SharedMemory(memory.name); other.buf[0] = 1; assert memory.buf[0] == 1; other.close(); memory.close(); memory.unlink()
        import multiprocessing; multiprocessing.Semaphore(1).acquire()
        child, terminal = pty.fork()
        if child == 0:
            assert os.ttyname(0).startswith("/dev/pts/") and os.fstat(0).st_uid == 0
            os.write(1, b"on a terminal"); os._exit(0)
        assert os.read(terminal, 20) == b"on a terminal" and os.waitpid(child, 0)[1] == 0
        for path in ("/dev/null", "/proc", "/dev"):
            assert failure(os.unlink if path == "/dev/null" else os.rmdir, path) == "EBUSY", path
        """
    )
    assert not (trap.root / "dev/null").exists() or (trap.root / "dev/null").stat().st_size == 0


def test_bound_files_and_folders(
    trap: Trap, folder: Path, inside: Inside, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outer = Path("/var/tmp") / folder.name
    outer.mkdir()
    try:
        (outer / "data").write_text("data")
        (outer / "sub").mkdir()
        (outer / "link").symlink_to("/etc/debian_version")
        (outer / "file").write_text("bound file")
        os.chown(outer, 65532, 65532)
        mounts = [
            [str(outer), "/mnt/data", False],
            [str(outer / "file"), "/etc/new/file", False],
            [str(outer), f"{inside(folder)}/rw", True],
        ]
        trap.python(
            f"""
            assert open("/mnt/data/data").read() == "data" and open("/etc/new/file").read() == "bound file"
            assert open("/mnt/data/link").read() == open("/etc/debian_version").read()
            os.chdir("/mnt/data/sub"); assert os.getcwd() == "/mnt/data/sub" and open("../data").read() == "data"
            assert open("../../../etc/debian_version") and os.path.realpath(".") == "/mnt/data/sub"
            for change in (lambda: open("new", "w"), lambda: open("../data", "a"), lambda: os.unlink("/mnt/data/data"), lambda: os.mkdir("/mnt/data/x"),
                           lambda: os.chmod("/etc/new/file", 0o777), lambda: os.rename("../data", "../other"), lambda: os.truncate("/etc/new/file", 0),
                           lambda: os.utime("../data"), lambda: os.symlink("x", "y"), lambda: os.link("/etc/passwd", "/mnt/data/l"), lambda: os.chown("../data", 1, 1)):
                assert failure(change) in ("EROFS", "EXDEV"), change.__code__.co_firstlineno
            assert not os.access("../data", os.W_OK) and os.access("../data", os.R_OK)
            assert failure(os.rmdir, "/mnt/data") == failure(os.rename, "/etc/new/file", "/etc/other") == "EBUSY"
            open("{inside(folder)}/rw/written", "w").write("w")
            """,
            mounts=mounts,
        )
        assert (outer / "written").read_text() == "w"
        assert (outer / "data").read_text() == "data"
        assert not (trap.root / "etc/new").exists()
    finally:
        shutil.rmtree(outer)
