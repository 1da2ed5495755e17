"""A user name space of many ids: an ordinary user's, with delegated ones, and root's own."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_roots import (
    ORDINARY_USER,
    Outcome,
    copied_root,
    driven,
    open_folder,
    small_root,
    with_delegated_ids,
)

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can delegate ids"),
    pytest.mark.skipif(shutil.which("newuidmap") is None, reason="newuidmap is not installed"),
]

FIRST = 300_000
DELEGATED = f"somebody:100000:65536\nordinary:{FIRST}:60000\n{ORDINARY_USER}:500000:70000\n"

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_root(tmp_path_factory.mktemp("template") / "root")


@pytest.fixture(params=["ordinary user", "root"])
def user(request: pytest.FixtureRequest) -> int:
    return ORDINARY_USER if request.param == "ordinary user" else 0


@pytest.fixture
def root(template: Path, user: int) -> Iterator[Path]:
    with open_folder() as folder:
        yield copied_root(template, folder / "root", owner=user)


@pytest.fixture
def run(root: Path, user: int, tmp_path: Path) -> Run:
    def in_root(*arguments: str, **fields: Any) -> Outcome:
        within = with_delegated_ids(tmp_path, DELEGATED) if user else ()
        return driven("sub-ids", root, *arguments, within=within, **fields)

    return in_root


def on_disk(user: int, inside: int) -> int:
    """The id of this machine that an id of the image is."""
    if user == 0:
        return inside
    if inside == 0:
        return user
    return FIRST + inside - 1 if inside <= 60000 else 500_000 + inside - 60001


def test_owners_are_real(run: Run, root: Path, user: int) -> None:
    script = "cd /tmp; touch a b; chown bob:staff a; chown 65534:65534 b; stat -c %u:%g a b /etc/passwd"
    outcome = run("sh", "-c", script)
    assert (outcome.output, outcome.owners) == ("33:50\n65534:65534\n0:0\n", {})
    owners = [(status.st_uid, status.st_gid) for status in ((root / "tmp/a").stat(), (root / "tmp/b").stat())]
    assert owners == [(on_disk(user, 33), on_disk(user, 50)), (on_disk(user, 65534), on_disk(user, 65534))]


def test_a_program_is_who_the_image_says_and_may_not_more(run: Run, root: Path, user: int) -> None:
    (root / "home/jovyan").chmod(0o777)
    script = "id; touch /etc/x; touch /home/jovyan/a; chown bob /home/jovyan/a; chgrp staff /home/jovyan/a; stat -c %U:%G /home/jovyan/a"
    outcome = run("sh", "-c", script, identity=[1000, 1000, [50]])
    assert outcome.output.splitlines() == [
        "uid=1000(jovyan) gid=1000(jovyan) groups=1000(jovyan),50(staff)",
        "touch: cannot touch '/etc/x': Permission denied",
        "chown: changing ownership of '/home/jovyan/a': Operation not permitted",
        "jovyan:staff",
    ]
    assert (root / "home/jovyan/a").stat().st_uid == on_disk(user, 1000)


def test_becoming_another_user_is_real(run: Run, root: Path) -> None:
    script = "setpriv --reuid=33 --regid=34 --init-groups sh -c 'id -un; touch /tmp/bobs; stat -c %U:%G /tmp/bobs'"
    assert run("sh", "-c", script).output == "bob\nbob:bobs\n"


def test_files_of_other_ids_are_kept_from_outside(run: Run, root: Path) -> None:
    run("sh", "-c", "mkdir -m 700 /tmp/private; touch /tmp/private/file; chown -R bob:bobs /tmp/private")
    private = root / "tmp/private"
    kept = run("sh", "-c", f"stat -c %u:%g {private}/file; chown 50:50 {private}/file; rm -r {private}", is_kept=True)
    assert (kept.exit_code, kept.output) == (0, "33:34\n")
    assert not private.exists()


def test_this_machines_settings_cannot_be_changed(run: Run) -> None:
    script = "cat /proc/sys/vm/swappiness > /tmp/s; cat /tmp/s > /proc/sys/vm/swappiness; touch /sys/x"
    outcome = run("sh", "-c", script)
    assert "cannot create /proc/sys/vm/swappiness" in outcome.output
    assert "touch: cannot touch '/sys/x': " in outcome.output


def test_what_cannot_be_mapped_is_told_with_the_way_out(root: Path, template: Path, tmp_path: Path) -> None:
    for ranges, reason in (
        ("ordinary:100000:500\n", "only 500"),
        ("", "no"),
        ("ordinary:x:y\nordinary\n:::\n", "no"),
    ):
        outcome = driven("sub-ids", root, "true", within=with_delegated_ids(tmp_path, ranges))
        assert outcome.error == (
            f"the sandbox sub-ids does not work here: {reason} ids are delegated to ordinary "
            "(/etc/subuid, /etc/subgid, getsubids)"
        )
        assert outcome.hint == "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ordinary"


def test_newuidmap_without_power_is_told(root: Path, tmp_path: Path) -> None:
    within = [*with_delegated_ids(tmp_path, DELEGATED), "setpriv", "--no-new-privs"]
    outcome = driven("sub-ids", root, "true", within=within)
    assert "newuidmap" in outcome.error
    assert outcome.error.endswith("this process has no_new_privs: set-user-id programs have no power in it")


def test_a_missing_newuidmap_is_told(root: Path, tmp_path: Path) -> None:
    within = [*with_delegated_ids(tmp_path, DELEGATED), "env", f"PATH={tmp_path}"]
    outcome = driven("sub-ids", root, "true", within=within)
    assert outcome.error.endswith("No such file or directory [ENOENT]: newuidmap is not installed")
    assert outcome.hint == "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)"
