"""A closure of 170 Debian packages, unpacked by a real dpkg, is configured where nothing is allowed, as real root does it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocibuild.sandbox.kernel import identify
from tests.rigs.containers import restricted_pod
from tests.rigs.seccomp import docker_profile
from tests.sandbox.trap.conftest import USER
from tests.support.debian_root import debian_mirror
from tests.support.sandbox_roots import DRIVER, Outcome, outcome_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can make a place where less is allowed"),
    pytest.mark.skipif(shutil.which("runc") is None, reason="runc is not installed"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed"),
]

ASKED = [
    "git",
    "curl",
    "graphviz",
    "r-base-core",
    "python3-numpy",
    "fontconfig",
    "openjdk-17-jre-headless",
    "build-essential",
    "gfortran",
]
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "SOURCE_DATE_EPOCH": "315532800",
}
CONFIGURE = ("dpkg", "--force-unsafe-io", "--configure", "-a")
_LOGIN_NODE = Path(__file__).parents[2] / "rigs" / "login_node.py"

# What differs between two runs by real root as well: times of day, hashes of them, and the order of what runs at once.
UNSTABLE = re.compile(
    r"etc/ssl/certs/java/cacerts|var/cache/fontconfig/.*|var/cache/ldconfig/aux-cache|var/lib/dpkg/.*-old"
    r"|var/log/.*|var/cache/debconf/.*|etc/(passwd|group|shadow|gshadow)-|etc/ld\.so\.cache|tmp/hsperfdata.*"
)
# Not part of a root: each place has its own.
OUTSIDE = ("proc", "sys", "dev", "run")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tree as real root leaves it before anything is configured; kept between runs where a cache is named."""
    cache = Path(os.environ["OCIBUILD_TEST_CACHE"]) if "OCIBUILD_TEST_CACHE" in os.environ else None
    folder = (cache or tmp_path_factory.mktemp("closure")) / "unpacked-closure"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _unpack(folder / "root")
        (folder / "done").touch()
    yield folder / "root"
    if cache is None:
        shutil.rmtree(folder)


def _unpack(root: Path) -> None:
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        "bookworm",
        str(root),
        f"deb {debian_mirror()} bookworm main",
    ]
    subprocess.run(command, check=True, capture_output=True)
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    script = f"""
        apt-get -qq update; apt-get -y -qq --no-install-recommends --download-only install {" ".join(ASKED)}
        dpkg --force-depends --force-unsafe-io --unpack /var/cache/apt/archives/*.deb
        apt-get clean; rm -rf /var/lib/apt/lists/* /tmp/* /var/tmp/*
    """
    _as_real_root(root, "sh", "-ec", script)


def _as_real_root(root: Path, *command: str) -> None:
    """Run the command in the root as a container of everything would, with /proc and /dev."""
    script = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" env -i "$@"'
    variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, str(root), *variables, *command],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def _copied(unpacked: Path, root: Path) -> None:
    subprocess.run(["cp", "-a", unpacked, root], check=True)


@pytest.fixture(scope="module")
def configured(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[object, ...]]]:
    """What real root makes of it."""
    root = tmp_path_factory.mktemp("real") / "root"
    _copied(unpacked, root)
    _as_real_root(root, *CONFIGURE)
    yield _facts(root, {})
    shutil.rmtree(root.parent)


def _facts(root: Path, owners: dict[int, tuple[int, int]]) -> dict[str, tuple[object, ...]]:
    """Every path with its type, mode, owner and content; an owner by inode takes the place of the one on the disk."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in OUTSIDE]
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            owner = owners.get(status.st_ino, (status.st_uid, status.st_gid))
            if path.is_symlink():
                content = os.readlink(path)  # noqa: PTH115 - as it stands
            else:
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path.relative_to(root))] = (oct(status.st_mode), owner, content)
    return found


def _given_to_user(root: Path) -> list[list[int]]:
    """Let all files belong to the user; whom else than root they belonged to, as a run wants to know it."""
    noted = []
    seen: set[int] = set()
    shutil.rmtree(root / "dev")
    (root / "dev").mkdir()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            if status.st_ino in seen:
                continue  # a second name
            seen.add(status.st_ino)
            if (status.st_uid, status.st_gid) != (0, 0):
                descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
                (inode, birth), _ = identify(descriptor)
                os.close(descriptor)
                noted.append([inode, birth, status.st_uid, status.st_gid])
            mode = status.st_mode
            os.chown(path, USER, USER, follow_symlinks=False)
            if mode & 0o6000 and not path.is_symlink():
                path.chmod(mode & 0o7777)  # chown takes these bits
    os.chown(root, USER, USER)
    return noted


def _in_pod(work: Path, asked: Path, profile: dict[str, Any], scratch: Path) -> str:
    command = ("sh", "-c", f'exec "$0" -B {DRIVER} < /mnt/{asked.name}', sys.executable)
    environment = {"PATH": ENVIRONMENT["PATH"], "HOME": "/mnt", "TMPDIR": "/mnt", "LANG": "C.UTF-8"}
    done = restricted_pod(command, work=work, scratch=scratch, profile=profile, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _on_login_node(work: Path, asked: Path) -> str:
    command = ["sh", "-c", f'exec "$0" -B {DRIVER} < /mnt/{asked.name}', sys.executable]
    done = subprocess.run(
        [sys.executable, str(_LOGIN_NODE), str(work), str(USER), *command],
        env={"PATH": ENVIRONMENT["PATH"], "HOME": "/mnt", "TMPDIR": "/mnt", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("place", ["restricted pod", "login node"])
def test_the_closure_is_configured_as_by_real_root(
    place: str, unpacked: Path, configured: dict[str, tuple[object, ...]], tmp_path: Path
) -> None:
    work = Path("/var/tmp") / f"ocibuild-closure-{os.urandom(4).hex()}"
    work.mkdir(mode=0o755)
    try:
        _copied(unpacked, work / "root")
        owners = _given_to_user(work / "root")
        asked = work / "asked.json"
        execution = {"rung": "trap", "root": "/mnt/root", "arguments": CONFIGURE, "environment": ENVIRONMENT}
        asked.write_text(json.dumps({**execution, "owners": owners}))
        os.chown(work, USER, USER)
        cache = Path(os.environ.get("OCIBUILD_TEST_CACHE", tmp_path))
        if place == "restricted pod":
            said = _in_pod(work, asked, docker_profile(cache), tmp_path / "rig")
        else:
            said = _on_login_node(work, asked)
        outcome = outcome_of(said)
        assert outcome.exit_code == 0, outcome.output[-3000:] + outcome.error
        _check(work / "root", outcome, owners, configured)
    finally:
        shutil.rmtree(work)


def _check(root: Path, outcome: Outcome, owners: list[list[int]], real: dict[str, tuple[object, ...]]) -> None:
    status = (root / "var/lib/dpkg/status").read_text()
    assert status.count("\nStatus: install ok installed\n") >= 170
    assert set(re.findall(r"^Status: (.*)$", status, re.MULTILINE)) == {"install ok installed"}
    known = {inode: (uid, gid) for inode, _, uid, gid in owners}
    known |= {inode: owner for (inode, _), owner in outcome.owners.items()}
    ours = _facts(root, {})
    ours = {
        path: (mode, known.get((root / path).lstat().st_ino, (0, 0)), content)
        for path, (mode, _, content) in ours.items()
    }
    assert sorted(set(ours) ^ set(real)) == []
    differing = {path: (ours[path], real[path]) for path in real if ours[path] != real[path]}
    # Unstable content is still of the same type, mode and owner.
    explained = {path for path, (one, other) in differing.items() if UNSTABLE.fullmatch(path) and one[:2] == other[:2]}
    assert {path: facts for path, facts in differing.items() if path not in explained} == {}
