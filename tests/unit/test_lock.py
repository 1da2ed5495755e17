import json

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import RepositoryError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.lock import Lock, LockedSource, PlatformLock

GIT = LockedPackage(
    Ecosystem.APT,
    "git",
    "1:2.39.5-0+deb12u2",
    "amd64",
    "debian",
    "pool/main/g/git/git_2.39.5-0+deb12u2_amd64.deb",
    Digest.of(b"git"),
    7_000_000,
    requested=True,
    why=("apt.txt:1",),
    fields={"suite": "bookworm"},
)
LOCK = Lock(
    {
        Platform("linux", "arm64"): PlatformLock("scratch"),
        Platform("linux", "amd64"): PlatformLock(
            "apt:bookworm",
            Digest.of(b"base"),
            packages=(GIT, LockedPackage(Ecosystem.PIP, "six", "1.17.0", "", "pypi", "six.whl", Digest.of(b"six"))),
            removals=("exim4:amd64",),
            sources=(LockedSource("debian", "bookworm", "2026-11-20T00:00:00Z"),),
            target={"python": "3.11.2"},
            asks=("apt git", "pip six"),
        ),
    }
)


def test_a_lock_survives_writing_and_reading() -> None:
    text = LOCK.to_text()
    assert Lock.parse(text, file="ocibuild.lock").platforms == LOCK.platforms
    assert Lock.parse(text, file="ocibuild.lock").to_text() == text
    assert list(json.loads(text)["platforms"]) == ["linux/amd64", "linux/arm64"]


def test_a_package_has_a_line_of_its_own() -> None:
    (line,) = (line for line in LOCK.to_text().splitlines() if '"git"' in line)
    assert json.loads(line.strip().rstrip(","))["why"] == ["apt.txt:1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a lock"),
        ("[]", "not a lock"),
        ('{"version": 7}', "version 7"),
        ('{"version": 1, "platforms": {"linux/vax": {}}}', "malformed"),
        ('{"version": 1, "platforms": {"linux/amd64": {"base": "scratch"}}}', "malformed"),
    ],
)
def test_a_wrong_lock_is_named(text: str, message: str) -> None:
    with pytest.raises(RepositoryError, match=f"my.lock: .*{message}"):
        Lock.parse(text, file="my.lock")
