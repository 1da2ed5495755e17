"""What uv is asked: ``uv pip compile`` for another platform and Python than this machine's."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ocibuild.core.errors import MachineError, RepositoryError, UsageError
from ocibuild.ecosystem.pip.built import WheelMetadata
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.explanation import explained, names_one, source_only_names, unbuilt_pins
from ocibuild.ecosystem.pip.formats import ALL, Formats
from ocibuild.ecosystem.pip.requirements_file import Requirements
from ocibuild.ecosystem.pip.sources import Sources, secret_forms
from ocibuild.ecosystem.pip.stand_in import StandIn
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.pip.uv import Uv, UvAnswer
from ocibuild.net.address import split_userinfo

__all__ = ["Question", "merged", "uv_for"]

_NEVER = "false"


def merged(settings: IndexSettings, requirements: Requirements) -> IndexSettings:
    """The machine's settings and the files' own options: as in pip, an index named there replaces the configured ones.

    A UsageError where the machine's settings name a constraint file that does not exist.
    """
    for path in settings.constraints:
        if "://" not in path and not Path(path).is_file():
            raise UsageError(
                f"the constraint file {path} does not exist",
                hint="pip's or uv's configuration of this machine names it",
            )
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


def uv_for(
    settings: IndexSettings,
    sources: Sources,
    requirements: Requirements,
    *,
    folder: Path,
    cache_folder: Path,
    environment: Mapping[str, str],
) -> Uv:
    """A uv that knows the credentials of these sources and says none of them; ``folder`` is empty and its own."""
    passwords = [split_userinfo(each.url)[2] for each in requirements.required if each.url]
    client = {"SSL_CLIENT_CERT": settings.client_certificate} if settings.client_certificate else {}
    proxy = {"HTTP_PROXY": settings.proxy, "HTTPS_PROXY": settings.proxy} if settings.proxy else {}
    return Uv(
        cache_folder=cache_folder,
        folder=folder,
        environment=environment,
        variables=sources.variables() | proxy | client,
        secrets=(*sources.secrets, *secret_forms(passwords)),
        certificate=Path(settings.certificate) if settings.certificate else None,
    )


@dataclass(frozen=True, slots=True)
class Question:
    """One resolution, which uv may be asked to answer in several forms.

    ``constraints`` are versions by name, and so are ``preferred``, which give way to whatever is required. ``known`` is
    the metadata of source packages, by name and version: what has been built, and, as :meth:`resolved` goes on, of
    others that no dependency is known of. ``overrides`` are requirements that stand for every other of their names.
    ``undated`` are names of which ``exclude_newer`` leaves nothing out.
    ``unsuitable`` are versions that are not taken, and why. ``without_wheels`` are, where wheels are preferred, names
    for which no wheel does, as they are found.
    """

    uv: Uv
    target: PythonTarget
    settings: IndexSettings
    sources: Sources
    requirements: Requirements
    constraints: Mapping[str, str]
    exclude_newer: str | None
    offline: bool
    known: dict[tuple[str, str], WheelMetadata] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    unsuitable: Mapping[tuple[str, str], str] = field(default_factory=dict)
    without_wheels: set[str] = field(default_factory=set)
    preferred: Mapping[str, str] = field(default_factory=dict)
    undated: frozenset[str] = frozenset()
    stand_in: StandIn = field(init=False)

    def __post_init__(self) -> None:
        stand_in = StandIn(self.uv.cache_folder.with_name(f"{self.uv.cache_folder.name}-stand-in"))
        object.__setattr__(self, "stand_in", stand_in)
        asking = dataclasses.replace(self.uv, variables={**self.uv.variables, **stand_in.variables})
        answer = asking.run(stand_in.question())
        if not answer.is_done:
            raise MachineError(f"uv cannot use the Python that runs this program: {answer.messages}")

    def resolved(self) -> UvAnswer:
        """Ask for everything as a PEP 751 document.

        What only a build could tell the dependencies of is taken to have none, and is in the answer: its builds then
        bring what is missing. The answer is not done where something else is wrong.
        """
        while True:
            answer = self.ask("--format=pylock.toml")
            new = [pin for pin in unbuilt_pins(answer) if pin not in self.known]
            self.known.update({(name, version): WheelMetadata(name, version) for name, version in new})
            allowed = self._allowed_sources(answer)
            self.without_wheels.update(allowed)
            if answer.is_done or not (new or allowed):
                return answer

    def _allowed_sources(self, answer: UvAnswer) -> list[str]:
        """What else may be built where wheels are only preferred: what has none, and in the end everything."""
        formats = self.requirements.formats
        if answer.is_done or not formats.prefer_wheels or ALL in self.without_wheels:
            return []
        names = [name for name in source_only_names(answer) if formats.allows_sources(name)]
        return [name for name in names if name not in self.without_wheels] or [ALL]

    def ask(self, *arguments: str) -> UvAnswer:
        """Ask for everything that is required."""
        self._write("requirements.txt", [each.text for each in self.requirements.required])
        fixed = [f"{name}=={version}" for name, version in sorted(self.constraints.items())]
        refused = [f"{name}!={version}" for name, version in self.unsuitable]
        constraints = [*(each.text for each in self.requirements.constraints), *fixed, *refused]
        self._write("constraints.txt", constraints)
        files = ["constraints.txt"] if constraints else []  # uv warns of an empty one
        files = [f"--constraints={path}" for path in [*files, *self.settings.constraints]]
        if self.overrides:
            self._write("overrides.txt", self.overrides)
            files.append("--overrides=overrides.txt")
        formats = self.requirements.formats
        if formats.prefer_wheels and ALL not in self.without_wheels:
            formats = Formats(formats.no_wheels | self.without_wheels, frozenset({ALL}))
        asked = (*self.requirements.required, *self.requirements.constraints)
        prereleases = sorted({each.name for each in asked if each.names_prerelease})
        flags = [f"--prerelease-package={name}=allow" for name in prereleases]
        files += self._preferences(is_document="--format=pylock.toml" in arguments)
        return self._run("requirements.txt", *files, *flags, *formats.arguments(), *arguments)

    def _preferences(self, *, is_document: bool) -> list[str]:
        """An earlier answer as uv takes it: what it would write to holds versions that it keeps where it can.

        uv's documentation, "Locking environments", "Upgrading requirements". It reads the form that it is to write.
        """
        if not self.preferred:
            return []
        name = "pylock.preferred.toml" if is_document else "preferred.txt"
        pins = sorted(self.preferred.items())
        tables = [f"[[packages]]\nname = {json.dumps(each)}\nversion = {json.dumps(version)}" for each, version in pins]
        head = 'lock-version = "1.0"\ncreated-by = "ocibuild"'
        self._write(name, [head, *tables] if is_document else [f"{each}=={version}" for each, version in pins])
        return [f"--output-file={name}"]

    def annotations(self) -> str:
        """The same resolution with who needs what and where it is from; from uv's cache if that is enough."""
        arguments = ("--format=requirements.txt", "--emit-index-annotation", "--annotation-style=split")
        answer = self.ask(*arguments, "--offline")
        if not answer.is_done and not self.offline:
            answer = self.ask(*arguments)
        return answer.output if answer.is_done else ""

    def fail(self, answer: UvAnswer) -> None:
        """Raise what the failed answer means; all packages that have no wheel, and must have one, are named at once."""
        names: list[str] = []
        while (more := [name for name in source_only_names(answer) if name not in names]) and not answer.is_done:
            names += more
            self._write("excludes.txt", names)
            answer = self.ask("--excludes=excludes.txt")
        if names:
            raise self._source_only(names)
        error = explained(answer, self.requirements.required)
        fixed = [f"{name} {version}" for name, version in self.constraints.items() if names_one(answer.messages, name)]
        if fixed and isinstance(error, RepositoryError):
            error.hint = (
                f"the conda environment has {', '.join(fixed)}: ask conda for a version that fits, or let pip replace "
                "what is there (--pip-overrides)"
            )
        if self.unsuitable:
            refused = [f"not taken: {why}" for why in self.unsuitable.values()]
            error.hint = "; ".join([*refused, *([error.hint] if error.hint else [])])
        raise error

    def _source_only(self, names: list[str]) -> RepositoryError:
        """Name the packages, who asks for them, and the newest version that has a wheel, if any has."""
        known = [self.newest_with_wheel(name) for name in names]
        asked = {each.name: each.origin for each in self.requirements.required}
        listed = ", ".join(f"{name} ({asked[name]})" if name in asked else name for name in names)
        origin = next((asked[name] for name in names if name in asked), None)
        return RepositoryError(
            f"no wheel for {self.target.description}: {listed}; and --only-binary allows nothing else",
            file=origin.file if origin else None,
            line=origin.line if origin else None,
            hint=f"ask for a version that has a wheel ({'; '.join(known)}), or allow its source",
        )

    def newest_with_wheel(self, name: str) -> str:
        """In words, the newest version of a package that has a wheel for the target."""
        self._write("one.txt", [name])
        answer = self._run("one.txt", "--no-deps", "--no-annotate", "--only-binary=:all:")
        pins = [line for line in answer.output.splitlines() if line.startswith(f"{name}==")]
        return f"{pins[0]} has one" if answer.is_done and pins else f"no version of {name} has one"

    def ask_pins(self, pins: list[str]) -> UvAnswer:
        """Ask where the files of these exact versions (``name==version``) are, for a PEP 751 document."""
        self._write("pins.txt", pins)
        return self._run("pins.txt", "--no-deps", "--format=pylock.toml")

    def _age_limits(self) -> list[str]:
        if not self.exclude_newer:
            return []
        exempt = [f"--exclude-newer-package={name}={_NEVER}" for name in sorted(self.undated)]
        return [f"--exclude-newer={self.exclude_newer}", *exempt]

    def _write(self, name: str, lines: Iterable[str]) -> None:
        (self.uv.folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _run(self, file_name: str, *arguments: str) -> UvAnswer:
        self._write("uv.toml", [_table(metadata) for metadata in self.known.values()])
        return self.uv.run(
            [
                "pip",
                "compile",
                file_name,
                "--config-file=uv.toml",  # and no other
                "--no-python-downloads",
                "--no-header",
                "--no-progress",
                "--color=never",
                "--no-build-isolation",  # nothing is built: see the stand-in
                f"--python={self.stand_in.program}",  # all that counts of it is given below
                f"--python-platform={self.target.uv_platform}",
                f"--python-version={self.target.version}",
                *self.sources.arguments(),
                *(f"--allow-insecure-host={host}" for host in self.settings.trusted_hosts),
                *(["--prerelease=allow"] if self.settings.prereleases else []),
                *self._age_limits(),
                *(["--offline"] if self.offline and "--offline" not in arguments else []),
                *arguments,
            ]
        )


def _table(metadata: WheelMetadata) -> str:
    """A source package's metadata as uv's settings hold it (uv, "Settings", ``dependency-metadata``).

    TOML takes JSON's strings and lists as they are.
    """
    lines = ["[[dependency-metadata]]", f"name = {json.dumps(metadata.name)}"]
    lines += [
        f"version = {json.dumps(metadata.version)}",
        f"requires-dist = {json.dumps(list(metadata.requires_dist))}",
    ]
    lines += [f"provides-extra = {json.dumps(list(metadata.provides_extra))}"] if metadata.provides_extra else []
    lines += [f"requires-python = {json.dumps(metadata.requires_python)}"] if metadata.requires_python else []
    return "\n".join(lines)
