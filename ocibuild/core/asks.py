"""What a repository asks of each ecosystem, and where it says so. Readers in ``spec/`` make these values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["AptAsk", "AptSourceAsk", "Origin", "PipAsks", "RequirementsFile", "StepAsk"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of a file, as messages and ``why`` name it: ``apt.txt:3``."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


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

    ``files`` are the top-level files, ``included`` those that they name with ``-r`` and ``-c``.
    """

    files: tuple[RequirementsFile, ...] = ()
    included: tuple[RequirementsFile, ...] = ()
    requirements: tuple[tuple[str, Origin], ...] = ()

    @property
    def is_empty(self) -> bool:
        """True where nothing is asked."""
        return not self.files and not self.requirements


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
