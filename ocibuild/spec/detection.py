"""What kind of repository it is, which decides the files that count, as repo2docker chooses: the first that matches.

Source: ``buildpacks`` and ``default_buildpack`` of repo2docker's ``Repo2Docker``, and each buildpack's ``detect``.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from ocibuild.core.errors import RepositoryError
from ocibuild.spec.conda_lock import CONDA_LOCKS
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.python_project import PythonProject, read_python_project
from ocibuild.spec.runtime_txt import Runtime

__all__ = ["Buildpack", "Detection", "detect"]

_LEGACY_BASE = re.compile(r"\s*FROM\s.*andrewosh/binder-base", re.IGNORECASE)


class Buildpack(StrEnum):
    """A kind of repository. All but a Dockerfile's also have ``apt.txt``, ``postBuild`` and ``start``."""

    DOCKERFILE = "Dockerfile"
    JULIA = "Julia project"
    JULIA_REQUIRE = "Julia packages of REQUIRE"
    NIX = "Nix environment"
    R = "R packages"
    CONDA = "conda environment"
    PIPENV = "Pipenv project"
    PYTHON = "Python packages"

    @property
    def reads_environment(self) -> bool:
        """Whether ``environment.yml`` counts. In repo2docker R and Julia stand on Python, and Python on conda."""
        return self in (Buildpack.CONDA, Buildpack.R, Buildpack.JULIA)

    @property
    def reads_requirements(self) -> bool:
        """Whether ``requirements.txt`` and a package of the repository itself count."""
        return self in (Buildpack.PYTHON, Buildpack.R, Buildpack.JULIA)


# Kinds that a file's name decides before runtime.txt is read, in the order in which they are tried.
_BY_NAME = {
    Buildpack.JULIA: ("Project.toml", "JuliaProject.toml"),
    Buildpack.JULIA_REQUIRE: ("REQUIRE",),
    Buildpack.NIX: ("default.nix",),
}


@dataclass(frozen=True, slots=True)
class Detection:
    """The kind, ``is_default`` where no file decided it, and what was read to find it."""

    buildpack: Buildpack
    runtime: Runtime | None = None
    project: PythonProject = field(default_factory=PythonProject)
    is_default: bool = False


def detect(files: ConfigFiles, *, dockerfile: bool) -> Detection:
    """The kind of a repository. A ``Dockerfile`` decides where it is there, unless ``dockerfile`` is False.

    Files are only read where it depends on them: a malformed ``runtime.txt`` is no error beside a ``Project.toml``, and
    one beside an ``environment.yml``, as in repo2docker. Raises what their readers raise.
    """
    if dockerfile:
        _refuse_legacy(files)
        if files.has("Dockerfile"):
            return Detection(Buildpack.DOCKERFILE)
    by_name = next((kind for kind, names in _BY_NAME.items() if files.found(*names)), None)
    if by_name in (Buildpack.JULIA_REQUIRE, Buildpack.NIX):
        return Detection(by_name)
    runtime = _runtime(files)
    if by_name is Buildpack.JULIA or _is_r(files, runtime):
        return Detection(by_name or Buildpack.R, runtime, read_python_project(files))
    return _python(files, runtime)


def _is_r(files: ConfigFiles, runtime: Runtime | None) -> bool:
    """Whether ``runtime.txt`` names R and a day (a version alone is not enough), or the repository is an R package."""
    has_day = runtime is not None and runtime.name == "r" and runtime.day is not None
    return has_day or (files.is_top and files.has("DESCRIPTION"))


def _python(files: ConfigFiles, runtime: Runtime | None) -> Detection:
    """One of the kinds that ask for packages of Python; the last of them where nothing decides."""
    name = runtime.name if runtime is not None else ""
    if files.found("environment.yml", "environment.yaml"):
        return Detection(Buildpack.CONDA)
    if name in ("", "python") and files.found("Pipfile", "Pipfile.lock"):
        return Detection(Buildpack.PIPENV, runtime)
    if name in ("", "python") and not files.has("requirements.txt") and files.found(*CONDA_LOCKS):
        return Detection(Buildpack.CONDA, runtime)
    project = read_python_project(files)
    decided = name == "python" if name else project.package is not None or files.has("requirements.txt")
    return Detection(Buildpack.PYTHON, runtime, project, is_default=not decided)


def _runtime(files: ConfigFiles) -> Runtime | None:
    path = files.path("runtime.txt")
    text = files.text(path)
    return None if text is None else Runtime.parse(text, file=path)


def _refuse_legacy(files: ConfigFiles) -> None:
    """A RepositoryError for a Dockerfile of Binder's first form: at the top, wherever else files are looked for."""
    text = files.text("Dockerfile")
    lines = [] if text is None else text.splitlines()
    for number, line in enumerate(lines, start=1):
        if _LEGACY_BASE.match(line):
            raise RepositoryError(
                "the base andrewosh/binder-base is of Binder's first form, which nothing builds any more",
                file="Dockerfile",
                line=number,
                hint="write what it installs into apt.txt and requirements.txt, and remove the Dockerfile",
            )
