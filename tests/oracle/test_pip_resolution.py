"""What is resolved equals what pip would install here: names, versions, files, and who asked for them."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.resolve import resolve
from ocibuild.ecosystem.pip.target import Libc, PythonTarget

pytestmark = pytest.mark.network

LIBC = tuple(int(part) for part in (platform.libc_ver()[1] or "2.17").split(".")[:2])
HERE = PythonTarget(
    platform.python_version(), "/usr/bin/python3", "usr/bin/python3", "usr/lib/python3",
    Platform.parse(platform.machine()), Libc("glibc", *LIBC),
)  # fmt: skip

SETS = {
    "one": "requests\n",
    "extras": "requests[socks]\nuvicorn[standard]\n",
    "data": "pandas>=2\nscikit-learn\nmatplotlib<3.11\n",
    "markers": "colorama; sys_platform == 'win32'\ntomli; python_version >= '3.8'\nexceptiongroup; python_version < '3'\n",
    "pins": "flask==2.3.3\nwerkzeug<3\n",
    "constraints": "-c limits.txt\njupyter-server\n",
    "names": "Jinja2\nruamel.yaml\nPyYAML~=6.0\nzope.interface\n",
    "prerelease": "--pre\nattrs\n",
}
LIMITS = "anyio<4.5\ntornado==6.4.2\nunused==1\n"


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return kept | {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.mark.parametrize("name", SETS)
def test_the_same_files_as_pip(name: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(SETS[name])
    (tmp_path / "limits.txt").write_text(LIMITS)
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-",
            "--only-binary", ":all:", "-r", "requirements.txt",
        ],
        cwd=tmp_path, capture_output=True, text=True, env=clean_environment(), check=True,
    )  # fmt: skip
    report = json.loads(done.stdout)["install"]
    asks = PipAsks(
        files=(RequirementsFile("requirements.txt", SETS[name]),), included=(RequirementsFile("limits.txt", LIMITS),)
    )
    resolution = resolve(
        asks, HERE, IndexSettings(), folder=tmp_path, cache_folder=tmp_path / "uv", environment=clean_environment()
    )
    pips = {
        item["metadata"]["name"].lower().replace("_", "-").replace(".", "-"): (
            item["metadata"]["version"],
            item["download_info"]["url"].rpartition("/")[2],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
            item["requested"],
        )
        for item in report
    }
    ours = {
        package.name: (package.version, package.fields["filename"], package.digest.hex, package.requested)
        for package in resolution.packages
    }
    assert ours == pips
