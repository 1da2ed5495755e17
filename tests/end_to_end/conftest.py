"""The program as its users run it: a process of its own, with a store of its own."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from ocibuild.sandbox.ladder import RUNG_NAMES, try_rungs
from ocibuild.sandbox.trial import Trial
from tests.support.program import program_command
from tests.support.tiny_system import TinyArchive, TinySystem

REPOSITORIES = Path(__file__).parent.parent / "repos"


@dataclass(frozen=True)
class Program:
    """Runs ``ocibuild`` with this store; ``environment`` is added to this process's own."""

    store: Path
    environment: Mapping[str, str]

    def whole_environment(self) -> dict[str, str]:
        """The variables that it is started with."""
        return {**os.environ, "OCIBUILD_STORE": str(self.store), **self.environment}

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return what it answered, whatever the exit code. The profile is plain where none is said."""
        return subprocess.run(
            program_command(*arguments),
            cwd=cwd,
            env={**self.whole_environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def result(self, *arguments: str | Path, cwd: Path | None = None, **environment: str) -> str:
        """What it printed; the test fails where the exit code is not 0."""
        done = self.run(*arguments, cwd=cwd, **environment)
        assert done.returncode == 0, f"{' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def error(self, *arguments: str | Path, code: int, cwd: Path | None = None, **environment: str) -> str:
        """What it said on standard error; the test fails where the exit code is another, or the store is not sound.

        Results are never printed where there is none, and an error of the program is not one of Python's.
        """
        done = self.run(*arguments, cwd=cwd, **environment)
        assert done.returncode == code, f"{' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert_sound(self.store)
        return done.stderr


def assert_sound(store: Path) -> None:
    """Every blob has the digest that it is named by, every record can be read, and nothing half-written is left."""
    # What was downloaded in part is kept under such a name, to go on with: nobody else reads it. What another test that
    # runs beside this one is writing has its process's number.
    partial = [path.name for part in ("blobs", "records") for path in (store / part).glob("**/.partial-*")]
    left = [name for name in partial if not name.startswith(".partial-download-")]
    assert [name for name in left if not Path("/proc", name.split("-")[1]).exists()] == []
    for blob in (store / "blobs/sha256").glob("[0-9a-f]*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    for record in (store / "records").glob("*/*/*.json"):
        json.loads(record.read_bytes())


def repository(folder: Path, **files: str) -> Path:
    """A repository with these files; ``_`` in a name stands for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program whose store is kept between runs where OCIBUILD_TEST_CACHE says so: packages are fetched once."""
    cache = os.environ.get("OCIBUILD_TEST_CACHE")
    return Program(Path(cache) / "store" if cache else tmp_path_factory.mktemp("store"), {})


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program with an empty store."""
    return Program(tmp_path / "store", {})


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyArchive]:
    """The address and the base images of the tests' package archives."""
    folder = tmp_path_factory.mktemp("archive")
    folder.chmod(0o755)  # for programs that are somebody else's
    with TinyArchive(folder) as archive:
        yield archive


@pytest.fixture
def system(archive: TinyArchive) -> Iterator[TinySystem]:
    """A package archive of its own on loopback."""
    with TinySystem(archive) as system:
        yield system


@pytest.fixture(scope="session")
def rainfall() -> Path:
    """The example repository of the README."""
    return REPOSITORIES / "rainfall"


@cache
def trials() -> dict[str, Trial]:
    """How every sandbox did when it was tried here, by name."""
    return {trial.name: trial for trial in try_rungs()}


@pytest.fixture(params=RUNG_NAMES)
def sandbox(request: pytest.FixtureRequest) -> str:
    """Each sandbox that works here."""
    trial = trials()[request.param]
    if not trial.works:
        pytest.skip(f"{request.param} does not work here: {trial.reason}")
    return str(request.param)
