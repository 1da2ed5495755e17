"""Puts ocibuild-root, built for this machine, into a wheel (pyproject.toml, ``tool.hatch.build.hooks.custom``).

A wheel without it, where there is no compiler, works as well, but for rung 3 of the sandbox.
"""
# ruff: noqa: INP001 - a build hook is no module of the package

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["RootProgramHook"]

_SOURCE_FOLDER = Path(__file__).parent
_ARCHITECTURES = ("x86_64", "aarch64")


class RootProgramHook(BuildHookInterface[Any]):
    """Hatchling's interface: called once before a wheel is written, and once after."""

    PLUGIN_NAME = "custom"
    _folder: "tempfile.TemporaryDirectory[str] | None" = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the program into a temporary folder, and have it and the wheel's tags written.

        A checkout that is installed in place is left as it is: there the program is built when it is needed.
        """
        architecture = os.uname().machine
        if version == "editable" or architecture not in _ARCHITECTURES:
            return
        compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
        make = shutil.which("make")
        if compiler is None or make is None:
            self.app.display_warning("without a C compiler and make, the wheel lacks ocibuild-root (sandbox 'trap')")
            return
        self._folder = tempfile.TemporaryDirectory()
        subprocess.run(
            [
                make,
                "-s",
                "-C",
                str(_SOURCE_FOLDER),
                f"CC={compiler}",
                f"ARCH={architecture}",
                f"OUT={self._folder.name}",
            ],
            check=True,
        )
        name = f"ocibuild-root-{architecture}"
        build_data["force_include"][f"{self._folder.name}/{name}"] = f"ocibuild/sandbox/root/{name}"
        # It needs no C library: any Linux of the architecture will do.
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_2_17_{architecture}.musllinux_1_1_{architecture}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove what was built: it is in the wheel."""
        if self._folder is not None:
            self._folder.cleanup()
