"""Building one wheel as a step in the image's root: what is put where, what runs, and what it answered.

A folder of this machine appears in the root at a fixed path. It holds the source, the frontend
(:mod:`.build_frontend`), and an environment with what the build requires: made of wheels as data, so that the step
needs no network, no credentials and no pip, and depends on nothing but what stands in the lock.
"""

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.errors import BuildError
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.step import Step
from ocibuild.ecosystem.pip.build_system import BuildSystem
from ocibuild.ecosystem.pip.prefix import prefix_interpreter
from ocibuild.ecosystem.pip.source import PythonSource
from ocibuild.ecosystem.pip.target import PythonTarget

__all__ = [
    "BUILD_FOLDER",
    "ENVIRONMENT",
    "SOURCE",
    "BuildAnswer",
    "build_failure",
    "read_answer",
    "wheel_step",
    "write_request",
]

BUILD_FOLDER = "/tmp/ocibuild-wheel"  # noqa: S108 - a path in the image, where the folder is put while the step runs
"""Where the folder of a build appears in the root: always the same, since compilers write it into what they make."""

ENVIRONMENT = "environment"
"""The folder of a build's environment in its folder."""

SOURCE = "source"
"""The folder of the source there."""

_OUTPUT = "output"
_LARGEST_RESULT_BYTES = 1 << 20
_SHOWN_LINES = 40
_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # nobody draws on the user's terminal
_FRONTEND = "build_frontend.py"
_HEADER = re.compile(r"fatal error: (\S+\.h(?:pp)?): No such file")
_COMPILER = re.compile(
    r"command '?\S*(?:gcc|cc|\+\+|gfortran|clang)'? failed: No such file"
    r"|No such file or directory: '\S*(?:gcc|cc|\+\+|gfortran|clang)'"
    r"|Unknown compiler\(s\)|linker `cc` not found|No CMAKE_\w+_COMPILER could be found"
)


@dataclass(frozen=True, slots=True)
class BuildAnswer:
    """What the step answered: the wheel's file, or requirements that the environment lacks."""

    wheel: Path | None = None
    requires: tuple[str, ...] = ()


def wheel_step(
    source: PythonSource, target: PythonTarget, *, environment: Mapping[str, str], build_folder: str = BUILD_FOLDER
) -> Step:
    """The step that builds this source in a root that has the folder of :func:`write_request` at ``build_folder``.

    ``environment`` is what the image sets, and counts where the build's own needs do not. No network is needed.
    """
    interpreter = prefix_interpreter(target, f"{build_folder.lstrip('/')}/{ENVIRONMENT}")
    path = environment.get("PATH", DEFAULT_PATH)
    variables = {
        **environment,
        "PATH": f"{interpreter.rpartition('/')[0]}:{path}",
        "VIRTUAL_ENV": f"{build_folder}/{ENVIRONMENT}",
        "HOME": f"{build_folder}/home",
        "TMPDIR": f"{build_folder}/tmp",  # noqa: S108 - a folder of the build's own
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(FIXED_TIME),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",  # a backend's own words stand before its compiler's
    }
    return Step(
        name=f"build wheel {source}",
        arguments=(interpreter, f"{build_folder}/{_FRONTEND}", f"{build_folder}/request.json"),
        why="it is to be editable" if source.is_editable else "no wheel of it fits the image's Python",
        working_folder=build_folder,
        environment=variables,
    )


def write_request(
    folder: Path,
    source: PythonSource,
    system: BuildSystem,
    *,
    requires: tuple[str, ...],
    archive: str = "",
    source_in_image: str = "",
    build_folder: str = BUILD_FOLDER,
) -> None:
    """Complete the folder of a build, which holds ``environment`` and the source already.

    The source is the file ``archive`` of the folder, or its folder ``source``, or (editable installs) where it will be
    in the image, ``source_in_image``. ``requires`` are the requirements that the environment was made with. What an
    earlier run answered is taken away.
    """
    for name in ("home", "tmp", _OUTPUT):
        (folder / name).mkdir(exist_ok=True)
    (folder / _OUTPUT / "result.json").unlink(missing_ok=True)
    (folder / _FRONTEND).write_bytes(Path(__file__).with_name(_FRONTEND).read_bytes())
    request = {
        "archive": f"{build_folder}/{archive}" if archive else "",
        "source": source_in_image or f"{build_folder}/{SOURCE}",
        "subdirectory": source.subdirectory,
        "backend": system.backend,
        "backend_path": list(system.backend_path),
        "editable": source.is_editable,
        "settings": _settings(source),
        "known_requires": sorted(requires),
        "output": f"{build_folder}/{_OUTPUT}",
    }
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")


def _settings(source: PythonSource) -> dict[str, str | list[str]]:
    """The settings as pip gives them to a backend: a key that is said twice has a list."""
    settings: dict[str, str | list[str]] = {}
    for key, value in source.settings:
        old = settings.get(key)
        settings[key] = value if old is None else [*([old] if isinstance(old, str) else old), value]
    return settings


def read_answer(folder: Path, source: PythonSource) -> BuildAnswer:
    """What the step left in ``folder``, which nothing is believed of: its code wrote there.

    A BuildError where there is no answer, or the wheel that it names is no regular file beside it.
    """
    where = f"building a wheel of {source}"
    path = folder / _OUTPUT / "result.json"
    try:
        if not stat.S_ISDIR(path.parent.lstat().st_mode):
            raise BuildError(f"{where}: the build put something else in place of the folder for its wheel")
        value = json.loads(_read_regular(path))
        requires, name = value.get("requires"), value.get("wheel")
        if isinstance(requires, list) and all(isinstance(each, str) for each in requires):
            return BuildAnswer(requires=tuple(requires))
        if isinstance(name, str) and "/" not in name and name.endswith(".whl"):
            wheel = folder / _OUTPUT / name
            if stat.S_ISREG(wheel.lstat().st_mode):
                return BuildAnswer(wheel)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BuildError(f"{where}: the build gave no answer that can be read: {error}") from error
    raise BuildError(f"{where}: the build answered {str(value)[:200]!r}, which names no wheel")


def _read_regular(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        return file.read(_LARGEST_RESULT_BYTES)


def build_failure(source: PythonSource, exit_code: int, output: str, *, log: Path) -> BuildError:
    """The error of a failed step: the end of what it said, all of which is in ``log``, and what is known to help."""
    lines = _CONTROLS.sub("", output).rstrip().split("\n")
    shown = "".join(f"\n  | {line}" for line in lines[-_SHOWN_LINES:])
    known = _hint(output)
    return BuildError(
        f"building a wheel of {source} failed with exit code {exit_code}; its last lines:{shown}",
        hint=f"{known}; all that the build said is in {log}" if known else f"all that the build said is in {log}",
    )


def _hint(output: str) -> str | None:
    header = _HEADER.search(output)
    if header and header[1] == "Python.h":
        return "the headers of Python are missing: add python3-dev to apt.txt"
    if header:
        return f"the header {header[1]} is missing: add the Debian package that has it (lib...-dev) to apt.txt"
    if _COMPILER.search(output):
        return "a compiler is missing: add build-essential (and gfortran for Fortran) to apt.txt"
    if re.search(r"ModuleNotFoundError: No module named", output):
        return "the package does not say what its build requires: ask for a version that has a wheel"
    return None
