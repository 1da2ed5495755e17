"""Versions are chosen as pip chooses them where some have wheels, some only sources, and some neither for this Python."""

import dataclasses
import json
import os
import platform
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.version import Version

from ocibuild.core.asks import PipAsks, RequirementsFile
from ocibuild.core.digest import Digest
from ocibuild.core.errors import OcibuildError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.built import BuiltWheel, UnsuitableSourceError, read_wheel_metadata
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.resolve import PipResolution, resolve
from ocibuild.ecosystem.pip.source import PythonSource
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.work.python_wheels import resolve_with_builds
from tests.support.made_projects import FolderIndex, tiny_sdist, write_wheel

LIBC = tuple(int(part) for part in (platform.libc_ver()[1] or "2.17").split(".")[:2])
HERE = PythonTarget(
    platform.python_version(), "/usr/bin/python3", "usr/bin/python3", "usr/lib/python3",
    Platform.parse(platform.machine()), Libc("glibc", *LIBC),
)  # fmt: skip
NAMES = ("ant", "bee", "cat", "dog")
VERSIONS = ("1.0", "1.1", "2.0", "2.1rc1", "3.0", "3.1.dev1")
ELSEWHERE = "cp39-cp39-win_amd64"

Chosen = dict[str, tuple[str, str]]


@dataclasses.dataclass
class Universe:
    """What the index holds, and what is asked of it."""

    index: FolderIndex
    requires: dict[tuple[str, str], tuple[str, ...]]
    unsuitable: set[tuple[str, str]]
    text: str


def universe(seed: int, folder: Path) -> Universe:
    numbers = random.Random(seed)
    index = FolderIndex(folder)
    requires: dict[tuple[str, str], tuple[str, ...]] = {}
    unsuitable: set[tuple[str, str]] = set()
    for position, name in enumerate(NAMES):
        for version in numbers.sample(VERSIONS, numbers.randint(2, 5)):
            later = [other for other in NAMES[position + 1 :] if numbers.random() < 0.4]
            # What a dependency says of prereleases uv does not heed, pip does.
            needed = tuple(f"{other}{specifier(numbers).replace('rc1', '')}" for other in later)
            requires[name, version] = needed
            form = numbers.choice(("wheel", "source", "source", "both", "elsewhere"))
            # uv heeds no upper bound of a version that has a wheel.
            python = numbers.choice(("", "", "", ">=3.8", ">=3.99", "<3" if form == "source" else ""))
            if python == "<3":
                unsuitable.add((name, version))
            yanked = numbers.random() < 0.15
            if form in ("wheel", "both"):
                index.add(write_wheel(index.files, name, version, needed), requires_python=python, yanked=yanked)
            if form == "elsewhere":
                other_tag = write_wheel(index.files, name, version, needed, tag=ELSEWHERE)
                index.add(other_tag, requires_python=python, yanked=yanked)
            if form != "wheel":
                index.add(tiny_sdist(index.files, name, version, needed), requires_python=python, yanked=yanked)
    lines = [f"{name}{specifier(numbers)}" for name in numbers.sample(NAMES, numbers.randint(1, 3))]
    if numbers.random() < 0.25:
        option = numbers.choice(("--no-binary", "--only-binary"))
        lines.insert(0, f"{option} {numbers.choice((':all:', *NAMES))}")
    if numbers.random() < 0.2:
        lines.insert(0, numbers.choice(("--pre", "--prefer-binary")))
    return Universe(index, requires, unsuitable, "\n".join(lines) + "\n")


def specifier(numbers: random.Random) -> str:
    return numbers.choice(("", "", "", ">=1.1", "<3", ">1,<2.1", "!=2.0", "==2.0", ">=2.1rc1"))


def pips(made: Universe, folder: Path) -> Chosen | None:
    (folder / "requirements.txt").write_text(made.text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-",
            "--index-url", made.index.url, "-r", "requirements.txt",
        ],
        cwd=folder, capture_output=True, text=True, check=False,
        env=kept | {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"},
    )  # fmt: skip
    if done.returncode:
        assert "ERROR: No matching distribution" in done.stderr or "ResolutionImpossible" in done.stderr, done.stderr
        return None
    return {
        item["metadata"]["name"]: (item["metadata"]["version"], item["download_info"]["url"].rpartition("/")[2])
        for item in json.loads(done.stdout)["install"]
    }


def ours(made: Universe, folder: Path) -> Chosen | None:
    asks = PipAsks(files=(RequirementsFile("requirements.txt", made.text),))
    settings = IndexSettings(index_url=made.index.url)

    def ask(built: Mapping[str, BuiltWheel], unsuitable: Mapping[tuple[str, str], str]) -> PipResolution:
        return resolve(
            asks, HERE, settings, folder=folder, cache_folder=folder / "uv", environment={},
            built=built, unsuitable=unsuitable,
        )  # fmt: skip

    def build(source: PythonSource) -> BuiltWheel:
        if (source.name, source.version) in made.unsuitable:
            raise UnsuitableSourceError(f"{source} is not for this Python")
        wheel = write_wheel(folder, source.name, source.version, made.requires[source.name, source.version])
        metadata = read_wheel_metadata(wheel, file_name=wheel.name, where=str(source))
        digest = Digest.of(wheel.read_bytes())
        return BuiltWheel(source, wheel.name, wheel, digest, 1, metadata, Digest.sha256(source.sha256))

    try:
        resolution = resolve_with_builds(ask, build)
    except OcibuildError as error:
        assert error.exit_code == 3, error  # noqa: PT017 - both outcomes are right
        return None
    return {package.name: (package.version, package.path.rpartition("/")[2]) for package in resolution.packages}


@pytest.mark.parametrize("seed", range(40))
def test_the_same_files_as_pip(seed: int, tmp_path: Path) -> None:
    made = universe(seed, tmp_path / "index")
    found, wanted = ours(made, tmp_path), pips(made, tmp_path)
    if wanted is None and found is not None:  # uv's last resort, where pip gives up
        assert any(Version(version).is_prerelease for version, _ in found.values()), made.text
    else:
        assert found == wanted, made.text
