"""Roots that would lead a runtime astray, on every rung that mounts, and what a step leaves behind."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_roots import ORDINARY_USER, Outcome, copied_root, driven, open_folder, small_root

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.getuid() != 0, reason="only root can have all rungs at once")]

Run = Callable[..., Outcome]
USERS = {"sub-ids": 0, "one-id": ORDINARY_USER, "chroot-mounts": 0}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_root(tmp_path_factory.mktemp("template") / "root")


@pytest.fixture(params=USERS)
def rung(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(template: Path, rung: str) -> Iterator[Path]:
    with open_folder() as folder:
        yield copied_root(template, folder / "root", owner=USERS[rung])


@pytest.fixture
def run(root: Path, rung: str) -> Run:
    def in_root(*arguments: str, **fields: Any) -> Outcome:
        subprocess.run(["chown", "-Rh", f"{USERS[rung]}:{USERS[rung]}", root], check=True)
        return driven(rung, root, *arguments, user=USERS[rung], **fields)

    return in_root


def paths_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder of this machine that a root's links point at."""
    with open_folder() as folder:
        folder.chmod(0o777)
        yield folder


def test_links_in_the_way_of_a_mount_stay_in_the_root(run: Run, root: Path, outside: Path, tmp_path: Path) -> None:
    (root / "mnt").symlink_to(outside)
    (root / "loop").symlink_to("../../../../../../../..")
    (root / "etc/resolv.conf").symlink_to(f"{outside}/resolv.conf")
    before = paths_of(root)
    with open_folder() as shared:
        (shared / "file").write_text("shared\n")
        mounts = [[str(shared), "/mnt/data", False], [str(shared), "/loop/srv/../srv/x", False]]
        script = "cat /mnt/data/file /srv/x/file; head -1 /etc/resolv.conf; echo > /dev/null; cat /proc/self/comm"
        outcome = run("sh", "-c", script, mounts=mounts)
    first = Path("/etc/resolv.conf").read_text().splitlines()[0]
    assert (outcome.error, outcome.output.splitlines()) == ("", ["shared", "shared", first, "cat"])
    assert list(outside.iterdir()) == []
    assert paths_of(root) == before


@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
def test_a_link_in_the_place_of_a_system_folder_is_refused(run: Run, root: Path, outside: Path, name: str) -> None:
    (root / name).symlink_to(outside)
    before = paths_of(root)
    outcome = run("true")
    assert f"mounting /{name}, which is a link in this root: Too many levels of symbolic links [ELOOP]" in outcome.error
    assert list(outside.iterdir()) == []
    assert paths_of(root) == before


def test_loops_in_the_way_are_errors_that_name_the_call(run: Run, root: Path, outside: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    before = paths_of(root)
    outcome = run("true", mounts=[[str(outside), "/a/x", False]])
    assert outcome.error.startswith("entering the root: ")
    assert paths_of(root) == before


def test_a_file_where_a_folder_is_to_be_mounted(run: Run, root: Path, outside: Path) -> None:
    outcome = run("true", mounts=[[str(outside), "/etc/passwd", False]])
    assert f"bind-mounting {outside} at /etc/passwd: Not a directory [ENOTDIR]" in outcome.error


def test_what_a_step_moves_away_is_not_removed_elsewhere(run: Run, root: Path, outside: Path) -> None:
    """The folder in which a place to mount on was made becomes a link to somewhere else."""
    (root / "srv").mkdir()
    (outside / "data").mkdir()
    script = f"mv /srv /gone; ln -s {outside} /srv"
    outcome = run("sh", "-c", script, mounts=[[str(outside), "/srv/deep/data", True]])
    assert outcome.error == ""
    assert [path.name for path in outside.iterdir()] == ["data"]


def test_without_a_network_there_is_a_loopback_of_its_own(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=_accept, args=(server,), daemon=True).start()
        probe = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached || echo not reached"
        assert run("bash", "-c", probe).output == "reached\n"
        assert run("bash", "-c", f"({probe}) 2>/dev/null || echo not reached", network=False).output == "not reached\n"
    # Nobody listens there: a loopback that is down would say "Network is unreachable".
    assert "Connection refused" in run("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9", network=False).output


def _accept(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return


def test_a_root_on_a_noexec_mount_is_refused_with_the_way_out(rung: str, template: Path) -> None:
    with open_folder() as folder:
        script = f'mount -t tmpfs -o noexec,mode=777 tmpfs {folder} && cp -a {template} {folder}/root && exec "$@"'
        outcome = driven(rung, folder / "root", "true", within=["unshare", "--mount", "sh", "-c", script, "sh"])
    assert outcome.error.endswith("lies on a file system that is mounted noexec: no program in it can be run")
    assert outcome.hint == "set OCIBUILD_STORE to a folder on another file system"


def test_hidden_machine(run: Run, root: Path) -> None:
    """Nothing of this machine's tree can be reached, by a descriptor, /proc or a second chroot."""
    (root / "x").mkdir()
    script = """
        ls -A / | grep -c work; cat /proc/1/root/etc/hostname 2>&1; ls /proc/self/fd | wc -l
        perl -e 'chroot("/x"); chdir("..") for 1..50; chroot("."); print -e "/opt" ? "out\\n" : "in\\n"'
    """
    outcome = run("sh", "-c", script)
    assert "out\n" not in outcome.output
    assert "in\n" in outcome.output
    if Path("/etc/hostname").exists():
        assert Path("/etc/hostname").read_text() not in outcome.output
