"""The packages of ``apt:SUITE`` are those of ``mmdebstrap --variant=minbase``, from this machine's mirror."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ocibuild.core.events import discard
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.distribution import suite_sources
from ocibuild.ecosystem.apt.keyring import shipped_keyring
from ocibuild.ecosystem.apt.machine import read_machine_apt
from ocibuild.ecosystem.apt.mirrors import Mirrors
from ocibuild.ecosystem.apt.resolve import AptResolver
from ocibuild.ecosystem.apt.source import Source
from ocibuild.net.client import HttpClient
from ocibuild.store.store import Store

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap"),
]
_CONFIGURED = re.compile(r"^Conf (\S+) \((\S+) .*\[(\S+)\]\)", re.MULTILINE)


def mmdebstrap_set(
    suite: str, architecture: str, sources: tuple[Source, ...], keyring: Path
) -> set[tuple[str, str, str]]:
    lines = [f"deb [signed-by={keyring}] {one.url} {one.suite} {' '.join(one.components)}\n" for one in sources]
    done = subprocess.run(
        [
            *("mmdebstrap", "--simulate", "--verbose", "--variant=minbase", f"--architectures={architecture}"),
            # As this machine's own apt configuration may have it, which mmdebstrap does not read.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            '--aptopt=APT::Sandbox::User "root"',  # the keyring lies in a private folder
            *("--skip=check/qemu", suite, "/dev/null", "-"),
        ],
        input="".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(_CONFIGURED.findall(done.stdout + done.stderr))


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_base_is_mmdebstraps_minbase(suite: str, architecture: str, tmp_path: Path) -> None:
    platform = Platform.parse(architecture)
    sources = suite_sources(suite, platform, Mirrors(read_machine_apt()))
    keyring = tmp_path / "keyring.pgp"
    keyring.write_bytes(shipped_keyring("debian").blocks[0])
    http = HttpClient()
    try:
        resolver = AptResolver(http, Store.at(tmp_path / "store"), datetime.now(UTC), discard)
        found = resolver.resolve_base(suite, platform, sources)
    finally:
        http.close()
    ours = {(package.name, package.version, package.architecture) for package in found.packages}
    assert len(ours) > 70
    assert ours == mmdebstrap_set(suite, architecture, sources, keyring)
