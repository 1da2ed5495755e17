"""What a container without privileges may not do is refused in the kernel's words; the rest is refused with a message."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.trap.conftest import USER, Trap
from tests.support.sandbox_roots import driven

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes another user"),
]

Inside = Callable[[Path], str]


def test_privileges_that_nobody_has(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        os.chdir("{inside(folder)}")
        assert failure(os.mknod, "c", stat.S_IFCHR | 0o600, os.makedev(1, 3)) == failure(os.mknod, "b", stat.S_IFBLK | 0o600, 1) == "EPERM"
        for number, arguments in {{
            165: (b"none", b"/mnt", b"tmpfs", 0, None), 166: (b"/mnt", 0), 155: (b".", b"."), 272: (0x20000,), 308: (0, 0), 167: (b"x", 0),
            168: (b"x",), 163: (b"x",), 179: (0, b"x", 0, None), 304: (0, None, 0), 300: (0, 0), 428: (-100, b"/", 0), 429: (0, b"", 0, b"", 0),
            170: (b"x", 1), 171: (b"x", 1), 164: (0, None), 227: (0, 0), 246: (0, 0, None, 0), 175: (0, 0, b""), 313: (-1, b"", 0), 176: (b"x", 0),
            430: (b"tmpfs", 0), 431: (0, 0, None, None, 0), 432: (0, 0, 0), 433: (-100, b"/", 0), 442: (0, b"", 0, None, 0),
        }}.items():
            assert call(number, *arguments) == -errno.EPERM, number
        assert call(272, 0x10000000) == -errno.EPERM and call(272, 0x200) == 0  # unshare: users no, files yes
        assert call(56, 0x10000000 | 17, 0, 0, 0, 0) == -errno.EPERM  # clone
        for number in (435, 425, 426, 427, 463, 1000, 0x40000000 + 1):  # clone3, io_uring, setxattrat, unknown, x32
            assert call(number, 0, 0, 0, 0, 0) == -errno.ENOSYS, number
        assert call(444, None, 0, 1) == -errno.EOPNOTSUPP  # landlock
        """
    )


def test_filters_of_a_programs_own(trap: Trap, folder: Path) -> None:
    outcome = trap.run(
        "python3",
        "-c",
        """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
class Filter(ctypes.Structure): _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]
kill_all = b"\\x06\\0\\0\\0\\0\\0\\0\\0"  # RET_KILL_THREAD
filter = Filter(1, kill_all)
def call(*arguments): return -ctypes.get_errno() if libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)) == -1 else 0
print(call(317, 1, 0, None), call(317, 1, 8, ctypes.byref(filter)), call(317, 0, 0, None), libc.prctl(22, 1, 0, 0, 0), libc.prctl(21))
print(call(317, 1, 0, ctypes.byref(filter)), libc.prctl(22, 2, ctypes.byref(filter)), libc.prctl(21), len(os.listdir("/etc")) > 10)
""",
    )
    note = "ocibuild: note: a program's own filter of system calls is not installed in this sandbox\n"
    assert sorted(outcome.output.splitlines(keepends=True)) == sorted(["-14 -22 -22 -1 0\n", "0 0 2 True\n", note])


def test_programs_for_other_processors(trap: Trap, folder: Path, inside: Inside) -> None:
    header = bytearray((trap.root / "usr/bin/true").read_bytes()[:64])
    for name, bits, machine in (("i386", 1, 3), ("x32", 1, 62), ("arm", 2, 183)):
        header[4], header[18] = bits, machine
        (folder / name).write_bytes(header)
        (folder / name).chmod(0o755)
    script = f"cd {inside(folder)}; for name in i386 x32 arm; do ./$name; echo $?; done"
    said = trap.run("bash", "-c", script).output
    assert f"{'./i386'}: a program for i386, which cannot run in this sandbox" in said
    assert f"{'./x32'}: a program for x32, which cannot run in this sandbox" in said
    assert said.count("126\n") == 3
    assert "arm: cannot execute" in said


def test_calls_for_32_bits_from_64_bit_programs(trap: Trap) -> None:
    """int 0x80, which would go around every rule: the file is not made, neither here nor there."""
    program = r"""
    #include <stdio.h>
    #include <sys/mman.h>
    int main(void) {
        char *low = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        sprintf(low, "/tmp/went-around");
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(5), "b"(low), "c"(0101), "d"(0600) : "memory");
        printf("%ld\n", result);
    }
    """
    outcome = trap.c(program)
    assert outcome.output == "-38\n" or outcome.exit_code == 128 + 11  # or the kernel has no such calls
    assert not Path("/tmp/went-around").exists()


def test_exit_codes_are_a_shells(trap: Trap, folder: Path, inside: Inside) -> None:
    (folder / "text").write_text("echo no interpreter\n")
    (folder / "script").write_text("#!/no/such/interpreter\n")
    (folder / "long").write_text("#!" + "x" * 300 + "\n")
    (folder / "loop").write_text(f"#!{inside(folder)}/loop\n")
    for path in folder.iterdir():
        path.chmod(0o755)
    answers = {
        name: (outcome.exit_code, outcome.output.replace(inside(folder), ""))
        for name in (
            "no-such-program",
            "/no/such",
            "/etc/passwd",
            "/etc",
            "",
            *(f"{inside(folder)}/{n}" for n in ("text", "script", "loop")),
        )
        for outcome in [trap.run(name)]
    }
    assert list(answers.values()) == [
        (127, "ocibuild: no-such-program: not found\n"),
        (127, "ocibuild: /no/such: no such file\n"),
        (126, "ocibuild: /etc/passwd: cannot be executed: Permission denied\n"),
        (126, "ocibuild: /etc: cannot be executed: Permission denied\n"),
        (127, "ocibuild: : not found\n"),
        (126, "ocibuild: /text: cannot be executed: it has no #! line, or is for another processor\n"),
        (127, "ocibuild: /script: its interpreter is not there\n"),
        (126, "ocibuild: /loop: cannot be executed: Too many levels of symbolic links\n"),
    ]
    assert trap.shell("exit 7").exit_code == 7
    assert trap.shell("kill -USR1 $$").exit_code == 128 + 10


def test_the_working_folder_is_made_and_taken_away(trap: Trap, folder: Path, inside: Inside) -> None:
    before = folder.stat().st_mtime_ns
    assert trap.run("pwd", working_folder=f"{inside(folder)}/new/er").output == f"{inside(folder)}/new/er\n"
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mtime_ns == before
    assert trap.run("touch", "kept", working_folder=f"{inside(folder)}/new/er").exit_code == 0
    assert (folder / "new/er/kept").exists()


def test_a_root_where_nothing_may_be_executed(tmp_path: Path) -> None:
    work = Path("/var/tmp") / f"ocibuild-noexec-{os.urandom(4).hex()}"
    work.mkdir()
    script = (
        f'mount -t tmpfs -o noexec,mode=777 none {work}; exec setpriv --reuid={USER} --regid={USER} --clear-groups "$@"'
    )
    try:
        outcome = driven("trap", work, "true", within=["unshare", "--mount", "sh", "-c", script, "sh"])
    finally:
        subprocess.run(["rmdir", work], check=True)
    assert outcome.error == f"{work}: lies on a file system that is mounted noexec: no program in it can be run"
