"""The options of a build, from the command line and from ``ocibuild.toml``, under the same names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ocibuild.core.asks import AptSourceAsk, StepAsk
from ocibuild.core.errors import UsageError
from ocibuild.core.platform import Platform
from ocibuild.core.r_asks import RAsk, RPreference
from ocibuild.core.reference import Reference
from ocibuild.layer.compression import Compression

__all__ = [
    "DEFAULT_BASE",
    "DEFAULT_PROFILE",
    "MOST_JOBS",
    "MOST_LAYERS",
    "PROFILES",
    "SANDBOXES",
    "USER_IDS",
    "BuildOptions",
    "parse_age",
    "parse_archspec",
    "parse_cache",
    "parse_cuda",
    "parse_date",
    "parse_folder",
    "parse_python",
    "parse_secret",
    "parse_size",
    "parse_user_name",
]

DEFAULT_BASE = "apt:bookworm"
DEFAULT_PROFILE = "binder"
PROFILES = ("binder", "plain")
SANDBOXES = ("auto", "sub-ids", "one-id", "trap", "chroot", "none")
"""What may run a repository's code: the first that works here, a certain one, or nothing at all."""
MOST_LAYERS = range(4, 101)
"""What may be asked for as the most layers: fewer do not hold what must be apart, more reach the limit of runtimes."""
MOST_JOBS = range(1, 257)
USER_IDS = range(1, 2**31)
"""Ids that the image's user may have: root is refused, as repo2docker does."""
_DAY_SECONDS = 86400
_AGES = {"s": 1, "m": 60, "h": 3600, "d": _DAY_SECONDS, "w": 7 * _DAY_SECONDS}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Everything that a build can be told. None and empty mean: not said.

    ``images`` are references to tag and push, ``outputs`` are ``TYPE:PATH`` texts. ``as_of`` resolves packages as they
    were on that day. ``environment`` and ``labels`` go into the image's configuration. ``step_secrets`` are
    ``ID=PATH``: files of this machine that steps may read. ``caches`` are repositories (``HOST/NAME``) of what was made
    before, read, or with the ``cache_mode`` rw written too. With ``debug_step`` a shell is started where a step fails.
    With ``bytecode`` the modules of Python packages are compiled.

    ``cuda`` is the newest CUDA that the driver will support, ``archspec`` the processor that may be relied on; both are
    for conda's solver. With ``pip_overrides`` pip may replace what conda brings.

    ``r_repositories`` are addresses of R packages, instead of the public one's. With ``r_preinstall`` packages that
    ``install.R`` names literally are placed before it runs.

    With ``compose`` every configuration file counts, and not only those of the first kind that matches. ``appendix`` is
    text of a Dockerfile (:mod:`.appendix`). ``repository_folder`` is where the repository goes in the image.
    """

    images: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    push: bool = False
    base: str | None = None
    platforms: tuple[Platform, ...] = ()
    profile: str | None = None
    compose: bool = False
    bytecode: bool | None = None
    python: str | None = None
    layer_folders: tuple[str, ...] = ()
    lock: str | None = None
    locked: bool = False
    refresh: bool = False
    max_age_seconds: int | None = None
    as_of: date | None = None
    cuda: str | None = None
    archspec: str | None = None
    pip_overrides: bool = False
    compression: Compression | None = None
    max_layers: int | None = None
    memory_bytes: int | None = None
    jobs: int | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    apt_mirror: str | None = None
    apt_recommends: bool = False
    apt_sources: tuple[AptSourceAsk, ...] = ()
    pip_options: tuple[str, ...] = ()
    r_packages: tuple[RAsk, ...] = ()
    r_repositories: tuple[str, ...] = ()
    r_preference: RPreference | None = None
    r_preinstall: bool = False
    steps: tuple[StepAsk, ...] = ()
    skip_steps_on: tuple[Platform, ...] = ()
    sandbox: str | None = None
    step_secrets: tuple[str, ...] = ()
    step_timeout_seconds: int | None = None
    debug_step: bool = False
    caches: tuple[str, ...] = ()
    cache_mode: str | None = None
    no_cache: bool = False
    cache_username: str | None = None
    cache_password_file: Path | None = None
    appendix: str | None = None
    user_name: str | None = None
    user_id: int | None = None
    repository_folder: str | None = None

    @property
    def is_binder(self) -> bool:
        """Whether the image is to be as Binder's, and files count as repo2docker counts them."""
        return (self.profile or DEFAULT_PROFILE) == "binder"

    def over(self, other: "BuildOptions") -> "BuildOptions":
        """These options with what they leave unsaid taken from ``other``; environments and labels are joined."""
        unsaid = {
            item.name: getattr(other, item.name) for item in fields(self) if getattr(self, item.name) == item.default
        }
        unsaid["environment"] = MappingProxyType({**other.environment, **self.environment})
        unsaid["labels"] = MappingProxyType({**other.labels, **self.labels})
        return replace(self, **unsaid)

    def canonical(self) -> dict[str, Any]:
        """What of the options decides an image's bytes, as JSON can hold it, for keys."""
        left_out = {
            "images",
            "outputs",
            "push",
            "refresh",
            "max_age_seconds",
            "memory_bytes",
            "jobs",
            "apt_mirror",
            "layer_folders",  # what is in them counts, and so does what is in the lock
            "lock",
            "locked",
            "sandbox",
            "step_secrets",  # a secret must not be told from a key
            "step_timeout_seconds",
            "debug_step",
            "caches",  # what they have is what would be made
            "cache_mode",
            "no_cache",
            "cache_username",
            "cache_password_file",
        }
        value: dict[str, Any] = {}
        for item in fields(self):
            if item.name not in left_out:
                member = getattr(self, item.name)
                value[item.name] = dict(member) if isinstance(member, Mapping) else str(member)
        return value


def parse_age(text: str) -> int:
    """A duration in seconds: ``90``, ``30m``, ``24h``, ``7d``, ``2w``; a UsageError for anything else."""
    found = re.fullmatch(r"(\d{1,9})([smhdw]?)", text.strip().lower())
    if found is None:
        raise UsageError(f"not a duration: {text!r}", hint="write a number and s, m, h, d or w, such as 24h")
    return int(found[1]) * _AGES[found[2] or "s"]


def parse_python(text: str) -> str:
    """A version of Python, ``3.12`` or ``3.12.4``; a UsageError for anything else."""
    if re.fullmatch(r"3\.\d{1,2}(\.\d{1,2})?", text) is None:
        raise UsageError(f"not a version of Python: {text!r}", hint="write 3.12, or 3.12.4")
    return text


def parse_cuda(text: str) -> str:
    """A version of CUDA, ``12`` or ``12.4``; a UsageError for anything else."""
    if re.fullmatch(r"\d{1,2}(\.\d{1,2})?", text) is None:
        raise UsageError(f"not a version of CUDA: {text!r}", hint="write 12.4, or 12")
    return text


def parse_archspec(text: str) -> str:
    """The name of a processor in archspec, ``x86_64_v3``; a UsageError for what cannot be one."""
    if re.fullmatch(r"[a-z][a-z0-9_]{1,40}", text) is None:
        raise UsageError(f"not a processor: {text!r}", hint="write its name in archspec, such as x86_64_v3 or haswell")
    return text


def parse_size(text: str) -> int:
    """A size in bytes: ``300M``, ``2G``, ``1048576`` (powers of 1024); a UsageError for anything else."""
    found = re.fullmatch(r"(\d{1,12})([kmgt]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise UsageError(f"not a size: {text!r}", hint="write a number and K, M, G or T, such as 300M")
    return int(found[1]) * _SIZES[found[2]]


def parse_user_name(text: str) -> str:
    """The name of a user, as useradd(8) allows it; a UsageError for anything else, and for root."""
    if re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", text) is None or text == "root":
        raise UsageError(f"not the name of a user: {text!r}", hint="write it in lower case, such as jovyan")
    return text


def parse_folder(text: str) -> str:
    """A folder of an image, from its root and without a slash at its end; a UsageError for anything else."""
    parts = text.strip("/").split("/")
    if not text.startswith("/") or any(part in ("", ".", "..") for part in parts) or not text.isprintable():
        raise UsageError(f"not a folder of an image: {text!r}", hint="write it from the root, such as /srv/repo")
    return f"/{'/'.join(parts)}"


def parse_secret(text: str) -> str:
    """``ID=PATH``, a file of this machine for ``/run/secrets/ID``; a UsageError for anything else."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*=.+", text) is None:
        raise UsageError(f"not a secret: {text!r}", hint="write ID=PATH, such as token=~/.token")
    return text


def parse_cache(text: str) -> str:
    """The repository of a cache, ``HOST/NAME``; a UsageError for anything else."""
    reference = Reference.parse(text)
    if reference.digest is not None or ":" in text.rpartition("/")[2]:
        raise UsageError(f"a cache is a repository, without a tag: {text!r}", hint="write HOST/NAME")
    return f"{reference.registry}/{reference.repository}"


def parse_date(text: str) -> date:
    """A day, ``2026-01-31``; a UsageError for anything else and for a day to come."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"not a date: {text!r}", hint="write YEAR-MONTH-DAY, such as 2026-01-31") from error
    if day > datetime.now(UTC).date():
        raise UsageError(f"{text} has not come yet", hint="name a day in the past")
    return day
