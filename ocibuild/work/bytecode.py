"""Who compiles a wheel's modules: a Python of this machine that is the image's to the last digit, else the image's."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from ocibuild.core.atomic import PARTIAL_PREFIX, map_os_error
from ocibuild.core.errors import BuildError, MachineError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.bytecode import COMPILER, bytecode_step, compile_arguments
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.sandbox.execution import Mount
from ocibuild.store.store import Store
from ocibuild.work.wheel_root import SandboxRoot

__all__ = ["BytecodeCompiler", "python_of_this_machine"]

_TIMEOUT_SECONDS = 600
_IN_ROOT = "/tmp/ocibuild-bytecode"  # noqa: S108 - a path in the image, where the folder is put while the step runs
_SHOWN_CHARACTERS = 2000
_VERSION = "import platform; print(platform.python_implementation(), platform.python_version())"
_HINT = "build with --no-bytecode"


@functools.cache
def python_of_this_machine(version: str) -> str | None:
    """The path of a CPython of exactly this version (``3.11.2``), which this program's own may be; None for none."""
    minor = version.rpartition(".")[0]
    found = (shutil.which(name) for name in (f"python{minor}", "python3"))
    for path in dict.fromkeys((sys.executable, *found, f"/usr/bin/python{minor}")):
        if path is not None and os.access(path, os.X_OK):
            done = subprocess.run([path, "-I", "-S", "-c", _VERSION], capture_output=True, text=True, check=False)
            if done.stdout.split() == ["CPython", version]:
                return path
    return None


class BytecodeCompiler:
    """Compiles for one Python; a process for every wheel, since what one has compiled changes the next one's bytes.

    ``root`` is the image's, entered only where this machine lacks that Python.
    """

    def __init__(self, target: PythonTarget, root: SandboxRoot, store: Store, *, here: Platform) -> None:
        self._target = target
        self._root = root
        self._store = store
        self._here = here
        self._entering = threading.Lock()

    def prepare(self) -> None:
        """Make what the image's root consists of, where it will be entered: not to be done while layers are made."""
        if python_of_this_machine(self._target.version) is None and self._target.platform == self._here:
            below = self._root.below()
            self._root = replace(self._root, below=lambda: below)

    def __call__(self, sources: bytes) -> bytes:
        """The compiler's output. A MachineError where no such Python can run, a BuildError where it fails."""
        python = python_of_this_machine(self._target.version)
        try:
            self._store.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=self._store.folder) as text:
                folder = Path(text)
                (folder / "sources").write_bytes(sources)
                (folder / COMPILER.name).write_bytes(COMPILER.read_bytes())
                said, code = self._run_here(python, folder) if python else self._run_in_root(folder)
                if code != 0:
                    raise BuildError(
                        f"Python {self._target.version} failed to compile modules (exit code {code}): "
                        f"{said[-_SHOWN_CHARACTERS:].strip()}",
                        hint=_HINT,
                    )
                return (folder / "bytecode").read_bytes()
        except OSError as error:
            raise map_os_error(error, attempted="compiling modules") from error

    def _run_here(self, python: str, folder: Path) -> tuple[str, int]:
        command = compile_arguments(python, str(folder))
        environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"compiling modules takes more than {_TIMEOUT_SECONDS} seconds", hint=_HINT) from error
        return done.stderr, done.returncode

    def _run_in_root(self, folder: Path) -> tuple[str, int]:
        if self._target.platform != self._here:
            raise MachineError(
                f"bytecode for {self._target.platform} is made by Python {self._target.version}, "
                "which this machine lacks",
                hint=f"install that Python here, or {_HINT}",
            )
        said = bytearray()
        with self._entering:  # a root is one step's at a time
            step = bytecode_step(self._target, _IN_ROOT)
            code = self._root.run(step, [Mount(folder, _IN_ROOT, writable=True)], said.extend)
        return said.decode("utf-8", "replace"), code
