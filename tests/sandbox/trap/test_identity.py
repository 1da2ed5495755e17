"""Ids and capabilities, as credentials(7) and capabilities(7) have them, over fork, vfork, threads and execve."""

import os

import pytest

from tests.sandbox.trap.conftest import Trap

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes another user"),
]


def test_a_run_starts_as_who_it_is_told(trap: Trap) -> None:
    assert trap.run("id").output == "uid=0(root) gid=0(root) groups=0(root)\n"
    outcome = trap.run("id", identity=[1000, 1000, [50, 100]])
    assert outcome.output == "uid=1000(jovyan) gid=1000(jovyan) groups=1000(jovyan),50(staff),100(users)\n"


def test_root_becomes_anybody_and_not_back(trap: Trap) -> None:
    trap.python(
        """
        def all_ids():
            return (*os.getresuid(), *os.getresgid())
        def test():
            assert all_ids() == (5,) * 6 and os.getgroups() == [7, 8]
            assert (os.getuid(), os.geteuid(), os.getgid(), os.getegid()) == (5, 5, 5, 5)
            for change in (lambda: os.setuid(0), lambda: os.setresuid(0, -1, -1), lambda: os.setreuid(-1, 0), lambda: os.setgid(0),
                           lambda: os.setresgid(-1, 0, -1), lambda: os.setregid(0, -1), lambda: os.setgroups([])):
                assert failure(change) == "EPERM"
            os.setuid(5); os.setreuid(5, 5); os.setresuid(-1, -1, -1); os.setgid(5)
        as_user(5, test, groups=[7, 8])
        assert all_ids() == (0,) * 6
        """
    )


def test_the_effective_id_comes_and_goes(trap: Trap) -> None:
    trap.python(
        """
        os.seteuid(1000)
        assert os.getresuid() == (0, 1000, 0) and failure(os.mkdir, "/etc/no") == "EACCES"
        os.seteuid(0)
        os.mkdir("/tmp/effective"); os.rmdir("/tmp/effective")
        os.setreuid(1000, 2000)
        assert os.getresuid() == (1000, 2000, 2000)
        os.setreuid(2000, 1000)
        assert os.getresuid() == (2000, 1000, 1000) and failure(os.setuid, 0) == "EPERM"
        """
    )
    trap.python(
        """
        assert call(122, 1000) == 0 and call(122, -1) == 1000  # setfsuid
        assert failure(os.mkdir, "/etc/no") == "EACCES" and os.geteuid() == 0
        assert call(122, 0) == 1000 and call(123, 5) == 0 and call(123, -1) == 5  # setfsgid
        """
    )


def test_capabilities_follow_the_ids(trap: Trap) -> None:
    trap.python(
        """
        def sets():
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            data = (ctypes.c_uint32 * 6)()
            assert call(125, header, data) == 0
            return [f"{data[n]:x}" for n in range(3)]
        full = "a80425fb"
        assert sets() == [full, full, "0"]
        os.seteuid(5); assert sets() == ["0", full, "0"]
        os.seteuid(0); assert sets() == [full, full, "0"]
        assert libc.prctl(23, 21) == 0 and libc.prctl(23, 0) == 1 and libc.prctl(23, 99) == -1  # PR_CAPBSET_READ
        assert libc.prctl(8, 1) == 0 and libc.prctl(7) == 1  # PR_SET_KEEPCAPS
        os.setresuid(5, 5, 5); assert sets() == ["0", full, "0"]
        header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(0x80, 0x80, 0, 0, 0, 0)
        assert call(126, header, data) == 0 and sets() == ["80", "80", "0"]  # capset: CAP_SETUID alone
        data[0] = data[1] = 0x81
        assert call(126, header, data) == -errno.EPERM
        os.setuid(7)
        assert call(125, (ctypes.c_uint32 * 2)(1, 0), None) == 0  # asks for the version
        assert libc.prctl(39, 0, 0, 0, 0) == 0 and libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(39, 0, 0, 0, 0) == 1
        """
    )


def test_ids_pass_over_execve_and_set_id_programs_change_them(trap: Trap) -> None:
    outcome = trap.shell(
        """
        cp /usr/bin/python3 /tmp/set-id; chown 33:44 /tmp/set-id; chmod 4755 /tmp/set-id
        show='import os, ctypes; print(os.getresuid(), os.getresgid(), ctypes.CDLL(None).getauxval(23), ctypes.CDLL(None).getauxval(12))'
        setpriv --reuid 1000 --regid 1001 --clear-groups python3 -c "$show"
        setpriv --reuid 1000 --regid 1001 --clear-groups /tmp/set-id -c "$show"
        setpriv --reuid 1000 --regid 1001 --clear-groups sh -c "sh -c '/tmp/set-id -c \\"$show\\"'"
        setpriv --reuid 1000 --clear-groups --no-new-privs /tmp/set-id -c "$show"
        chmod 2755 /tmp/set-id; setpriv --reuid 1000 --regid 1001 --clear-groups /tmp/set-id -c "$show"; rm /tmp/set-id
        """
    )
    assert outcome.output.splitlines() == [
        "(1000, 1000, 1000) (1001, 1001, 1001) 0 1000",
        "(1000, 33, 33) (1001, 1001, 1001) 1 33",
        "(1000, 33, 33) (1001, 1001, 1001) 1 33",
        "(1000, 1000, 1000) (0, 0, 0) 0 1000",
        "(1000, 1000, 1000) (1001, 44, 44) 1 1000",
    ]


def test_su_sudo_and_accounts(trap: Trap) -> None:
    outcome = trap.shell(
        """
        trap 'userdel -rf ann 2>/dev/null; rm -f /etc/sudoers.d/ann' EXIT
        useradd -m -s /bin/bash ann; stat -c %U:%G /home/ann /home/ann/.bashrc
        su ann -c 'id -un; echo x > ~/f; stat -c %U ~/f; ! touch /etc/ann 2>/dev/null; ! cat /etc/shadow 2>/dev/null'
        su - ann -c 'echo $HOME; pwd'
        (su ann -c 'sudo -n id -un' 2>&1 || true) | tail -1
        echo 'ann ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ann; chmod 440 /etc/sudoers.d/ann
        su ann -c 'sudo -n id -un; sudo -n -u daemon id -un; sudo -n sh -c "echo \\$SUDO_USER \\$(id -u)"'
        """
    )
    assert outcome.output.splitlines() == [
        *("ann:ann", "ann:ann", "ann", "ann", "/home/ann", "/home/ann"),
        "sudo: a password is required",
        *("root", "daemon", "ann 0"),
    ]


def test_a_child_that_shares_memory_has_ids_of_its_own(trap: Trap) -> None:
    """vfork(2): the child changes its ids, root and folder, and the parent keeps its own."""
    program = r"""
    #include <grp.h>
    #include <stdio.h>
    #include <sys/wait.h>
    #include <unistd.h>
    int main(void) {
        for (int round = 0; round < 200; round++) {
            pid_t child = vfork();
            if (child == 0) {
                gid_t group = 7;
                if (setgroups(1, &group) || setgid(5) || setuid(1000 + round) || getuid() != 1000 + (uid_t)round) _exit(1);
                if (setuid(0) == 0) _exit(2);
                execl("/bin/sh", "sh", "-c", "test $(id -u) = $0 && test $(id -G | wc -w) = 2", "none", NULL);
                _exit(3);
            }
            int status;
            waitpid(child, &status, 0);
            if (WEXITSTATUS(status) == 2 || WEXITSTATUS(status) == 3 || getuid() || getgid() || getgroups(0, NULL)) return 1;
        }
        puts("kept");
    }
    """
    assert trap.c(program).output == "kept\n"


def test_the_kernels_own_ids_are_shown_nowhere(trap: Trap) -> None:
    outcome = trap.shell(
        """
        grep -E '^(Uid|Gid|Groups|CapEff|NoNewPrivs|Seccomp):' /proc/self/status
        setpriv --reuid 5 --regid 6 --groups 7,8 grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status
        ps -o uid,args -p $$ | tail -1; stat -c %U /proc/self /proc/$$
        """
    )
    shown = [" ".join(line.split()) for line in outcome.output.splitlines()]
    assert shown == [
        "Uid: 0 0 0 0", "Gid: 0 0 0 0", "Groups:", "CapEff: 00000000a80425fb", "NoNewPrivs: 0", "Seccomp: 0",
        "Uid: 5 5 5 5", "Gid: 6 6 6 6", "Groups: 7 8", "CapEff: 0000000000000000",
        shown[10], "root", "root",
    ]  # fmt: skip
    assert shown[10].startswith("0 bash -euo pipefail -c")
