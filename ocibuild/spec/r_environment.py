"""What a repository asks of R: ``DESCRIPTION``, ``runtime.txt``, ``renv.lock``, ``install.R`` and ``ocibuild.toml``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ocibuild.core.asks import StepAsk
from ocibuild.core.errors import RepositoryError
from ocibuild.core.origin import Origin
from ocibuild.core.r_asks import RAsk, RAsks, RRequirement
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.r_description import RDescription, read_records
from ocibuild.spec.r_script import literal_packages
from ocibuild.spec.renv_lock import RenvLock, parse_renv_lock
from ocibuild.spec.runtime_txt import Runtime

__all__ = ["DEBIAN_RS", "REnvironment", "bases_with_r", "read_r_files"]

DEBIAN_RS: Mapping[str, str] = MappingProxyType({"apt:bookworm": "4.2.2", "apt:trixie": "4.5.0"})
"""Bases made of Debian's packages and the R of each (packages.debian.org, r-base-core)."""

_DESCRIPTION = "DESCRIPTION"
_USER_LIBRARY = "/srv/rlibs"  # layers/r
_BUILT = "--built-timestamp=1980-01-01 00:00:00 UTC"  # what the field Built says: two builds give the same bytes


@dataclass(frozen=True, slots=True)
class REnvironment:
    """What files say of R. ``script`` and ``description`` are the paths of ``install.R`` and ``DESCRIPTION``.

    ``needs`` are what the repository's own package needs, ``literals`` what the script names. ``remotes`` are the
    packages for which ``DESCRIPTION`` names another place than a repository.
    """

    runtime: Runtime | None = None
    script: str | None = None
    description: str | None = None
    needs: tuple[RAsk, ...] = ()
    lock: RenvLock | None = None
    literals: tuple[RAsk, ...] = ()
    remotes: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin | None:
        """The file that asks for R; None where none does."""
        named = self.runtime.origin.file if self.runtime is not None else None
        file = named or self.description or (self.lock.file if self.lock else None) or self.script
        return None if file is None else Origin(file)

    def asks(self, options: BuildOptions) -> RAsks:
        """All that is asked of R, with what the options say. In Binder's images the repository's package is built."""
        installs_package = options.is_binder and self.description is not None
        wanted = self.origin or (options.r_packages[0].origin if options.r_packages else None)
        literals = self.literals if options.r_preinstall else ()
        locked = self.lock.packages if self.lock is not None else ()
        return RAsks(
            wanted,
            (*options.r_packages, *self.needs, *locked, *literals),
            self.runtime.version if self.runtime is not None else "",
            self.runtime.origin if self.runtime is not None else None,
            (self.runtime.day if self.runtime is not None else None) or options.as_of,
            options.r_repositories,
            options.r_preference or "repository",
            (Origin(self.lock.file), self.lock.r_version) if self.lock is not None else None,
            compiles=self.script is not None or installs_package,
        )

    @property
    def runs_code(self) -> bool:
        """Whether the repository has code that runs in the build."""
        return self.script is not None or self.description is not None

    def steps(self, *, installs_package: bool) -> Iterator[StepAsk]:
        """What runs: the script, then the installation of the repository's own package, as repo2docker does."""
        if self.script is not None:
            command = ("Rscript", "--no-save", "--no-restore", "--no-init-file", "--no-environ", self.script)
            yield StepAsk("install.R", command, Origin(self.script))
        if installs_package and self.description is not None:
            install = ("R", "CMD", "INSTALL", "--clean", f"--library={_USER_LIBRARY}", _BUILT, ".")
            yield StepAsk("the repository's R package", install, Origin(self.description))


def bases_with_r(asks: RAsks, offered: Mapping[str, str] = DEBIAN_RS) -> tuple[str, ...]:
    """The bases that have the R asked for; a RepositoryError with file and line where none has."""
    found = tuple(base for base, version in offered.items() if f"{version}.".startswith(f"{asks.version}."))
    if not asks.version:
        return tuple(offered)
    if found:
        return found
    origin = asks.version_origin
    known = ", ".join(f"{'.'.join(version.split('.')[:2])} ({base})" for base, version in offered.items())
    raise RepositoryError(
        f"R {asks.version} is asked for, and no base of Debian's packages has it",
        file=origin.file if origin else None,
        line=origin.line if origin else None,
        hint=f"there are {known}. Ubuntu's releases have others (--base apt:jammy 4.1, apt:noble 4.3), images such as "
        "rocker/r-ver their own, and so may a source of Debian packages: [[apt.source]] with --base",
    )


def read_r_files(files: ConfigFiles, runtime: Runtime | None, *, counts: bool, lock_counts: bool) -> REnvironment:
    """Read the files of R that count; a RepositoryError names file and line of what is wrong.

    ``counts`` tells that the repository is one of R's; ``renv.lock`` also counts by itself where ``lock_counts``.
    """
    lock = files.found("renv.lock") if counts or lock_counts else None
    renv = parse_renv_lock(files.text(lock) or "", file=lock) if lock is not None else None
    if not counts:
        return REnvironment(lock=renv)
    script = files.found("install.R")
    description = _DESCRIPTION if files.is_top and files.has(_DESCRIPTION) else None
    text = files.text(_DESCRIPTION) or "" if description else ""
    return REnvironment(
        runtime if runtime is not None and runtime.name == "r" else None,
        script,
        description,
        tuple(_needs(text)) if description else (),
        renv,
        literal_packages(files.text(script) or "", file=script) if script is not None else (),
        _remotes(text),
    )


def _needs(text: str) -> Iterator[RAsk]:
    """What ``remotes::install_local`` would install: ``Depends``, ``Imports``, ``LinkingTo``, but for ``Remotes``."""
    record = next(read_records(text), {})
    try:
        needs = RDescription(record).needs
    except ValueError as error:
        raise RepositoryError(f"not the description of an R package: {error}", file=_DESCRIPTION) from error
    elsewhere = {word.partition("@")[0].rpartition("/")[2] for word in _words(record.get("Remotes", ""))}
    for need in needs:
        if need.name not in elsewhere:
            yield RAsk(need, Origin(_DESCRIPTION, _line(need, text)))


def _remotes(text: str) -> tuple[str, ...]:
    return tuple(_words(next(read_records(text), {}).get("Remotes", "")))


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _line(need: RRequirement, text: str) -> int | None:
    """The first line in a field of requirements that holds the name as a word."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line[:1] not in (" ", "\t"):
            inside = line.partition(":")[0] in ("Depends", "Imports", "LinkingTo")
        words = line.partition(":")[2] if line[:1] not in (" ", "\t") else line
        if inside and need.name in words.replace(",", " ").replace("(", " ").split():
            return number
    return None
