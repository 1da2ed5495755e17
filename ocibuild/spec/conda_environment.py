"""A conda environment that a repository asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.asks import CondaAsk, CondaAsks, CondaChannelAsk, CondaLockFile, Origin, RequirementsFile

__all__ = ["CondaDependency", "CondaEnvironment"]

# The first dependency that repo2docker's regular expressions match decides: python=3.11, python==3.11.4, python = 3.
_PYTHON = re.compile(r"python\s*=+\s*([0-9.]*)")
_R = re.compile(r"r-base\s*=+\s*([0-9.]*)")


@dataclass(frozen=True, slots=True)
class CondaDependency:
    """A match specification as it is written (``numpy>=2``, ``conda-forge::gdal``), and where."""

    text: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class CondaEnvironment:
    """What an ``environment.yml`` asks for, in its order.

    ``channels`` is empty where none is named; ``channel_origins`` are where each is. ``pip`` is the list below ``pip:``
    as a requirements file with the lines at their own numbers, None where there is none. ``prefix`` and ``name`` are
    not kept: an image has one place for its environment. Where there are ``locks``, they say which packages there are,
    and ``dependencies`` and ``pip`` are empty. Source: conda's documentation, "Creating an environment file
    manually".
    """

    file: str
    channels: tuple[str, ...] = ()
    dependencies: tuple[CondaDependency, ...] = ()
    pip: RequirementsFile | None = None
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    channel_origins: tuple[Origin, ...] = ()
    locks: tuple[CondaLockFile, ...] = ()

    @property
    def asks(self) -> CondaAsks:
        """What is asked of conda; the pip section is asked of pip."""
        origins = (*self.channel_origins, *([Origin(self.file)] * len(self.channels)))
        return CondaAsks(
            packages=tuple(CondaAsk(each.text, each.origin) for each in self.dependencies),
            channels=tuple(CondaChannelAsk(*each) for each in zip(self.channels, origins, strict=False)),
            locks=self.locks,
            variables=tuple(self.variables.items()),
        )

    @property
    def python(self) -> str:
        """The version that is pinned with ``=`` (``3.11``, ``3.11.4``), ``""`` where none is (``python>=3.11``)."""
        return _pinned(_PYTHON, self.dependencies)

    @property
    def python_origin(self) -> Origin:
        """Where the version of Python is pinned; the file where it is not."""
        found = (each.origin for each in self.dependencies if _PYTHON.match(each.text))
        return next(found, Origin(self.file))

    @property
    def r(self) -> str:
        """The version of ``r-base`` that is pinned with ``=``, ``""`` where none is."""
        return _pinned(_R, self.dependencies)

    @property
    def uses_r(self) -> bool:
        """Whether a package of R is asked for, which repo2docker completes with R's kernel."""
        return any(each.text.startswith("r-") for each in self.dependencies)


def _pinned(form: re.Pattern[str], dependencies: tuple[CondaDependency, ...]) -> str:
    found = next((match for each in dependencies if (match := form.match(each.text))), None)
    return found[1].strip(".") if found else ""
