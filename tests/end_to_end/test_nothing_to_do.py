"""A build with nothing to do starts quickly: it imports nothing heavy, and a push asks its question with little."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.support.program import program_command
from tests.support.registry_server import RegistryServer
from tests.support.tiny_system import TinySystem

_HEAVY = {
    "email", "isal", "packaging", "pyoci", "pysequoia", "rattler", "requests", "rich", "tarfile", "urllib3",
    "uv", "yaml", "zipfile", "zstandard",
}  # fmt: skip
_LISTING = """
import atexit, sys
atexit.register(lambda: print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr))
from ocibuild.cli.main import main
main()
"""


def imported(program: Program, *arguments: str | Path) -> tuple[str, set[str]]:
    """What the program printed, and the top-level modules that it had imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", _LISTING, *program_command(*arguments)[3:]],
        env={**os.environ, "OCIBUILD_STORE": str(program.store)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), set(done.stderr.splitlines()[-1].split())


@pytest.mark.registry
def test_what_is_imported(program: Program, system: TinySystem, tmp_path: Path) -> None:
    base, source = system.base(program), repository(tmp_path / "repository", apt_txt="", notes_txt="x")
    first, of_work = imported(program, "build", source, "--base", base)
    assert "zstandard" in of_work  # the list does tell what is imported
    again, modules = imported(program, "build", source, "--base", base)
    assert again == first
    assert modules & (_HEAVY | {"http", "ssl"}) == set()
    with RegistryServer(tmp_path / "registry") as server:
        push: list[str | Path] = ["build", source, "--base", base, "-t", f"{server.host}/app:1", "--push"]
        assert program.result(*push) == first
        server.log.clear()
        pushed, modules = imported(program, *push)
        asked = [line for line in server.log if "response completed" in line and "/manifests/1" in line]
        cached: list[str | Path] = ["--cache", f"{server.host}/cache", "--cache-mode", "rw"]
        assert program.result("build", source, "--base", base, *cached) == first
        server.log.clear()
        again, of_cached = imported(program, "build", source, "--base", base, *cached)
        assert again == first
        assert of_cached & (_HEAVY | {"http", "ssl"}) == set()
        assert not any("response completed" in line for line in server.log)
    assert pushed == first
    assert asked
    assert modules & _HEAVY - {"email"} == set()  # http.client reads headers with it


@pytest.mark.registry
def test_a_tag_that_somebody_moved_is_put_right(program: Program, system: TinySystem, tmp_path: Path) -> None:
    base, source = system.base(program), repository(tmp_path / "repository", notes_txt="x")
    with RegistryServer(tmp_path / "registry") as server:
        image = f"{server.host}/app:1"
        digest = program.result("build", source, "--base", base, "-t", image, "--push")
        program.result("push", base, image)
        assert program.result("build", source, "--base", base, "-t", image, "--push") == digest
        other = Program(tmp_path / "other-store", {})
        assert other.result("pull", image) == digest
