"""A user name space of one id: everything looks done, and owners are noted by inode."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_roots import ORDINARY_USER, Outcome, copied_root, driven, open_folder, small_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user"),
]

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_root(tmp_path_factory.mktemp("template") / "root")


@pytest.fixture(params=[ORDINARY_USER, 0], ids=["ordinary user", "root"])
def user(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def root(template: Path, user: int) -> Iterator[Path]:
    with open_folder() as folder:
        yield copied_root(template, folder / "root", owner=user)


@pytest.fixture(params=["one-id", "one-id-without-processes"])
def run(root: Path, user: int, request: pytest.FixtureRequest) -> Run:
    def in_root(*arguments: str, **fields: Any) -> Outcome:
        return driven(request.param, root, *arguments, user=user, **fields)

    return in_root


def test_a_program_is_who_the_image_says(run: Run) -> None:
    assert run("sh", "-c", "id -u; id -g").output == "0\n0\n"
    assert run("sh", "-c", "id -un; id -gn", identity=[1000, 1000]).output == "jovyan\njovyan\n"


def test_chown_is_noted_by_inode_and_the_file_stays_this_users(run: Run, root: Path, user: int) -> None:
    script = """
        set -e
        touch /tmp/a /tmp/b /tmp/c; ln -s a /tmp/link
        chown bob:staff /tmp/a; chown -h 7:8 /tmp/link; chgrp 50 /tmp/b
        perl -e 'open(F, ">", "/tmp/d"); chown(5, 6, *F) or die $!'
        chown 0:0 /tmp/c
    """
    outcome = run("sh", "-c", script)
    assert (outcome.exit_code, outcome.output) == (0, "")
    noted = {path.name: outcome.owner_of(path) for path in (root / "tmp").iterdir()}
    assert noted == {"a": (33, 50), "b": (-1, 50), "c": (0, 0), "d": (5, 6), "link": (7, 8)}
    assert {path.lstat().st_uid for path in (root / "tmp").iterdir()} == {user}
    assert all(birth > 0 for _, birth in outcome.owners)


def test_a_chown_that_would_fail_fails(run: Run) -> None:
    script = """
        chown bob /nothing; chown bob /etc/passwd/x; ln -s loop /tmp/loop; chown bob /tmp/loop
        chown bob /sys/kernel; perl -e '$! = 0; chown(1, 1, ""); print "$!\\n"'
    """
    outcome = run("sh", "-c", script)
    assert outcome.owners == {}
    assert [line.rpartition(": ")[2] for line in outcome.output.splitlines()] == [
        "No such file or directory",
        "Not a directory",
        "Too many levels of symbolic links",
        "Read-only file system",
        "No such file or directory",
    ]


def test_links_lead_nowhere_but_into_the_root(run: Run, root: Path) -> None:
    (root / "tmp/passwd").symlink_to("/etc/passwd")
    (root / "tmp/up").symlink_to("../../../../../../etc")
    script = "cd /tmp; chown bob passwd; chown bob up/group; cd /home/jovyan; chown 3 ../../../../tmp"
    outcome = run("sh", "-c", script)
    assert outcome.output == ""
    assert outcome.owner_of(root / "etc/passwd") == (33, 0)
    assert outcome.owner_of(root / "etc/group") == (33, 0)
    assert outcome.owner_of(root / "tmp") == (3, 0)
    assert Path("/etc/passwd").stat().st_uid == 0


def test_a_program_in_a_chroot_of_its_own_names_files_there(run: Run, root: Path, user: int) -> None:
    for name in ("inner/usr", "inner/etc"):
        (root / name).mkdir(parents=True)
    subprocess.run(["cp", "-a", root / "usr", root / "inner"], check=True)
    for name in ("bin", "lib", "lib64"):
        (root / "inner" / name).symlink_to(f"usr/{name}")
    (root / "inner/etc/file").write_text("")
    subprocess.run(["chown", "-R", f"{user}:{user}", root / "inner"], check=True)
    code = "chroot('/inner') or die $!; exec('chown', '9:9', '/etc/file')"
    outcome = run("perl", "-e", code)
    assert outcome.output == ""
    assert outcome.owner_of(root / "inner/etc/file") == (9, 9)


def test_set_id_bits_go_as_the_kernel_has_it(run: Run, root: Path) -> None:
    run(
        "sh",
        "-c",
        "touch /tmp/a; chmod 6755 /tmp/a; chown bob /tmp/a; touch /tmp/b; chown bob /tmp/b; chmod 4755 /tmp/b",
    )
    assert (root / "tmp/a").stat().st_mode & 0o7777 == 0o755
    assert (root / "tmp/b").stat().st_mode & 0o7777 == 0o4755


def test_becoming_another_user_succeeds_for_root(run: Run) -> None:
    outcome = run("setpriv", "--reuid=33", "--regid=34", "--clear-groups", "sh", "-c", "echo went on")
    assert (outcome.exit_code, outcome.output) == (0, "went on\n")


def test_an_ordinary_user_may_only_do_what_is_his(run: Run, root: Path) -> None:
    known = root / "etc/passwd"
    mine = root / "home/jovyan/old"
    mine.write_text("")
    os.chown(mine, known.stat().st_uid, known.stat().st_gid)
    owners = [[mine.stat().st_ino, 0, 1000, 1000]]
    script = """
        cd /home/jovyan; touch new; chgrp staff new; chown jovyan: new
        chown bob new; chown jovyan /etc/passwd; chgrp 34 new
        setpriv --reuid=33 true
    """
    outcome = run("sh", "-c", script, identity=[1000, 1000, [50]], owners=owners)
    refused = [line for line in outcome.output.splitlines() if "Operation not permitted" in line]
    assert [line.split("'")[1] for line in refused if "'" in line] == ["new", "/etc/passwd", "new"]
    assert "setresuid failed" in outcome.output
    assert outcome.owner_of(root / "home/jovyan/new") == (1000, 1000)
    assert outcome.owner_of(known) is None


def test_capabilities_of_files_are_noted(run: Run, root: Path) -> None:
    outcome = run("sh", "-c", "cp /bin/true /tmp/ping; setcap cap_net_raw+ep /tmp/ping; chown bob /tmp/ping.x; true")
    (noted,) = outcome.attributes.items()
    assert noted[0][0] == (root / "tmp/ping").stat().st_ino
    # linux/capability.h: revision 2 with the effective bit, cap_net_raw (13) permitted.
    assert noted[1] == {"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")}
    assert os.listxattr(root / "tmp/ping") == []
    gone = run("sh", "-c", "cp /bin/true /tmp/p; setcap cap_net_raw+ep /tmp/p; chown bob /tmp/p")
    assert gone.attributes == {}
    removed = run("sh", "-c", "cp /bin/true /tmp/q; setcap cap_net_raw+ep /tmp/q && setcap -r /tmp/q")
    assert (removed.output, removed.attributes) == ("", {})


def test_apt_is_told_that_it_cannot_become_another_user(run: Run, root: Path, user: int) -> None:
    (root / "etc/apt/apt.conf.d").mkdir(parents=True)
    subprocess.run(["chown", "-R", f"{user}:{user}", root / "etc/apt"], check=True)
    assert 'APT::Sandbox::User "root";\n' in run("sh", "-c", "cat /etc/apt/apt.conf.d/*").output
    assert list((root / "etc/apt/apt.conf.d").iterdir()) == []


def test_device_nodes_are_refused(run: Run) -> None:
    outcome = run("sh", "-c", "mknod /tmp/null c 1 3; mkfifo /tmp/fifo && echo fifo")
    assert outcome.output == "mknod: /tmp/null: Operation not permitted\nfifo\n"


def test_many_at_once_are_all_noted(run: Run, root: Path) -> None:
    script = (
        "for i in $(seq 8); do (for j in $(seq 20); do touch /tmp/$i.$j; chown $i:$j /tmp/$i.$j; done) & done; wait"
    )
    outcome = run("sh", "-c", script)
    expected = {f"{i}.{j}": (i, j) for i in range(1, 9) for j in range(1, 21)}
    assert {path.name: outcome.owner_of(path) for path in (root / "tmp").iterdir()} == expected


def test_a_path_that_changes_during_the_call_is_never_noted_wrongly(run: Run, root: Path) -> None:
    """A link is turned to and fro while it is chowned: what is noted is one of the two, as the kernel would have it."""
    script = """
        touch /tmp/one /tmp/other
        (for i in $(seq 300); do ln -sf one /tmp/l.$i; mv -T /tmp/l.$i /tmp/link; ln -sf other /tmp/m; mv -T /tmp/m /tmp/link; done) &
        perl -e 'my $n = 0; for (1..3000) { $n += chown(21, 22, "/tmp/link") } print "$n\\n"'
        wait
    """
    outcome = run("sh", "-c", script)
    assert int(outcome.output) > 0
    assert set(outcome.owners.values()) == {(21, 22)}
    there = {(root / "tmp/one").stat().st_ino, (root / "tmp/other").stat().st_ino}
    assert {inode for inode, _ in outcome.owners} <= there


def test_what_is_mounted_is_not_the_roots(run: Run, tmp_path: Path, user: int) -> None:
    with open_folder() as outside:
        (outside / "file").write_text("")
        subprocess.run(["chown", "-R", f"{user}:{user}", outside], check=True)
        outcome = run("chown", "bob", "/mnt/data/file", mounts=[[str(outside), "/mnt/data", True]])
        assert (outcome.exit_code, outcome.output, outcome.owners) == (0, "", {})
        assert (outside / "file").stat().st_uid == user
