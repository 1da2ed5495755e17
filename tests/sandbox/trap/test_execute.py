"""Executing programs, in every form that a program may be named."""

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


def test_scripts_and_their_interpreters(trap: Trap, folder: Path, inside: Inside) -> None:
    (folder / "show").write_text("#!/usr/bin/python3 -u\nimport sys; print(sys.argv)\n")
    (folder / "chain").write_text(f"#! {inside(folder)}/show  one argument \nignored\n")
    (folder / "relative").write_text("#!./show\n")
    (folder / "env").write_text("#!/usr/bin/env -S python3 -c 'import sys; print(sys.argv[1:])'\n")
    (folder / "no-end").write_text("#!/bin/echo")
    for path in folder.iterdir():
        path.chmod(0o755)
    (folder / "link").symlink_to("show")
    give(folder)
    here = inside(folder)
    outcome = trap.shell(f"cd {here}; ./show a; ./chain b; ./relative c; ./env d; ./no-end e; ./link f; PATH=. show g")
    assert outcome.output.splitlines() == [
        "['./show', 'a']",
        f"['{here}/show', 'one argument', './chain', 'b']",
        "['./show', './relative', 'c']",
        "['./env', 'd']",
        "./no-end e",
        "['./link', 'f']",
        "['./show', 'g']",
    ]


def test_programs_by_descriptor(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        def output(descriptor, arguments, how="execve"):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.dup2(writing, 1)
                try:
                    if how == "execve":
                        os.execve(descriptor, arguments, {{"A": "1"}})
                    os.set_inheritable(descriptor, True)
                    os.execve(f"/proc/self/fd/{{descriptor}}", arguments, {{}})
                except OSError as error:
                    os.write(1, errno.errorcode[error.errno].encode())
                os._exit(1)
            os.close(writing)
            os.waitpid(child, 0)
            return os.read(reading, 100)
        echo = os.open("/bin/echo", os.O_RDONLY)
        assert output(echo, ["echo", "opened"]) == output(echo, ["echo", "opened"], "proc") == b"opened\\n"
        assert output(os.open("/bin/echo", os.O_PATH), ["echo", "path"]) == b"path\\n"
        memory = os.memfd_create("program")
        os.write(memory, open("/bin/echo", "rb").read())
        assert output(memory, ["echo", "memory"]) == output(memory, ["echo", "memory"], "proc") == b"memory\\n"
        os.chdir("{inside(folder)}")
        import shutil
        shutil.copy("/bin/echo", "gone")
        gone = os.open("gone", os.O_RDONLY)
        os.unlink("gone")
        assert output(gone, ["echo", "gone"]) == b"gone\\n"
        script = os.memfd_create("script", 0)
        os.write(script, b"#!/bin/cat\\n")
        assert output(script, ["x"]) == b"#!/bin/cat\\n"
        assert output(os.open("/etc/passwd", os.O_RDONLY), ["x"]) == b"EACCES"
        assert call(322, os.open("/bin", os.O_RDONLY), b"sh", None, None, 0x100) == -errno.ELOOP  # a link, not followed
        assert call(322, -100, b"", None, None, 0) == -errno.ENOENT and call(59, b"/etc", None, None) == -errno.EACCES
        """
    )


def test_modes_of_programs(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        import shutil, subprocess
        os.chmod("{inside(folder)}", 0o755); os.chdir("{inside(folder)}")
        for name, mode in [("only-executed", 0o111), ("of-others", 0o001), ("of-owner", 0o700), ("none", 0o644)]:
            shutil.copy("/bin/true", name); os.chmod(name, mode)
        def runs(name):
            return failure(subprocess.run, [f"./{{name}}"], check=True)
        assert [runs(n) for n in ("only-executed", "of-others", "of-owner", "none")] == [None, None, None, "EACCES"]
        def test():
            assert [runs(n) for n in ("only-executed", "of-others", "of-owner", "none")] == [None, None, "EACCES", "EACCES"]
            assert failure(open, "only-executed") == "EACCES"
        as_user(1000, test)
        """
    )


def test_what_a_program_is_told(trap: Trap, folder: Path, inside: Inside) -> None:
    """Arguments, environment, name, auxiliary vector, and an executable stack where the program asks for one."""
    program = r"""
    #include <stdio.h>
    #include <string.h>
    #include <sys/auxv.h>
    #include <sys/prctl.h>
    extern char **environ;
    int main(int count, char **arguments) {
        char name[17] = "";
        int outer = 41;
        int nested(void) { return outer + 1; }
        int (*volatile pointer)(void) = nested; /* code on the stack */
        prctl(PR_GET_NAME, name);
        printf("%d %s %s %s %d %d\n", count, arguments[count - 1], environ[0], name, pointer(), getauxval(AT_PAGESZ) >= 4096);
        printf("%s %d\n", (char *)getauxval(AT_EXECFN), (int)((unsigned long)__builtin_frame_address(0) % 16));
    }
    """
    outcome = trap.c(program, "last", environment={"ONLY": "this"})
    first, second = outcome.output.splitlines()
    assert first == "2 last ONLY=this program 42 1"
    assert second.startswith("/tmp/c-")
    assert second.endswith("/program 0")
