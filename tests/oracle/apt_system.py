"""A system for apt in a folder of its own, with the real mirror's indexes, and the same as a universe for the solver."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ocibuild.ecosystem.apt.archive import Archive
from ocibuild.ecosystem.apt.deb822 import Paragraph, decode, read_paragraphs
from ocibuild.ecosystem.apt.preferences import Preferences
from ocibuild.ecosystem.apt.universe import PackagesIndex, Universe

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MARKER = Path(__file__).with_name("apt_marker.py")


@dataclass(frozen=True)
class Outcome:
    """What was decided: full name -> version, names removed, names with the automatic mark (None where not known)."""

    install: dict[str, str]
    remove: tuple[str, ...]
    automatic: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Refused:
    """apt ended with an error, or would call its problem resolver."""

    why: str


@dataclass
class AptSystem:
    """apt redirected to ``root``; ``sources`` are the lines of sources.list."""

    root: Path
    sources: list[str]
    architectures: tuple[str, ...] = ("amd64",)
    preferences: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    extended_states: str = ""
    lists: Path | None = None

    def __post_init__(self) -> None:
        for folder in (
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/apt.conf.d",
            "var/lib/apt",
            "var/lib/dpkg",
            "var/cache/apt/archives/partial",
            "var/log/apt",
        ):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        lists = self.lists or self.root / "var/lib/apt/lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        (self.root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in self.sources))
        for name, text in self.preferences.items():
            (self.root / "etc/apt/preferences.d" / name).write_text(text)
        (self.root / "var/lib/dpkg/status").write_bytes(self.status.encode("utf-8", "surrogateescape"))
        (self.root / "var/lib/apt/extended_states").write_text(self.extended_states)
        listed = " ".join(f'"{one}";' for one in self.architectures)
        (self.root / "apt.conf").write_text(
            f'Dir "{self.root}/";\nDir::State::status "{self.root}/var/lib/dpkg/status";\nDir::State::Lists "{lists}/";\n'
            f'APT::Architecture "{self.architectures[0]}";\nAPT::Architectures {{ {listed} }};\n'
            'APT::Get::List-Cleanup "false";\nAcquire::Languages "none";\nAPT::Sandbox::User "root";\nDebug::NoLocking "true";\nDir::Etc::trusted "/dev/null";\n'
            'APT::Never-MarkAuto-Sections { "metapackages"; "tasks"; };\nAPT::Move-Autobit-Sections { "oldlibs"; };\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C.UTF-8"}

    def run(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.stderr}")
        return done.stdout

    def update(self) -> None:
        """Fetch the indexes. One that a mirror in the middle of its own update does not give is missing for both."""
        done = subprocess.run(
            ["apt-get", "update", "-qq"], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or "Mirror sync in progress" in done.stderr, done.stderr

    def universe(self) -> Universe:
        """The indexes that apt itself reads, in its order."""
        text = self.run(
            "apt-get", "indextargets", "--format",
            "$(FILENAME)|$(SITE)|$(SUITE)|$(CODENAME)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(ARCHITECTURE)|$(RELEASE)|$(REPO_URI)", "Created-By: Packages",
        )  # fmt: skip
        indexes = []
        for line in text.splitlines():
            file, _, suite, codename, origin, label, component, architecture, _, uri = line.split("|")
            if not Path(file).exists():
                continue
            release = self._release(file)
            archive = Archive(
                source=uri, origin=origin, label=label, suite=suite, codename=codename, component=component,
                version=release.get("Version", ""),
                site=re.sub(r"^[a-z]+://([^/:]*).*", r"\1", uri) if "://" in uri else "",
                architecture=architecture,
                not_automatic=release.get("NotAutomatic") == "yes",
                but_automatic_upgrades=release.get("ButAutomaticUpgrades") == "yes",
            )  # fmt: skip
            indexes.append(PackagesIndex(archive, decode(Path(file).read_bytes())))
        return Universe(
            indexes,
            architecture=self.architectures[0],
            foreign_architectures=self.architectures[1:],
            status=self.status,
            extended_states=self.extended_states,
        )

    def _release(self, file: str) -> Paragraph:
        folder, name = Path(file).parent, Path(file).name
        found = [
            path
            for path in folder.glob("*Release")
            if name.startswith(path.name.removesuffix("InRelease").removesuffix("Release"))
        ]
        best = max(found, key=lambda path: len(path.name), default=None)
        if best is None:
            return Paragraph()
        text = decode(best.read_bytes())
        return next(
            (one for one in read_paragraphs(text) if "Suite" in one or "Codename" in one or "Date" in one), Paragraph()
        )

    def parsed_preferences(self) -> Preferences:
        return Preferences.parse(sorted(self.preferences.items()))

    def simulate(self, words: Sequence[str], *, recommends: bool) -> Outcome | Refused:
        """apt-get's own answer. Where it repaired something, that is part of the answer."""
        done = subprocess.run(
            ["apt-get", "-s", "install", "-y", "--allow-downgrades", "--allow-change-held-packages", "--allow-remove-essential",
             "-o", f"APT::Install-Recommends={str(recommends).lower()}", "-o", "Debug::pkgProblemResolver=true", *words],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return Refused(done.stderr[-400:])
        output = done.stdout + done.stderr
        if re.search(r"^Investigating \(", output, re.MULTILINE):
            return Refused("the problem resolver was called")
        if "The following essential packages will be removed" in output:
            return Refused("apt-get --yes would not remove an essential package")
        install = {
            found[1].removesuffix(f":{self.architectures[0]}"): found[2]
            for found in re.finditer(r"^Inst (\S+)(?: \[[^\]]*\])? \((\S+)", done.stdout, re.MULTILINE)
        }
        remove = re.findall(r"^(?:Remv|Purg) (\S+)", done.stdout, re.MULTILINE)
        return Outcome(install, tuple(sorted(remove)))


class Marker:
    """One process with apt's library, which answers many cases."""

    def __init__(self, system: AptSystem, *, recommends: bool) -> None:
        config = system.root / f"apt-{recommends}.conf"
        config.write_text(
            (system.root / "apt.conf").read_text() + f'APT::Install-Recommends "{str(recommends).lower()}";\n'
        )
        self._process = subprocess.Popen(
            ["/usr/bin/python3", str(MARKER)],
            env={**system.environment, "APT_CONFIG": str(config)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._system = system
        self._recommends = recommends

    def answer(self, words: Sequence[str]) -> Outcome | Refused:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(list(words)) + "\n")
        self._process.stdin.flush()
        value = json.loads(self._process.stdout.readline())
        if "special" in value:
            return self._system.simulate(words, recommends=self._recommends)
        if "unknown" in value:
            return Refused(f"unable to locate {value['unknown']}")
        if "broken" in value:
            return Refused(f"the problem resolver would be called for {value['broken']} packages")
        return Outcome(value["install"], tuple(value["remove"]), tuple(value["automatic"]))

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def machine_mirrors() -> Iterator[str]:
    """The addresses of the archives that this machine's apt uses: the main one, then that of security updates."""
    text = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    lines = [line.split() for line in text.splitlines()]
    yield next(uri for uri, suite in lines if "security" not in suite)
    yield next(uri for uri, suite in lines if "security" in suite)
