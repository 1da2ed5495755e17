"""The side of ocibuild: its stores, prepared so that a round begins with downloads and with nothing made of them."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Cost, measured
from tests.support.program import program_command

__all__ = ["Ours"]

_MADE = ("fragment-", "layer-", "resolution-", "build-", "frame-", "image", "source-digests", "upload-strategy")
"""The kinds of records that a cold build must not find: all that was made, resolved or asked before."""


class Ours:
    """ocibuild with a store of its own below ``folder``."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._log = log
        self._warm = folder / "store-warm"
        self.store = folder / "store"
        self._rounds = 0

    def run(self, *arguments: str | Path) -> Cost:
        """Run ``ocibuild`` with these arguments and the store of this round."""
        return measured(program_command(*arguments), environment=self._environment(), log=self._log)

    def plan(self, source: Path, base: str) -> list[dict[str, Any]]:
        """The packages that the image of ``source`` has on top of ``base``, as ``ocibuild plan --json`` lists them."""
        command = program_command("plan", source, "--base", base, "--json")
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=True)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["packages"]
        return packages

    def body(self, package: dict[str, Any]) -> Path:
        """The file of a package that was built before."""
        return self.store / "blobs/sha256" / str(package["sha256"])

    def keep_downloads(self, packages: list[dict[str, Any]]) -> None:
        """Make the store as it is now, without all that was made in it, the one that rounds begin with."""
        shutil.copytree(self.store, self._warm, symlinks=True)
        records = self._warm / "records"
        for kind in list(records.iterdir()):
            if kind.name.startswith(_MADE):
                shutil.rmtree(kind)
        kept = {package["sha256"] for package in packages}
        texts = [path.stem + path.read_text() for path in records.rglob("*.json")]
        for blob in list((self._warm / "blobs/sha256").iterdir()):
            if blob.name not in kept and not any(blob.name in text for text in texts):
                blob.unlink()

    def begin_round(self) -> None:
        """Begin with downloads only. Files of a store are never changed in place, so links are as good as copies.

        The stores of earlier rounds stay: ext4 looks long for a new inode while many were freed a moment ago.
        """
        self._rounds += 1
        self.store = self._warm.with_name(f"store-{self._rounds}")
        shutil.copytree(self._warm, self.store, symlinks=True, copy_function=os.link)

    def _environment(self) -> dict[str, str]:
        """As a user's, whose installed program is compiled already."""
        environment = {**os.environ, "OCIBUILD_STORE": str(self.store)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return environment
