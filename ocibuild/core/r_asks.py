"""What a repository asks of R, and where it says so. Readers in ``spec/`` make these values."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, Self

from ocibuild.core.origin import Origin

__all__ = ["REPOSITORY_VARIABLE", "RAsk", "RAsks", "RPreference", "RRequirement", "RVersion"]

REPOSITORY_VARIABLE = "OCIBUILD_R_REPOSITORY"
"""Names a Posit-style repository that stands in for the public one on this machine."""

RPreference = Literal["repository", "debian"]

_VERSION = re.compile(r"[0-9]+(?:[.-][0-9]+)*")
_REQUIREMENT = re.compile(r"([A-Za-z][A-Za-z0-9.]*)\s*(?:\(\s*(>=|<=|==|!=|>|<|=)\s*([0-9][0-9.-]*)\s*\))?")
_COMPARISONS: Mapping[str, Callable[["RVersion", "RVersion"], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True, order=True)
class RVersion:
    """A version as R compares it: numbers with ``.`` or ``-`` between them (R, ``?package_version``).

    Zeros at the end do not count, as where R checks what a package needs (but in ``utils::compareVersion``).
    """

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a version; a ValueError for anything else."""
        if _VERSION.fullmatch(text) is None:
            raise ValueError(f"not a version of R's: {text!r}")
        numbers = [int(number) for number in re.split("[.-]", text)]
        while numbers and not numbers[-1]:
            numbers.pop()
        return cls(tuple(numbers))


@dataclass(frozen=True, slots=True)
class RRequirement:
    """A package, or ``R`` itself, and which versions of it do: ``dplyr (>= 1.0.0)``."""

    name: str
    operator: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one requirement; a ValueError for anything else."""
        found = _REQUIREMENT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"not a requirement of an R package: {text.strip()!r}")
        if found[3]:
            RVersion.parse(found[3])
        return cls(found[1], "==" if found[2] == "=" else found[2] or "", found[3] or "")

    def allows(self, version: str) -> bool:
        """Whether this version does; a ValueError where it is none."""
        if not self.operator:
            return True
        return _COMPARISONS[self.operator](RVersion.parse(version), RVersion.parse(self.version))

    @property
    def exact(self) -> str:
        """The one version that does; empty where there are more."""
        return self.version if self.operator == "==" else ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


@dataclass(frozen=True, slots=True)
class RAsk:
    """A package that is asked for. ``is_optional`` tells that the image does without where no repository has it."""

    requirement: RRequirement
    origin: Origin
    is_optional: bool = False

    def __str__(self) -> str:
        return str(self.requirement)


@dataclass(frozen=True, slots=True)
class RAsks:
    """All that is asked of R for an image.

    ``wanted`` is where R itself is asked for, None where it is not. ``version`` is the R that must be (``4.2``,
    ``4.2.2``), empty for any; ``day`` the day whose packages are meant. ``repositories`` are addresses, in their order;
    none means the public one. With ``preference`` ``debian`` a package of Debian comes first where it does.
    ``lock`` is a lock of renv that counts and the R that it was made with.
    ``compiles`` tells that code of the repository may want to compile R packages.
    """

    wanted: Origin | None = None
    packages: tuple[RAsk, ...] = ()
    version: str = ""
    version_origin: Origin | None = None
    day: date | None = None
    repositories: tuple[str, ...] = ()
    preference: RPreference = "repository"
    lock: tuple[Origin, str] | None = None
    compiles: bool = False

    @property
    def is_empty(self) -> bool:
        """True where nothing is asked."""
        return self.wanted is None
