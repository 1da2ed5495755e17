"""Real packages, placed and unpacked by dpkg: the same tree, owners and modes, and the same lists.

Chosen for what is rare: set-id files and groups, hard links, conffiles, long names, folder links, packages without sums,
large ones. Their ``preinst`` is taken out, for dpkg would run it in a system that has no shell.
"""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocibuild.ecosystem.apt.deb import DebFile
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode
from tests.support.apt_repository import MadeDeb, make_ar
from tests.support.dpkg_system import DpkgSystem

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="dpkg needs root to install"),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt fetches the packages"),
]

NAMES = """
adduser apt at base-files base-passwd bsdutils ca-certificates cron dash debconf e2fsprogs fontconfig-config git git-man
gzip init-system-helpers iputils-ping libc-bin libc6 libgirepository-1.0-1 libpam-modules libpam-runtime libperl5.36
libssl3 login mawk netbase openssh-client passwd perl perl-base perl-modules-5.36 python3.11-minimal sgml-base sudo
systemd tzdata util-linux x11-common xml-core zlib1g
"""
TRACES = ("var/lib/dpkg/status", "var/lib/dpkg/triggers/", "var/lib/dpkg/diversions", "var/lib/dpkg/statoverride")


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> list[MadeDeb]:
    cache = os.environ.get("OCIBUILD_TEST_CACHE")
    folder = Path(cache) / "debs" if cache else tmp_path_factory.mktemp("debs")
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in NAMES.split() if not list(folder.glob(f"{name}_*.deb"))]
    if missing:
        command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *missing]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return [without_preinst(max(folder.glob(f"{name}_*.deb"))) for name in NAMES.split()]


def without_preinst(path: Path) -> MadeDeb:
    """The package with its data as it is, and its control archive written anew without ``preinst``."""
    with DebFile.open(path, name=path.name) as deb:
        control = deb.control()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in control.members.items():
            if name != "preinst":
                info = tarfile.TarInfo(f"./{name}")
                info.size, info.mode = len(data), 0o755 if name in control.executable else 0o644
                archive.addfile(info, io.BytesIO(data))
    members = [("debian-binary", b"2.0\n"), ("control.tar", buffer.getvalue())]
    members += [(name, data) for name, data in ar_members(path.read_bytes()) if name.startswith("data.tar")]
    text = decode(control.members["control"])
    fields = Paragraph.parse(text)
    return MadeDeb(fields["Package"], fields["Version"], fields["Architecture"], text, make_ar(members))


def ar_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    offset = 8
    while offset < len(data):
        name, size = data[offset : offset + 16].decode().strip(), int(data[offset + 48 : offset + 58])
        yield name, data[offset + 60 : offset + 60 + size]
        offset += 60 + size + size % 2


def relevant(tree: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Without what only dpkg's state is, and with conffiles where configuring would put them."""
    found = {path: facts for path, facts in tree.items() if not path.startswith(TRACES)}
    return {
        path.removesuffix(".dpkg-new"): tuple(str(fact).removesuffix(".dpkg-new") for fact in facts)
        for path, facts in found.items()
    }


@pytest.mark.parametrize("merged", [True, False])
def test_real_packages(debs: list[MadeDeb], tmp_path: Path, *, merged: bool) -> None:
    system = DpkgSystem(tmp_path, merged=merged)
    shutil.copy("/etc/passwd", system.root / "etc/passwd")
    shutil.copy("/etc/group", system.root / "etc/group")
    ours = relevant(system.ours_unpacked(*debs))
    system.unpack(*debs)
    theirs = relevant(system.tree())
    different = [path for path in sorted(ours.keys() | theirs.keys()) if ours.get(path) != theirs.get(path)]
    assert [(path, ours.get(path), theirs.get(path)) for path in different] == []
    assert len(ours) > 9000
    assert sum(1 for facts in ours.values() if str(facts[0]).startswith(("0o104", "0o102", "0o106"))) > 10
