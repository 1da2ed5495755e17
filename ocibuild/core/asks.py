"""What a repository asks of each ecosystem, and where it says so. Readers in ``spec/`` make these values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from ocibuild.core.origin import Origin
from ocibuild.core.r_asks import RAsks

__all__ = [
    "AptAsk",
    "AptSourceAsk",
    "CondaAsk",
    "CondaAsks",
    "CondaChannelAsk",
    "CondaLockFile",
    "EitherAsk",
    "Origin",
    "PackageAsks",
    "PipAsks",
    "RequirementsFile",
    "StepAsk",
]


@dataclass(frozen=True, slots=True)
class AptAsk:
    """One word that ``apt-get install`` would be given (apt-get(8), "install").

    ``architecture`` is ``""`` where none is written; of ``version`` and ``suite`` at most one is set (``foo=1.2``,
    ``foo=1.2*``, ``foo/bookworm-backports``); ``remove`` is ``foo-``.
    """

    name: str
    origin: Origin
    architecture: str = ""
    version: str = ""
    suite: str = ""
    remove: bool = False

    def __str__(self) -> str:
        architecture = f":{self.architecture}" if self.architecture else ""
        version = f"={self.version}" if self.version else f"/{self.suite}" if self.suite else ""
        return f"{self.name}{architecture}{version}{'-' if self.remove else ''}"


@dataclass(frozen=True, slots=True)
class AptSourceAsk:
    """A third-party apt source of ``ocibuild.toml`` (sources.list(5)); ``suite`` ends in ``/`` for a flat repository.

    ``signed_by`` is an armoured or binary key (its bytes), never a name; ``pins`` are priorities of the source as a
    whole (apt_preferences(5)), None for apt's default.
    """

    name: str
    url: str
    suite: str
    components: tuple[str, ...]
    architectures: tuple[str, ...]
    signed_by: bytes
    origin: Origin
    pin_priority: int | None = None


@dataclass(frozen=True, slots=True)
class RequirementsFile:
    """A requirements file as text; ``path`` is relative to the repository's root."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class PipAsks:
    """All that is asked of pip: requirements files with what they include, and single requirements.

    ``files`` are the top-level files, ``included`` those that they name with ``-r`` and ``-c``. ``preferred`` are locks
    (requirements files that pin every package, with hashes and markers): their versions are taken where nothing that is
    asked speaks against them.
    """

    files: tuple[RequirementsFile, ...] = ()
    included: tuple[RequirementsFile, ...] = ()
    requirements: tuple[tuple[str, Origin], ...] = ()
    preferred: tuple[RequirementsFile, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True where nothing is asked."""
        return not self.files and not self.requirements

    def joined(self, other: "PipAsks") -> "PipAsks":
        """These asks and others behind them."""
        return PipAsks(
            (*self.files, *other.files),
            (*self.included, *other.included),
            (*self.requirements, *other.requirements),
            (*self.preferred, *other.preferred),
        )


@dataclass(frozen=True, slots=True)
class StepAsk:
    """A ``[[step]]`` of ``ocibuild.toml``, or what a file such as ``postBuild`` stands for: a program to run.

    ``user`` and ``working_folder`` are None for the image's own. ``keep`` are patterns of paths (:class:`.step.Step`).
    """

    name: str
    arguments: tuple[str, ...]
    origin: Origin
    user: str | None = None
    working_folder: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    network: bool = True
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CondaAsk:
    """One package in conda's own words (a MatchSpec): ``numpy>=2``, ``python=3.12``, ``conda-forge::r-base 4.4.*``.

    The text is as it was written; whether it is a MatchSpec is found out when it is resolved.
    """

    text: str
    origin: Origin

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class CondaChannelAsk:
    """A channel as it was written: a name (``conda-forge``, ``defaults``, ``pkgs/r``), a URL, or ``nodefaults``.

    A URL may hold credentials or a token: never show or record it as it is. ``$NAME`` and ``${NAME}`` in it are filled
    when it is resolved.
    """

    name: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class EitherAsk:
    """A package that is taken from conda where a channel has one of its name, and otherwise from PyPI.

    ``requirement`` is what is then asked of pip, empty for nothing.
    """

    conda: CondaAsk
    requirement: str = ""


@dataclass(frozen=True, slots=True)
class CondaLockFile:
    """A lock that another tool made, as text; ``path`` is relative to the repository's root.

    ``kind`` is the format: ``conda-lock.yml``, ``pixi.lock``, or a list that begins with ``@EXPLICIT``. ``environment``
    is the one that is meant where the lock holds several, as ``pixi.lock`` does. ``subdir`` is conda's name of the
    platform that the file is for by its name, empty where it says so itself.
    """

    kind: Literal["conda-lock", "pixi", "explicit"]
    path: str
    text: str
    environment: str = "default"
    subdir: str = ""


@dataclass(frozen=True, slots=True)
class CondaAsks:
    """All that is asked of conda for one environment: either ``packages`` of ``channels``, or what a lock holds.

    ``locks`` are one lock, or one for each of several platforms.

    ``channels`` are in the order of their priority; none means those that this machine's user has set up, or conda's
    default. ``variables`` are what activating the environment sets (environment.yml, ``variables``). ``either`` comes
    from conda or from PyPI.
    """

    packages: tuple[CondaAsk, ...] = ()
    channels: tuple[CondaChannelAsk, ...] = ()
    locks: tuple[CondaLockFile, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    either: tuple[EitherAsk, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True where nothing is asked."""
        return not self.packages and not self.either and not self.locks


@dataclass(frozen=True, slots=True)
class PackageAsks:
    """All packages that are asked for, by ecosystem; ``conda_root`` is for the environment that conda is in itself."""

    apt: tuple[AptAsk, ...] = ()
    conda: CondaAsks = field(default_factory=CondaAsks)
    pip: PipAsks = field(default_factory=PipAsks)
    r: RAsks = field(default_factory=RAsks)
    conda_root: CondaAsks = field(default_factory=CondaAsks)
