"""Which Python a repository asks for, and which base has it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError

__all__ = ["DEBIAN_PYTHONS", "PythonAsk", "base_with_python", "python_of_conda"]

DEBIAN_PYTHONS: Mapping[str, str] = MappingProxyType({"apt:bookworm": "3.11.2", "apt:trixie": "3.13.5"})
"""Bases made of Debian's packages, the default first, and the Python of each (packages.debian.org, python3.11 and
python3.13). A stable release keeps its version, so that it is known without asking a mirror."""

_OLDEST_OF_CONDA = (3, 7)
_OTHERS = (
    "Ubuntu's releases have others (--base apt:jammy 3.10, apt:noble 3.12), and so have images such as python:3.12"
)


@dataclass(frozen=True, slots=True)
class PythonAsk:
    """A version (``3``, ``3.11``, ``3.11.4``), a specifier (``>=3.11``), both or nothing, and where each is written.

    ``is_preference`` tells that another version is better than none.
    """

    version: str = ""
    origin: Origin | None = None
    specifier: str = ""
    specifier_origin: Origin | None = None
    is_preference: bool = False

    def allows(self, version: str) -> bool:
        """Whether a complete version (``3.11.2``) is what is asked for; a preference counts as if it had to be."""
        if self.version and not f"{version}.".startswith(f"{self.version}."):
            return False
        if not self.specifier:
            return True
        from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - few repositories have one

        return version in SpecifierSet(self.specifier)

    @property
    def required(self) -> "PythonAsk":
        """What must be, without what is only preferred."""
        return replace(self, version="", origin=None, is_preference=False) if self.is_preference else self

    def __str__(self) -> str:
        return " and ".join(filter(None, [f"Python {self.version}" if self.version else "", self.specifier])) or "any"


def base_with_python(ask: PythonAsk, offered: Mapping[str, str] = DEBIAN_PYTHONS) -> str:
    """The base, among those offered (base -> complete version of its Python), that has the Python asked for.

    The default base, which is the first, where it has it, and else the one with the newest. A RepositoryError where
    none has it: it names file and line, and what can be had.
    """
    fitting = [base for base, version in offered.items() if ask.allows(version)]
    if not fitting and ask.is_preference:
        return base_with_python(ask.required, offered)
    if not fitting:
        origin = ask.origin or ask.specifier_origin
        known = ", ".join(f"{'.'.join(version.split('.')[:2])} ({base})" for base, version in offered.items())
        raise RepositoryError(
            f"{ask} is asked for, and no base of Debian's packages has it",
            file=origin.file if origin else None,
            line=origin.line if origin else None,
            hint=f"there are {known}. {_OTHERS}",
        )
    first = next(iter(offered))
    return first if first in fitting else max(fitting, key=lambda base: _numbers(offered[base]))


def python_of_conda(ask: PythonAsk, base: str | None, offered: Mapping[str, str] = DEBIAN_PYTHONS) -> str:
    """What is asked of conda (a MatchSpec) where a Python that is required is not Debian's; empty where it is not.

    ``base`` is the one that is said, None for any of those offered. Of other bases nothing is known beforehand, and
    they are left as they are. Before 3.7 there is no Jupyter that a package of today works with.
    """
    required = ask.required
    versions = list(offered.values()) if base is None else [offered[base]] if base in offered else []
    if not versions or any(map(required.allows, versions)):
        return ""
    if required.version and _numbers(required.version)[:2] < _OLDEST_OF_CONDA:
        return ""
    version = f"{required.version}.*" if required.version else ""
    return f"python {','.join(filter(None, [version, required.specifier.replace(' ', '')]))}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
