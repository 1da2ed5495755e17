"""Resolving: what is asked of pip -> packages pinned to their bytes, for the image's Python and not this machine's.

uv resolves and gives a PEP 751 document, from which ``packaging.pylock`` selects one wheel a package. No code of any
package is run: what has no wheel is named, and not built.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.asks import PipAsks
from ocibuild.core.errors import MachineError, UsageError
from ocibuild.core.events import EventSink, Notice, discard
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.explanation import explained, source_only_names
from ocibuild.ecosystem.pip.requirements_file import Requirements, read_requirements
from ocibuild.ecosystem.pip.selection import Selection, read_annotations
from ocibuild.ecosystem.pip.sources import Sources
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.pip.uv import Uv, UvAnswer

__all__ = ["PipResolution", "resolve"]


@dataclass(frozen=True, slots=True)
class PipResolution:
    """The packages, sorted by name, and where this machine finds them.

    A package's URL is its source's address and its path, joined. ``addresses`` may hold credentials and belongs to
    this machine: it is never recorded.
    """

    packages: tuple[LockedPackage, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def resolve(
    asks: PipAsks,
    target: PythonTarget,
    settings: IndexSettings,
    *,
    folder: Path,
    cache_folder: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, str] = MappingProxyType({}),
    constraints: Mapping[str, str] = MappingProxyType({}),
    exclude_newer: str | None = None,
    offline: bool = False,
    folder_in_image: str = "",
    tell: EventSink = discard,
) -> PipResolution:
    """Resolve ``asks`` for ``target`` over the indexes of ``settings`` and of the requirements files themselves.

    ``folder`` is the repository; ``cache_folder`` is uv's, kept between builds; of ``environment`` uv sees proxies,
    certificates, HOME and the like; ``variables`` fill ``${NAME}`` in requirements files. ``constraints`` are versions
    (by name) that something else in the image fixes. ``exclude_newer`` is a date or time as uv takes it: no file that
    was uploaded later is considered. ``folder_in_image`` is where the repository will be, for ``direct_url.json`` of
    local wheels.

    A bad line, an unknown name, a conflict, a wrong or missing hash is a RepositoryError; a package without a wheel for
    the target, or a line that asks for a build, a MachineError naming it; an index that cannot be asked a NetworkError.
    """
    requirements = read_requirements(asks, folder=folder, variables=variables)
    if not requirements.required:
        return PipResolution()
    _refuse_builds(requirements)
    settings = _merged(settings, requirements)
    sources = Sources.of(settings)
    _check_constraint_files(settings)
    with tempfile.TemporaryDirectory(prefix="ocibuild-pip-") as scratch:
        uv = Uv(
            cache_folder=cache_folder,
            folder=Path(scratch),
            environment=environment,
            variables=sources.variables() | _proxy(settings),
            secrets=sources.secrets,
            certificate=Path(settings.certificate) if settings.certificate else None,
        )
        question = _Question(uv, target, settings, sources, requirements, constraints, exclude_newer, offline)
        answer = question.ask("--format=pylock.toml")
        for warning in answer.warnings:
            tell(Notice(warning, warning=True))
        if not answer.is_done:
            question.fail(answer)
        annotations = read_annotations(question.annotations())
    selection = Selection(requirements, target, sources, folder, folder_in_image, settings.require_hashes)
    return PipResolution(*selection.read(answer.output, annotations))


def _refuse_builds(requirements: Requirements) -> None:
    to_build = [each for each in requirements.required if each.must_build]
    if to_build:
        raise MachineError(
            "packages would have to be built from source, which this program does not do yet: "
            + "; ".join(f"{each.origin}: {each.text}: {each.must_build}" for each in to_build),
            hint="name a release that has a wheel, or build the wheel, put it into the repository and name its path",
        )


def _merged(settings: IndexSettings, requirements: Requirements) -> IndexSettings:
    """The files' own options win, as in pip: an index named there replaces the configured ones."""
    if requirements.index_url:
        settings = dataclasses.replace(settings, index_url=requirements.index_url, extra_index_urls=())
    return settings.joined(
        IndexSettings(
            extra_index_urls=requirements.extra_index_urls,
            find_links=requirements.find_links,
            trusted_hosts=requirements.trusted_hosts,
            no_index=requirements.no_index,
            prereleases=requirements.prereleases,
            require_hashes=requirements.require_hashes,
        )
    )


def _check_constraint_files(settings: IndexSettings) -> None:
    for path in settings.constraints:
        if "://" not in path and not Path(path).is_file():
            raise UsageError(
                f"the constraint file {path} does not exist",
                hint="pip's or uv's configuration of this machine names it",
            )


def _proxy(settings: IndexSettings) -> dict[str, str]:
    return {"HTTP_PROXY": settings.proxy, "HTTPS_PROXY": settings.proxy} if settings.proxy else {}


@dataclass(frozen=True, slots=True)
class _Question:
    """One resolution, which uv may be asked to answer in several forms."""

    uv: Uv
    target: PythonTarget
    settings: IndexSettings
    sources: Sources
    requirements: Requirements
    constraints: Mapping[str, str]
    exclude_newer: str | None
    offline: bool

    def ask(self, *arguments: str) -> UvAnswer:
        """Ask for everything that is required."""
        self._write("requirements.txt", [each.text for each in self.requirements.required])
        fixed = [f"{name}=={version}" for name, version in sorted(self.constraints.items())]
        constraints = [*(each.text for each in self.requirements.constraints), *fixed]
        self._write("constraints.txt", constraints)
        files = ["constraints.txt"] if constraints else []  # uv warns of an empty one
        files = [f"--constraints={path}" for path in [*files, *self.settings.constraints]]
        return self._run("requirements.txt", *files, *arguments)

    def annotations(self) -> str:
        """The same resolution with who needs what and where it is from; from uv's cache if that is enough."""
        arguments = ("--format=requirements.txt", "--emit-index-annotation", "--annotation-style=split")
        answer = self.ask(*arguments, "--offline")
        if not answer.is_done and not self.offline:
            answer = self.ask(*arguments)
        return answer.output if answer.is_done else ""

    def fail(self, answer: UvAnswer) -> None:
        """Raise what the failed answer means; all packages that have no wheel are named at once."""
        names: list[str] = []
        while (more := [name for name in source_only_names(answer) if name not in names]) and not answer.is_done:
            names += more
            self._write("excludes.txt", names)
            answer = self.ask("--excludes=excludes.txt")
        if names:
            raise self._source_only(names)
        raise explained(answer, self.requirements.required)

    def _source_only(self, names: list[str]) -> MachineError:
        """Name the packages, who asks for them, and the newest version that has a wheel, if any has."""
        known = []
        for name in names:
            self._write("one.txt", [name])
            answer = self._run("one.txt", "--no-deps", "--no-annotate")
            pins = [line for line in answer.output.splitlines() if line.startswith(f"{name}==")]
            known.append(f"{pins[0]} has one" if answer.is_done and pins else f"no version of {name} has one")
        asked = {each.name: str(each.origin) for each in self.requirements.required}
        listed = ", ".join(f"{name} ({asked[name]})" if name in asked else name for name in names)
        return MachineError(
            f"no wheel for Python {self.target.minor_version} on {self.target.platform}: {listed}; it would have to be "
            "built from source, which this program does not do yet",
            hint=f"ask for a version that has a wheel ({'; '.join(known)}), or put a wheel into the repository",
        )

    def _write(self, name: str, lines: list[str]) -> None:
        (self.uv.folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _run(self, file_name: str, *arguments: str) -> UvAnswer:
        return self.uv.run(
            [
                "pip",
                "compile",
                file_name,
                "--no-config",
                "--no-python-downloads",
                "--no-header",
                "--no-progress",
                "--color=never",
                "--only-binary=:all:",  # a source package's metadata would be made by running its code here
                f"--python={sys.executable}",  # uv wants one to start from; all that counts of it is given below
                f"--python-platform={self.target.uv_platform}",
                f"--python-version={self.target.version}",
                *self.sources.arguments(),
                *(f"--allow-insecure-host={host}" for host in self.settings.trusted_hosts),
                *(["--prerelease=allow"] if self.settings.prereleases else []),
                *([f"--exclude-newer={self.exclude_newer}"] if self.exclude_newer else []),
                *(["--offline"] if self.offline and "--offline" not in arguments else []),
                *arguments,
            ]
        )
