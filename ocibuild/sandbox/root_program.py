"""Where the native program of rung 3 is: part of a built wheel, else made from its source where there is a compiler."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from ocibuild.core.errors import MachineError

__all__ = ["find_root_program"]

SOURCE_FOLDER = Path(__file__).parent / "root"
ARCHITECTURES = ("x86_64", "aarch64")


def find_root_program() -> Path:
    """The program for this machine, which may be executed.

    A MachineError where the installation holds none, and none can be made.
    """
    architecture = os.uname().machine
    if architecture not in ARCHITECTURES:
        raise MachineError(f"ocibuild-root is not made for {architecture} processors")
    name = f"ocibuild-root-{architecture}"
    packaged = SOURCE_FOLDER / name
    return packaged if packaged.exists() else _made(name)


def _made(name: str) -> Path:
    """From the source, once: kept in the user's cache by a digest of all that it is made of."""
    compiler = next((found for each in ("cc", "gcc", "clang") if (found := shutil.which(each))), None)
    make = shutil.which("make")
    sources = sorted(path for path in SOURCE_FOLDER.iterdir() if path.suffix in (".c", ".h") or path.name == "Makefile")
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    kept = _cache_folder() / f"{name}-{digest.hexdigest()[:16]}"
    if kept.exists():
        return kept
    if compiler is None or make is None:
        raise MachineError(
            f"this installation lacks {name}, and there is no C compiler and make to build it with",
            hint="install ocibuild from a wheel, or install gcc and make",
        )
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        made = subprocess.run(
            [make, "-s", "-C", str(SOURCE_FOLDER), f"CC={compiler}", f"OUT={folder}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise MachineError(f"building {name} failed:\n{made.stderr.strip()}", hint="install ocibuild from a wheel")
        Path(folder, name).replace(kept)
    return kept


def _cache_folder() -> Path:
    """The user's cache, or a new temporary folder where that cannot be written."""
    from platformdirs import user_cache_path  # noqa: PLC0415 - only where the program is not packaged

    folder: Path = user_cache_path("ocibuild") / "root-program"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="ocibuild-root-program-"))
