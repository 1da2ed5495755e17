"""A base made of packages alone equals what mmdebstrap makes, path by path, but for a listed handful.

mmdebstrap runs every maintainer script; this program runs none.
"""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mmdebstrap makes owners"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not here"),
]

Facts = tuple[object, ...]

# What differs on purpose: path -> why. A path that ends in * covers what begins so.
EXPLAINED = {
    # what mmdebstrap itself writes, beside the packages
    "etc/apt/sources.list": "mmdebstrap's own; ours lies in sources.list.d",
    "etc/apt/sources.list.d/debian.sources": "ours, with the public mirror",
    "etc/fstab": "mmdebstrap's own",
    "etc/hostname": "mmdebstrap's own",
    "etc/resolv.conf": "mmdebstrap's own: a runtime brings it",
    "var/lib/apt/extended_states": "mmdebstrap marks apt's dependencies",
    "var/cache/apt/archives/partial": "apt took the folder for its own user when it downloaded",
    "var/lib/apt/lists/partial": "apt took the folder for its own user when it downloaded",
    # locks, logs and backups, which differ between two runs of the same program
    "etc/.pwd.lock": "a lock",
    "etc/passwd-": "a backup",
    "etc/group-": "a backup",
    "etc/shadow-": "a backup",
    "etc/gshadow-": "a backup",
    "etc/subuid-": "a backup",
    "etc/subgid-": "a backup",
    "var/cache/apt/archives/lock": "a lock",
    "var/cache/debconf/*": "debconf's database: empty until a package asks, as after its own reset",
    "var/lib/apt/lists/lock": "a lock",
    "var/lib/dpkg/available": "an empty file of dpkg's, which mmdebstrap removes",
    "var/lib/dpkg/diversions-old": "a backup",
    "var/lib/dpkg/lock*": "a lock",
    "var/lib/dpkg/statoverride": "an empty file of dpkg's, which mmdebstrap never made",
    "var/lib/dpkg/status-old": "a backup",
    "var/lib/dpkg/triggers/Lock": "a lock",
    # times
    "etc/shadow": "the day of the last change is fixed",
    # this program's own layers on the base
    "home/jovyan*": "the account",
    "etc/passwd": "the account",
    "etc/group": "the account",
    "etc/gshadow": "the account",
    "usr/share/ocibuild*": "the lock",
}
MOST_EXPLAINED = 40


def facts(path: Path) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./").rstrip("/")
            if name in ("", ".") or name.startswith("dev/"):
                continue
            if member.islnk():
                found[name] = found[member.linkname.removeprefix("./")]
                continue
            file = archive.extractfile(member) if member.isreg() else None
            content: object = file.read() if file else member.linkname
            if name == "etc/shells":  # mmdebstrap links /bin between two runs of update-shells: another order
                content = sorted(bytes(content).splitlines())  # type: ignore[call-overload]
            if name == "var/lib/dpkg/diversions":  # in the order of unpacking, which is apt's and not ours
                lines = bytes(content).splitlines()  # type: ignore[call-overload]
                content = sorted(lines[start : start + 3] for start in range(0, len(lines), 3))
            found[name] = (member.type, oct(member.mode), member.uid, member.gid, content)
    return found


def is_explained(path: str) -> bool:
    return any(path == key or (key.endswith("*") and path.startswith(key[:-1])) for key in EXPLAINED)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_base_equals_minbase(warm: Program, tmp_path: Path, suite: str) -> None:
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", suite, tmp_path / "theirs.tar"],
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    (tmp_path / "empty").mkdir()
    warm.result("build", tmp_path / "empty", "--base", f"apt:{suite}", "-o", f"rootfs:{tmp_path / 'root'}")
    subprocess.run(["tar", "-C", tmp_path / "root", "-cf", tmp_path / "ours.tar", "."], check=True)
    ours, theirs = facts(tmp_path / "ours.tar"), facts(tmp_path / "theirs.tar")
    assert len(ours) > 5000
    different = sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))
    unexplained = [path for path in different if not is_explained(path)]
    assert unexplained == []
    assert len(different) <= MOST_EXPLAINED
