"""Locks of Python packages as requirements: compared with what ``uv export`` makes of the same lock."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.markers import Marker
from uv import find_uv_bin

from ocibuild.spec.pylock import parse_pylock
from ocibuild.spec.uv_lock import parse_uv_lock

pytestmark = pytest.mark.network

PROJECT = """\
[project]
name = "rain"
version = "1"
requires-python = ">=3.9"
dependencies = [
    "requests[socks]>=2",
    "ipython",
    "rich; sys_platform == 'linux'",
    "pywin32; sys_platform == 'win32'",
    "numpy",
    "importlib-metadata; python_version < '3.11'",
]
[project.optional-dependencies]
more = ["flask"]
[dependency-groups]
dev = ["pytest", "ruff"]
docs = ["sphinx"]
"""
ENVIRONMENTS = [
    {"python_version": minor, "python_full_version": f"{minor}.3", "sys_platform": platform, "os_name": os_name}
    for minor in ("3.9", "3.11", "3.13")
    for platform, os_name in (("linux", "posix"), ("win32", "nt"))
]
LINE = re.compile(r"([\w.-]+)==([^\s;]+)(?: ; (.*?))?(?: --hash=.*)?")

Pins = dict[str, tuple[str, frozenset[str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(PROJECT)
    uv(folder, "lock")
    return folder


def uv(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    command = [find_uv_bin(), "--no-config", "--quiet", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def pins(text: str, environment: dict[str, str]) -> Pins:
    """What a requirements file comes to in this environment: name -> version and hashes."""
    found: Pins = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        match = LINE.fullmatch(line.strip())
        if match and (not match[3] or Marker(match[3]).evaluate(environment)):
            assert match[1] not in found
            found[match[1]] = (match[2], frozenset(re.findall(r"--hash=(\S+)", line)))
    return found


@pytest.mark.parametrize("groups", [["dev"], ["docs"], []], ids=str)
def test_uv_lock(folder: Path, groups: list[str]) -> None:
    chosen = [f"--group={group}" for group in groups]
    theirs = uv(folder, "export", "--frozen", "--no-emit-project", "--no-default-groups", *chosen)
    ours = parse_uv_lock((folder / "uv.lock").read_text(), file="uv.lock", default_groups=groups).text
    for environment in ENVIRONMENTS:
        expected = pins(theirs, environment)
        assert len(expected) > 10
        assert pins(ours, environment) == expected


def test_pylock(folder: Path) -> None:
    arguments = ("export", "--frozen", "--no-emit-project", "--no-default-groups", "--group=docs")
    theirs = uv(folder, *arguments)
    ours = parse_pylock(uv(folder, *arguments, "--format=pylock.toml"), file="pylock.toml").text
    for environment in ENVIRONMENTS:
        assert pins(ours, environment) == pins(theirs, environment)
