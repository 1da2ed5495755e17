"""chroot as root, with what mounts give where they can be made, and with device nodes where they cannot."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_roots import Outcome, copied_root, driven, open_folder, small_root

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.getuid() != 0, reason="only root may chroot")]

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_root(tmp_path_factory.mktemp("template") / "root")


@pytest.fixture
def root(template: Path) -> Iterator[Path]:
    with open_folder() as folder:
        yield copied_root(template, folder / "root", owner=0)


@pytest.fixture(params=["chroot-bare", "chroot-mounts"])
def run(root: Path, request: pytest.FixtureRequest) -> Run:
    def in_root(*arguments: str, **fields: Any) -> Outcome:
        return driven(request.param, root, *arguments, **fields)

    return in_root


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Every path with its mode and time of change."""
    return {str(path.relative_to(root)): (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in root.rglob("*")}


def test_owners_are_real(run: Run, root: Path) -> None:
    outcome = run("sh", "-c", "touch /tmp/a; chown bob:staff /tmp/a; chmod 4755 /tmp/a; stat -c %U:%G /tmp/a")
    assert (outcome.output, outcome.owners) == ("bob:staff\n", {})
    status = (root / "tmp/a").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (33, 50, 0o4755)


def test_a_program_is_who_the_image_says_with_its_groups(run: Run, root: Path) -> None:
    outcome = run("sh", "-c", "id; touch /home/jovyan/a; touch /etc/a", identity=[1000, 1000, [50]])
    assert outcome.output.startswith("uid=1000(jovyan) gid=1000(jovyan) groups=1000(jovyan),50(staff)\n")
    assert "Permission denied" in outcome.output
    assert not (root / "etc/a").exists()


def test_devices_are_there_and_gone_afterwards(run: Run, root: Path) -> None:
    before = snapshot(root)
    script = (
        "echo x > /dev/null; head -c 3 /dev/zero; head -c 3 /dev/urandom > /tmp/r; echo y > /dev/shm/y; cat /dev/shm/y"
    )
    outcome = run("sh", "-c", f"{script}; rm /tmp/r; ls -A /dev | head -3", identity=[1000, 1000])
    assert outcome.output == "\0\0\0y\nfd\nfull\nnull\n"
    os.utime(root / "tmp", ns=(0, before["tmp"][1]))
    assert snapshot(root) == before


def test_names_resolve_as_on_this_machine(run: Run, root: Path) -> None:
    before = snapshot(root)
    assert run("cat", "/etc/hosts").output == Path("/etc/hosts").read_text()
    assert snapshot(root) == before


def test_what_a_program_puts_in_the_place_of_what_was_made_stays(run: Run, root: Path) -> None:
    run("sh", "-c", "mkdir /dev/mine 2>/dev/null; rm -f /etc/hosts && echo mine > /etc/hosts; true")
    if (root / "dev").exists():  # without mounts it is the root's own folder
        assert [path.name for path in (root / "dev").iterdir()] == ["mine"]
        assert (root / "etc/hosts").read_text() == "mine\n"


def test_the_working_folder_is_made_and_taken_away(run: Run, root: Path) -> None:
    assert run("sh", "-c", "pwd", working_folder="/srv/new/folder").output == "/srv/new/folder\n"
    assert not (root / "srv").exists()
    assert run("touch", "kept", working_folder="/srv/new").exit_code == 0
    assert (root / "srv/new/kept").exists()


def test_mounts_are_refused_with_the_reason_where_they_cannot_be_made(root: Path, tmp_path: Path) -> None:
    outcome = driven("chroot-bare", root, "true", mounts=[[str(tmp_path), "/mnt/data", False]])
    assert outcome.error == "/mnt/data: cannot be mounted: this process lacks CAP_SYS_ADMIN"
    assert driven("chroot-mounts", root, "ls", "/mnt/data", mounts=[[str(tmp_path), "/mnt/data", False]]).exit_code == 0
    assert not (root / "mnt").exists()


def test_exit_codes_are_a_shells(run: Run, root: Path) -> None:
    (root / "tmp/text").write_text("echo no interpreter\n")
    (root / "tmp/text").chmod(0o755)
    (root / "tmp/script").write_text("#!/no/such/interpreter\n")
    (root / "tmp/script").chmod(0o755)
    answers = {
        name: (outcome.exit_code, outcome.output)
        for name in ("no-such-program", "/no/such", "/etc/passwd", "/etc", "/tmp/text", "/tmp/script", "")
        for outcome in [run(name)]
    }
    assert answers == {
        "no-such-program": (127, "ocibuild: no-such-program: not found\n"),
        "/no/such": (127, "ocibuild: /no/such: no such file\n"),
        "/etc/passwd": (126, "ocibuild: /etc/passwd: cannot be executed: Permission denied\n"),
        "/etc": (126, "ocibuild: /etc: cannot be executed: Permission denied\n"),
        "/tmp/text": (
            126,
            "ocibuild: /tmp/text: cannot be executed: it has no #! line, or is for another processor\n",
        ),
        "/tmp/script": (127, "ocibuild: /tmp/script: its interpreter is not there\n"),
        "": (127, "ocibuild: : not found\n"),
    }
    assert run("sh", "-c", "exit 7").exit_code == 7
    assert run("sh", "-c", "kill -USR1 $$").exit_code == 128 + 10
