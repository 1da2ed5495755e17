"""The program as its users run it: a process of its own, with a store of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORIES = Path(__file__).parent.parent / "repos"


@dataclass(frozen=True)
class Program:
    """Runs ``ocibuild`` with this store; ``environment`` is added to this process's own."""

    store: Path
    environment: Mapping[str, str]

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it and return what it answered, whatever the exit code."""
        return subprocess.run(
            [sys.executable, "-m", "ocibuild.cli", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "OCIBUILD_STORE": str(self.store), **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def result(self, *arguments: str | Path, cwd: Path | None = None, **environment: str) -> str:
        """What it printed; the test fails where the exit code is not 0."""
        done = self.run(*arguments, cwd=cwd, **environment)
        assert done.returncode == 0, f"{' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()


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
def rainfall() -> Path:
    """The example repository of the README."""
    return REPOSITORIES / "rainfall"
