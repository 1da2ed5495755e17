"""Owners, modes and attributes: recorded by inode, shown at once, and told when the run has ended."""

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


def test_chown_is_shown_and_told(trap: Trap, folder: Path, inside: Inside) -> None:
    outcome = trap.shell(
        f"""
        cd {inside(folder)}; mkdir d; touch f g; ln -s f l; ln f hard; mkfifo p
        chown daemon:staff d; chown 5 f; chgrp 7 f; chown -h 8:9 l; chown 1:2 p
        stat -c '%n %u %g' d f hard g l p; ls -ln f | cut -d' ' -f3,4; find . -uid 5 | sort | tr '\\n' ' '
        """
    )
    assert outcome.output == "d 1 50\nf 5 7\nhard 5 7\ng 0 0\nl 8 9\np 1 2\n5 7\n./f ./hard "
    named = {name: outcome.owner_of(folder / name) for name in ("d", "f", "g", "l", "p")}
    assert named == {"d": (1, 50), "f": (5, 7), "g": None, "l": (8, 9), "p": (1, 2)}
    assert len(outcome.owners) == 4


def test_owners_known_before_are_shown_and_not_told_again(trap: Trap, folder: Path, inside: Inside) -> None:
    for name in ("kept", "changed", "removed"):
        (folder / name).touch()
    give(folder)
    script = f"cd {inside(folder)}; touch kept changed removed; chown 3:4 kept changed removed"
    owners = [[*key, *owner] for key, owner in trap.shell(script).owners.items()]
    outcome = trap.shell(
        f"cd {inside(folder)}; stat -c %u:%g *; chown 0:0 changed; rm removed; touch new; stat -c %u:%g *",
        owners=owners,
    )
    assert outcome.output == "3:4\n3:4\n3:4\n0:0\n3:4\n0:0\n"
    assert outcome.owners == dict.fromkeys(outcome.owners, (0, 0))
    assert outcome.owner_of(folder / "changed") == (0, 0)


def test_files_belong_to_who_makes_them(trap: Trap, folder: Path, inside: Inside) -> None:
    folder.chmod(0o777)
    outcome = trap.shell(
        f"""
        cd {inside(folder)}; touch root; mkdir -m 2777 team; chown :50 team
        setpriv --reuid 1000 --regid 1001 --clear-groups sh -c '
            touch user team/file; mkdir dir team/dir; ln -s x link; mkfifo pipe; cp /bin/true copy; echo x >> user
            python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\\"socket\\")"'
        stat -c '%n %u %g' *; stat -c '%n %u %g %a' team/*
        """
    )
    owned = ["copy", "dir", "link", "pipe", "socket", "user"]
    shown = [
        f"{name} {'1000 1001' if name in owned else '0 50' if name == 'team' else '0 0'}"
        for name in sorted([*owned, "root", "team"])
    ]
    assert outcome.output.splitlines() == [*shown, "team/dir 1000 50 2755", "team/file 1000 50 644"]
    assert {name: outcome.owner_of(folder / name) for name in owned} == dict.fromkeys(owned, (1000, 1001))
    assert outcome.owner_of(folder / "team/file") == (1000, 50)
    assert outcome.owner_of(folder / "root") is None


def test_what_another_than_the_first_user_makes_is_told(trap: Trap, folder: Path, inside: Inside) -> None:
    folder.chmod(0o777)
    outcome = trap.shell(
        f"touch {inside(folder)}/mine; chown 1000:50 {inside(folder)}/mine", identity=[1000, 1000, [50]]
    )
    assert outcome.owner_of(folder / "mine") == (1000, 50)
    trap.shell("echo 'jovyan ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/test; chmod 440 /etc/sudoers.d/test")
    try:
        outcome = trap.shell(
            f"cd {inside(folder)}; sudo touch root; sudo touch given; sudo chown 1000:1000 given; sudo rm mine; stat -c %U *",
            identity=[1000, 1000],
        )
    finally:
        trap.run("rm", "/etc/sudoers.d/test")
    assert outcome.output == "jovyan\nroot\n"
    assert (outcome.owner_of(folder / "root"), outcome.owner_of(folder / "given")) == ((0, 0), (1000, 1000))


def test_a_number_used_again_shows_no_old_owner(trap: Trap, folder: Path, inside: Inside) -> None:
    """Removing by unlink, rmdir and renaming over forgets; a name of two does not."""
    outcome = trap.shell(
        f"""
        cd {inside(folder)}
        for n in $(seq 300); do touch a$n; chown 5:5 a$n; rm a$n; mkdir b; chown 6:6 b; rmdir b; done
        touch new old; chown 7:7 old; mv new old; touch one; ln one two; chown 8:8 one; rm one
        touch $(seq 100); stat -c %u:%g [0-9]* old | sort -u; stat -c %u:%g two
        """
    )
    assert outcome.output == "0:0\n8:8\n"
    assert set(outcome.owners.values()) == {(8, 8)}


def test_mode_bits_that_lend_an_identity(trap: Trap, folder: Path, inside: Inside) -> None:
    outcome = trap.shell(
        f"""
        cd {inside(folder)}; cp /usr/bin/id id; chmod 6755 id; stat -c %a id; chown 1000:50 id; stat -c %a id
        chmod 6755 id; ./id -u; ./id -ru; ./id -g; chmod 1777 .; chmod 2711 .; stat -c %a . id
        setpriv --no-new-privs ./id -u
        """
    )
    assert outcome.output == "6755\n755\n1000\n0\n50\n2711\n6755\n0\n"
    assert (folder / "id").stat().st_mode & 0o7777 == 0o6755


def test_attributes_of_a_real_root_are_recorded(trap: Trap, folder: Path, inside: Inside) -> None:
    outcome = trap.shell(
        f"""
        cd {inside(folder)}; cp /bin/true reader; setcap cap_net_raw+ep reader; getcap reader
        cp reader other; setfattr -n user.note -v mine other; getfattr -m - -d other
        setfattr -n trusted.x -v secret other; getfattr --absolute-names -n trusted.x --only-values other; echo
        python3 -c 'import os; print(sorted(os.listxattr("other")), os.listxattr("reader"))'
        setfattr -x trusted.x other; ! getfattr -n trusted.x other 2>/dev/null
        touch gone; setcap cap_chown+p gone; rm gone
        setpriv --reuid 1000 --clear-groups setcap cap_chown+p reader || echo refused
        """
    )
    assert outcome.output.replace("\n\n", "\n") == (
        'reader cap_net_raw=ep\n# file: other\nuser.note="mine"\nsecret\n'
        "['trusted.x', 'user.note'] ['security.capability']\n"
        "unable to set CAP_SETFCAP effective capability: Operation not permitted\nrefused\n"
    )
    (attributes,) = outcome.attributes.values()
    assert attributes == {"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")}
    (key,) = outcome.attributes
    assert key[0] == (folder / "reader").stat().st_ino


def test_root_is_not_bound_by_modes(trap: Trap, folder: Path, inside: Inside) -> None:
    outcome = trap.shell(
        f"""
        cd {inside(folder)}; mkdir -p a/b; echo x > a/b/f; cp /bin/echo a/b/e; chmod 0 a/b/f; chmod 111 a/b/e
        chmod 555 a/b; chmod 0 a; cat a/b/f; a/b/e ran; echo y >> a/b/f; touch a/b/new; mkdir a/new; mv a/b/new a/new/
        mv a/new a/b/moved; ln a/b/f a/b/hard; stat -c '%n %a' a a/b a/b/f; ls a/b; (cd a/b/moved; pwd; touch here); rm a/b/hard
        test -r a/b/f && test -w a/b && ! test -x a/b/f && cat a/b/f; find . | wc -l
        """
    )
    assert outcome.output == (
        f"x\nran\na 0\na/b 555\na/b/f 0\ne\nf\nhard\nmoved\n{inside(folder)}/a/b/moved\nx\ny\n8\n"
    ), outcome.output
    assert folder.joinpath("a").stat().st_mode & 0o7777 == 0


def test_a_killed_process_leaves_modes_as_they_were(trap: Trap, folder: Path, inside: Inside) -> None:
    """Hundreds of processes that change what they may not are killed at any moment."""
    trap.shell(
        f"""
        cd {inside(folder)}; mkdir d; chmod 555 d
        for n in $(seq 60); do
            (while :; do : > d/f; rm d/f; done) 2>/dev/null & p=$!; sleep 0.0$((RANDOM % 10)); kill -9 $p
            wait $p 2>/dev/null || true
        done
        """,
        timeout_seconds=120,
    )
    assert (folder / "d").stat().st_mode & 0o7777 == 0o555


def test_others_are_bound_by_recorded_owners_and_modes(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        os.chdir("{inside(folder)}"); os.chmod(".", 0o755)
        def make(name, mode, uid=0, gid=0, folder=False):
            os.mkdir(name) if folder else open(name, "w").close()
            os.chown(name, uid, gid); os.chmod(name, mode)
        make("public", 0o644); make("secret", 0o600); make("group", 0o040, gid=50); make("mine", 0o600, 1000, 1000)
        make("denied", 0o077, 1000); make("home", 0o755, 1000, folder=True); make("sticky", 0o1777, folder=True)
        make("closed", 0o700, folder=True); make("listed", 0o744, folder=True); make("drop", 0o733, folder=True)
        make("closed/inner", 0o666); make("sticky/of-root", 0o666); make("sticky/mine", 0o666, 1000); make("listed/f", 0o666)
        def test():
            read, write = os.O_RDONLY, os.O_WRONLY
            os.open("public", read); os.open("group", read); os.open("mine", os.O_RDWR)
            for name, flags in [("public", write), ("secret", read), ("group", write), ("denied", read), ("closed/inner", read), ("listed/f", read)]:
                assert failure(os.open, name, flags) == "EACCES", name
            assert failure(os.stat, "closed/inner") == failure(os.listdir, "closed") == failure(os.chdir, "closed") == "EACCES"
            assert os.listdir("listed") and failure(os.stat, "listed/f") == "EACCES" and failure(os.listdir, "drop") == "EACCES"
            for change in (lambda: open("new", "w"), lambda: os.mkdir("new"), lambda: os.symlink("x", "new"), lambda: os.link("mine", "new"),
                           lambda: os.unlink("public"), lambda: os.rename("public", "other"), lambda: os.rename("home", "home2"),
                           lambda: os.mkfifo("new"), lambda: os.rmdir("drop"), lambda: os.truncate("public", 0)):
                assert failure(change) == "EACCES", change.__code__.co_firstlineno
            assert failure(os.unlink, "sticky/of-root") == failure(os.rename, "sticky/of-root", "home/x") == "EPERM"
            os.unlink("sticky/mine"); open("sticky/new", "w"); open("home/new", "w"); open("drop/new", "w"); os.rename("home/new", "home/newer")
            assert failure(os.chmod, "public", 0o666) == failure(os.utime, "public", (1, 1)) == failure(os.chown, "mine", 0, -1) == "EPERM"
            assert failure(os.utime, "public") == "EACCES" and failure(os.chown, "mine", -1, 7) == "EPERM"
            os.chmod("mine", 0o640); os.utime("mine", (1, 1)); os.chown("mine", -1, 50); os.chown("mine", 1000, 50)
            assert os.access("group", os.R_OK) and not os.access("group", os.W_OK) and not os.access("secret", os.R_OK)
            assert failure(os.setxattr, "public", "user.x", b"") == failure(os.chown, "home", 0, 0, ) .replace("EPERM", "EACCES") == "EACCES"
        as_user(1000, test, groups=[50])
        """
    )


def test_links_to_a_forbidden_place_are_forbidden(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        os.chdir("{inside(folder)}"); os.mkdir("closed"); open("closed/f", "w"); os.chmod("closed", 0o700); os.symlink("closed/f", "link")
        os.symlink("/root", "home"); os.mkdir("open"); os.chmod("/root", 0o700)
        def test():
            assert failure(open, "link") == "EACCES" and failure(os.listdir, "home") == "EACCES"
            assert failure(open, "open/../closed/f") == "EACCES" and os.readlink("link") == "closed/f"
        as_user(1000, test)
        """
    )
