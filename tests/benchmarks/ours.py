"""The side of ocibuild: stores of its own, and packages through the benchmark's proxy alone."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Cost, measured
from tests.support.program import program_command

__all__ = ["Ours"]


class Ours:
    """ocibuild with stores below ``folder``; ``variables`` say where packages come from."""

    def __init__(self, folder: Path, log: Path, variables: dict[str, str]) -> None:
        self._log = log
        self._folder = folder
        self._variables = variables
        self.store = folder / "store"

    def empty(self, name: str) -> None:
        """Go on with a store of this name, which is empty at first."""
        self.store = self._folder / name

    def forget(self, name: str) -> None:
        """Remove the store of this name."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def run(self, *arguments: str | Path) -> Cost:
        """Run ``ocibuild`` with these arguments and the store of now."""
        return measured(program_command(*arguments), environment=self.environment(), log=self._log)

    def plan(self, source: Path, base: str) -> list[dict[str, Any]]:
        """The packages that the image of ``source`` has on top of ``base``, as ``ocibuild plan --json`` lists them."""
        command = program_command("plan", source, "--base", base, "--json")
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=True)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["packages"]
        return packages

    def body(self, package: dict[str, Any]) -> Path:
        """The file of a package that was built before."""
        return self.store / "blobs/sha256" / str(package["sha256"])

    def environment(self) -> dict[str, str]:
        """A user's, whose installed program is compiled already, with the store of this round."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return {**environment, "PIP_CONFIG_FILE": "/dev/null", **self._variables, "OCIBUILD_STORE": str(self.store)}
