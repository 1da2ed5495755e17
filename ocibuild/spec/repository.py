"""What a whole repository asks for, from all of its configuration files."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ocibuild.core.asks import AptAsk, Origin, PipAsks, RequirementsFile
from ocibuild.core.errors import MachineError, RepositoryError
from ocibuild.spec.apt_txt import parse_apt_txt
from ocibuild.spec.conda_environment import CondaEnvironment
from ocibuild.spec.conda_lock import read_conda_locks
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.detection import Buildpack, Detection, detect
from ocibuild.spec.ignore import IGNORE_FILES, IgnoreRules
from ocibuild.spec.notices import notices
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.pipfile import PipenvProject, read_pipfile
from ocibuild.spec.python_ask import PythonAsk
from ocibuild.spec.python_lock import read_python_lock
from ocibuild.spec.python_project import PythonProject, read_python_project
from ocibuild.spec.python_version import parse_python_version
from ocibuild.spec.r_environment import REnvironment, read_r_files
from ocibuild.spec.requirements import read_requirements
from ocibuild.spec.runtime_txt import Runtime
from ocibuild.spec.settings import parse_settings
from ocibuild.spec.text import decode_text

__all__ = ["SETTINGS_FILE", "RepositorySpec", "read_repository", "refuse_unsupported"]

SETTINGS_FILE = "ocibuild.toml"
_CONDA = re.compile(r"^[^#\n]*\b(?:conda|mamba)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RepositorySpec:
    """What the configuration files of a repository say, as far as they count. ``notices`` are worth telling the user.

    ``config_folder`` is ``binder``, ``.binder`` or ``""``. ``pip`` holds what files ask for, and not the repository's
    own package, which ``project`` tells of. ``conda`` is None where no environment counts, ``r`` is empty
    where nothing asks for R. ``post_build`` and ``start`` are the paths of the files with these names, None where there
    is none that counts; ``conda_program`` is the first of them that names conda or mamba.
    """

    options: BuildOptions = field(default_factory=BuildOptions)
    buildpack: Buildpack = Buildpack.PYTHON
    config_folder: str = ""
    apt: tuple[AptAsk, ...] = ()
    pip: PipAsks = field(default_factory=PipAsks)
    python: PythonAsk = field(default_factory=PythonAsk)
    project: PythonProject = field(default_factory=PythonProject)
    conda: CondaEnvironment | None = None
    runtime: Runtime | None = None
    r: REnvironment = field(default_factory=REnvironment)
    post_build: str | None = None
    start: str | None = None
    conda_program: str | None = None
    ignored: IgnoreRules = field(default_factory=IgnoreRules)
    notices: tuple[str, ...] = ()


def read_repository(
    reader: Callable[[str], bytes | None],
    *,
    is_folder: Callable[[str], bool],
    said: BuildOptions | None = None,
) -> RepositorySpec:
    """Read a repository's configuration files.

    As repo2docker does, looks in ``binder/`` or ``.binder/`` where one of them is there, and else at the top;
    ``ocibuild.toml`` is always at the top. ``reader`` gives a file's bytes, or None; ``is_folder`` tells of any path.
    The first kind of repository that matches decides which files count (:mod:`.detection`); with the option ``compose``
    of ``said`` or ``ocibuild.toml`` all do. A ``Dockerfile`` counts in the profile ``binder``, and never with
    ``compose``.

    A RepositoryError names file and line of what is wrong.
    """
    settings = reader(SETTINGS_FILE)
    options = BuildOptions()
    if settings is not None:
        options = parse_settings(decode_text(settings, file=SETTINGS_FILE), file=SETTINGS_FILE, read=reader)
    chosen = options if said is None else said.over(options)
    files = ConfigFiles.find(reader, is_folder=is_folder)
    found = detect(files, dockerfile=chosen.is_binder and not chosen.compose)
    reading = _Reading(files, found, compose=chosen.compose)
    spec = RepositorySpec(options=options, buildpack=found.buildpack, config_folder=files.folder, runtime=found.runtime)
    if found.buildpack is not Buildpack.DOCKERFILE:
        spec = reading.completed(spec)
    return replace(spec, notices=tuple(notices(spec, files, is_binder=chosen.is_binder)))


def refuse_unsupported(spec: RepositorySpec) -> None:
    """A MachineError where the repository cannot do without something that this version cannot give it.

    Building on would make an image that is silently less than what was asked for.
    """
    refused = []
    if spec.buildpack not in (Buildpack.CONDA, Buildpack.PIPENV, Buildpack.PYTHON, Buildpack.R):
        refused.append(f"it is a {spec.buildpack}")
    if refused:
        raise MachineError(
            f"this version cannot build the repository: {'; '.join(refused)}",
            hint="it builds what apt.txt, environment.yml, requirements.txt, Pipfile and locks of packages ask for; "
            "--compose takes those and leaves a Dockerfile out",
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads the files that count in one repository."""

    files: ConfigFiles
    found: Detection
    compose: bool

    def completed(self, spec: RepositorySpec) -> RepositorySpec:
        """The spec with everything that the files say."""
        files, buildpack = self.files, self.found.buildpack
        apt = files.path("apt.txt")
        has_requirements = self.compose or buildpack.reads_requirements
        pipenv = read_pipfile(files) if self.compose or buildpack is Buildpack.PIPENV else None
        conda = self._environment() if self.compose or buildpack.reads_environment else None
        project = self.found.project
        if self.compose:
            project = read_python_project(files)
        is_r = self.compose or buildpack is Buildpack.R
        return replace(
            spec,
            apt=parse_apt_txt(files.text(apt) or "", file=apt),
            pip=self._pip(pipenv, has_requirements=has_requirements),
            python=self._python(pipenv, conda, project),
            project=project if has_requirements else PythonProject(),
            conda=conda,
            r=read_r_files(files, self.found.runtime, counts=is_r, lock_counts=self.found.is_default),
            post_build=files.found("postBuild"),
            start=files.found("start"),
            conda_program=self._conda_program(),
            ignored=self._ignored(),
        )

    def _environment(self) -> CondaEnvironment | None:
        """The file's; a lock beside it says instead which packages there are."""
        locks = read_conda_locks(self.files)
        path = self.files.found("environment.yml", "environment.yaml")
        if path is None:
            return CondaEnvironment(locks[0].path, locks=locks) if locks else None
        from ocibuild.spec.environment_yml import parse_environment_yml  # noqa: PLC0415 - imports the reader of YAML

        environment = parse_environment_yml(self.files.text(path) or "", file=path)
        return replace(environment, dependencies=(), pip=None, locks=locks) if locks else environment

    def _pip(self, pipenv: PipenvProject | None, *, has_requirements: bool) -> PipAsks:
        """What requirements files and what stands for one ask; a lock only counts without a ``requirements.txt``."""
        asks = PipAsks()
        requirements = self.files.path("requirements.txt")
        if has_requirements and self.files.has("requirements.txt"):
            asks = read_requirements(requirements, self.files.reader)
        translated: list[RequirementsFile | None] = [None if pipenv is None else pipenv.requirements]
        if has_requirements and not asks.files:
            translated.append(read_python_lock(self.files))
        return replace(asks, files=(*asks.files, *filter(None, translated)))

    def _python(
        self, pipenv: PipenvProject | None, conda: CondaEnvironment | None, project: PythonProject
    ) -> PythonAsk:
        """Pipenv's files say it first, then the conda environment, then ``runtime.txt``, then ``.python-version``.

        As in repo2docker ``runtime.txt`` names no Python for Pipenv, and ``requires-python`` chooses among the rest.
        """
        if pipenv is not None and pipenv.python:
            return PythonAsk(pipenv.python, pipenv.python_origin)
        if conda is not None and conda.python:
            return PythonAsk(".".join(conda.python.split(".")[:2]), conda.python_origin)
        has_runtime = self.compose or self.found.buildpack is not Buildpack.PIPENV
        version, origin = _runtime_python(self.found.runtime) if has_runtime else ("", None)
        preferred = self._preferred() if not version else None
        if preferred is not None:
            version, origin = preferred
        counts = self.compose or self.found.buildpack.reads_requirements
        specifier, where = (project.requires_python, project.requires_origin) if counts else ("", None)
        return PythonAsk(version, origin, specifier, where, is_preference=preferred is not None)

    def _preferred(self) -> tuple[str, Origin] | None:
        path = self.files.path(".python-version")
        return parse_python_version(self.files.text(path) or "", file=path)

    def _conda_program(self) -> str | None:
        """The first program of the repository that names conda or mamba."""
        paths = filter(None, (self.files.found("postBuild"), self.files.found("start")))
        return next((path for path in paths if _CONDA.search(self.files.text(path) or "")), None)

    def _ignored(self) -> IgnoreRules:
        rules = IgnoreRules()
        for name in IGNORE_FILES:
            path = self.files.path(name)
            rules += IgnoreRules.parse(self.files.text(path) or "", file=path)
        return rules


def _runtime_python(runtime: Runtime | None) -> tuple[str, Origin | None]:
    """The version of ``python-3.11``, a major and a minor one or the major one alone as in Binder, and where it is."""
    if runtime is None or runtime.name != "python" or not runtime.version:
        return "", None
    parts = runtime.version.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts) or len(parts) > 2:  # noqa: PLR2004 - 3.11
        raise RepositoryError(
            f"{runtime.version!r} is no version of Python that can be asked for here",
            file=runtime.origin.file,
            line=runtime.origin.line,
            hint="write python-3.11",
        )
    return runtime.version, runtime.origin
