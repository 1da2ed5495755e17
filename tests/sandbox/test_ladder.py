"""Which rungs work where, and why others do not: in imitated places, by trial."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.containers import ENVIRONMENT, ci_container, restricted_pod
from tests.support.sandbox_roots import DRIVER, Outcome, copied_root, open_folder, outcome_of, small_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can make a place where less is allowed"),
    pytest.mark.skipif(shutil.which("runc") is None, reason="runc is not installed"),
]

_LOGIN_NODE = Path(__file__).parent.parent / "rigs/login_node.py"
_USERS = {"restricted pod": 65532, "login node": 10001, "login node with name spaces": 10001, "CI container": 0}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_root(tmp_path_factory.mktemp("template") / "root")


@pytest.fixture(scope="module", params=_USERS)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def work(place: str, template: Path) -> Iterator[Path]:
    """What is ``/mnt`` in the place: there is a small root in it."""
    with open_folder() as folder:
        work = folder / "work"
        work.mkdir()
        copied_root(template, work / "root", owner=_USERS[place])
        os.chown(work, _USERS[place], _USERS[place])
        yield work


@pytest.fixture(scope="module")
def run(place: str, work: Path, profile: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command in the place, with this text in ``/mnt/input`` as its standard input."""
    scratch = tmp_path_factory.mktemp("rig")

    def in_place(*command: str, text: str = "{}", **environment: str) -> "subprocess.CompletedProcess[str]":
        (work / "input").write_text(text)
        command = ("sh", "-c", 'exec "$@" < /mnt/input', "sh", *command)
        variables = {**ENVIRONMENT, **environment}
        if place.startswith("login node"):
            user = _USERS[place]
            start = [sys.executable, str(_LOGIN_NODE), str(work), str(user)]
            if place == "login node with name spaces":
                become = f'mount --bind "$0" /mnt && cd /mnt && exec setpriv --reuid={user} --regid={user} --clear-groups "$@"'
                start = ["unshare", "--mount", "sh", "-c", become, str(work)]
            return subprocess.run([*start, *command], env=variables, capture_output=True, text=True, check=False)
        container = restricted_pod if place == "restricted pod" else ci_container
        return container(command, work=work, scratch=scratch, profile=profile, environment=variables)

    return in_place


def driven(run: Run, rung: str, *arguments: str, **fields: Any) -> Outcome:
    asked = {"rung": rung, "root": "/mnt/root", "arguments": arguments, **fields}
    done = run(sys.executable, "-B", str(DRIVER), text=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    return outcome_of(done.stdout)


REFUSED_BY_PROFILE = (
    "unshare(CLONE_NEWUSER): Operation not permitted [EPERM]: the container's seccomp profile refuses it"
)
NO_ROOT = "chroot: Operation not permitted [EPERM]: this process is not root"
NO_IDS = "no ids are delegated to {user} (/etc/subuid, /etc/subgid, getsubids)"
EXPECTED = {
    "restricted pod": {"sub-ids": NO_IDS, "one-id": REFUSED_BY_PROFILE, "trap": "", "chroot": NO_ROOT},
    "login node": {
        "sub-ids": NO_IDS,
        "one-id": "unshare(CLONE_NEWUSER): No space left on device [ENOSPC]: user.max_user_namespaces is 0",
        "trap": "",
        "chroot": NO_ROOT,
    },
    "login node with name spaces": {"sub-ids": NO_IDS, "one-id": "", "trap": "", "chroot": NO_ROOT},
    "CI container": {"sub-ids": REFUSED_BY_PROFILE, "one-id": REFUSED_BY_PROFILE, "trap": "", "chroot": ""},
}


def test_doctor_says_what_works_and_why_not(run: Run, place: str) -> None:
    told = json.loads(run(sys.executable, "-m", "ocibuild.cli", "doctor", "--json").stdout)
    reasons = {rung["name"]: rung["reason"] for rung in told["rungs"]}
    assert reasons == {name: reason.format(user=_USERS[place]) for name, reason in EXPECTED[place].items()}
    assert told["chosen"] == next(name for name, reason in EXPECTED[place].items() if not reason)
    hints = {rung["name"]: rung["hint"] for rung in told["rungs"]}
    if place == "login node":
        assert hints["one-id"] == "as root: sysctl user.max_user_namespaces=15000"
    if place == "restricted pod":
        assert "--security-opt seccomp=unconfined" in hints["one-id"]


def test_in_a_pod_it_names_the_pods_specification(run: Run, place: str) -> None:
    if place != "restricted pod":
        pytest.skip("not a pod")
    told = json.loads(run(sys.executable, "-m", "ocibuild.cli", "doctor", "--json", KUBERNETES_SERVICE_HOST="x").stdout)
    (hint,) = {rung["hint"] for rung in told["rungs"] if rung["name"] == "one-id"}
    assert hint.startswith("in the pod's specification: securityContext.seccompProfile.type: Unconfined")
    assert told["advice"][0].startswith("nothing has to change in the pod's specification for steps to run")


def test_a_program_runs_as_the_images_user(run: Run, place: str) -> None:
    script = "id -u; id -g; pwd; touch file && echo x > /dev/null && cat /etc/hosts > /dev/null && exit 6"
    outcome = driven(run, "auto", "sh", "-c", script, identity=[1000, 1000], working_folder="/tmp")
    assert (outcome.output, outcome.exit_code, outcome.error) == ("1000\n1000\n/tmp\n", 6, "")


def test_owners_are_known_afterwards(run: Run, place: str, work: Path) -> None:
    outcome = driven(run, "auto", "sh", "-c", "touch /tmp/owned && chown bob:staff /tmp/owned")
    assert (outcome.output, outcome.exit_code) == ("", 0)
    status = (work / "root/tmp/owned").stat()
    assert (outcome.owner_of(work / "root/tmp/owned") or (status.st_uid, status.st_gid)) == (33, 50)


def test_a_hanging_program_with_daemons_is_ended(run: Run, place: str) -> None:
    word = f"ocibuild-test-{os.urandom(6).hex()}"
    script = f"setsid sh -c 'trap \"\" TERM HUP; sleep 86400; : {word}' & trap '' TERM; sleep 86400; : {word}"
    outcome = driven(run, "auto", "sh", "-c", script, timeout_seconds=0.5)
    assert (outcome.timed_out, outcome.exit_code) == (True, 137)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _holds(path, word)]
    assert left == []


def _holds(file: Path, word: str) -> bool:
    try:
        return word.encode() in file.read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("rung", ["sub-ids", "one-id", "trap", "chroot"])
def test_a_rung_that_is_asked_for_works_or_says_why_not(run: Run, place: str, rung: str) -> None:
    outcome = driven(run, rung, "true")
    reason = EXPECTED[place][rung].format(user=_USERS[place])
    if reason:
        assert outcome.error == f"the sandbox {rung} does not work here: {reason}"
    else:
        assert (outcome.exit_code, outcome.output) == (0, "")


def test_mounts_come_or_are_refused(run: Run, place: str, work: Path) -> None:
    (work / "data").mkdir(exist_ok=True)
    (work / "data/file").write_text("here\n")
    mounts = [["/mnt/data", "/srv/data", False]]
    outcome = driven(run, "chroot" if place == "CI container" else "auto", "cat", "/srv/data/file", mounts=mounts)
    if place == "CI container":
        assert outcome.error == "/srv/data: cannot be mounted: this process lacks CAP_SYS_ADMIN"
    else:
        assert (outcome.output, outcome.exit_code) == ("here\n", 0)
    assert not (work / "root/srv").exists()
