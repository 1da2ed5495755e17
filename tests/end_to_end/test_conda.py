"""Repositories with a conda environment, of a made channel: from environment.yml to an image."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.support.conda_channel import PLACEHOLDER, serving, special_packages, write_channel
from tests.support.scripted_server import ScriptedServer
from tests.support.tiny_system import TinySystem

PREFIX = "srv/conda/envs/notebook"


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a channel in it."""
    folder = tmp_path_factory.mktemp("channels")
    write_channel(folder / "made", special_packages())
    return folder


@pytest.fixture
def server(channels: Path) -> Iterator[ScriptedServer]:
    with serving(channels) as server:
        yield server


def environment(folder: Path, channel: str, *dependencies: str, **more: str) -> Path:
    """A repository with an environment of this channel alone."""
    lines = [
        "channels:",
        f"  - {channel}",
        "  - nodefaults",
        "dependencies:",
        *(f"  - {each}" for each in dependencies),
    ]
    return repository(folder, environment_yml="\n".join([*lines, ""]), **more)


def test_an_environment_becomes_an_image(
    program: Program, system: TinySystem, server: ScriptedServer, tmp_path: Path
) -> None:
    source = environment(tmp_path / "source", f"{server.url}/made", "pure", "mm-third")
    base = system.base(program)
    plan = json.loads(program.result("plan", source, "--base", base, "--json"))
    first = program.result(
        "build", source, "--base", base, "-o", f"rootfs:{tmp_path / 'root'}", "--lock", tmp_path / "lock"
    )
    assert program.result("build", source, "--base", base) == first
    prefix = tmp_path / "root" / PREFIX
    assert (prefix / "bin/pure").read_text().startswith(f"#!/{PREFIX}/bin/python3.11\n")
    assert PLACEHOLDER not in (prefix / "bin/pure-script").read_text()
    records = {path.stem for path in (prefix / "conda-meta").glob("*.json")}
    assert {"pure-2.0-pyh_0", "python-3.11.2-h0_0_cpython"} <= records
    assert (prefix / "conda-meta/history").read_text().endswith('# update specs: ["pure", "mm-third"]\n')
    assert [path for path in prefix.glob("__clobbers__/*/**/*") if path.is_file()]
    # What was planned is what there is.
    planned = {each["name"]: each for each in plan["packages"]}
    assert planned["pure"]["why"] == "environment.yml:5"
    assert planned["tzdata"]["why"] == "python"
    assert planned["python"]["url"].startswith(f"{server.url}/made/linux-64/python-3.11.2")
    assert len(records) == len(planned)
    # As it is locked it is built, from the lock alone.
    server.requests.clear()
    again = Program(tmp_path / "other-store", {})
    locked: list[str | Path] = ["build", source, "--base", base, "--lock", tmp_path / "lock", "--locked"]
    assert again.result(*locked) == first
    assert not [each for each in server.requests if "repodata" in each.path]
