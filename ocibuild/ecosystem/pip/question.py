"""What uv is asked: ``uv pip compile`` for another platform and Python than this machine's."""

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import MachineError, UsageError
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.explanation import explained, source_only_names
from ocibuild.ecosystem.pip.requirements_file import Requirements
from ocibuild.ecosystem.pip.sources import Sources, secret_forms
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.ecosystem.pip.uv import Uv, UvAnswer
from ocibuild.net.address import split_userinfo

__all__ = ["Question", "merged", "uv_for"]


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
    proxy = {"HTTP_PROXY": settings.proxy, "HTTPS_PROXY": settings.proxy} if settings.proxy else {}
    return Uv(
        cache_folder=cache_folder,
        folder=folder,
        environment=environment,
        variables=sources.variables() | proxy,
        secrets=(*sources.secrets, *secret_forms(passwords)),
        certificate=Path(settings.certificate) if settings.certificate else None,
    )


@dataclass(frozen=True, slots=True)
class Question:
    """One resolution, which uv may be asked to answer in several forms.

    ``constraints`` are versions by name. Only wheels are looked for: a source package's metadata would be made by
    running its code on this machine.
    """

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
            f"no wheel for {self.target.description}: {listed}; it would have to be "
            "built from source, which this program does not do yet",
            hint=f"ask for a version that has a wheel ({'; '.join(known)}), or put a wheel into the repository",
        )

    def ask_pins(self, pins: list[str]) -> UvAnswer:
        """Ask where the files of these exact versions (``name==version``) are, for a PEP 751 document."""
        self._write("pins.txt", pins)
        return self._run("pins.txt", "--no-deps", "--format=pylock.toml")

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
                "--only-binary=:all:",
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
