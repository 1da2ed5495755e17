"""How a project wants to be built: the table ``build-system`` of its ``pyproject.toml``.

Sources: PEP 518 and PEP 517, and pip 26.3's ``pyproject.py`` for what holds where the table or the file is missing.
"""

from dataclasses import dataclass
from typing import TypeGuard

from packaging.requirements import InvalidRequirement, Requirement

from ocibuild.core.errors import BuildError

__all__ = ["BuildSystem", "read_build_system"]

_SETUPTOOLS = "setuptools>=40.8.0"
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """The packages that a build needs, the backend (``module:object``), and where in the source it may lie."""

    requires: tuple[str, ...] = (_SETUPTOOLS,)
    backend: str = _LEGACY_BACKEND
    backend_path: tuple[str, ...] = ()


def read_build_system(text: str | None, *, where: str) -> BuildSystem:
    """The build system that this ``pyproject.toml`` names; setuptools where there is no file or no table.

    A BuildError that names ``where`` it stands for a file that is no TOML, or a table that is not as PEP 518 demands.
    """
    import tomli  # noqa: PLC0415 - only builds read it

    try:
        table = tomli.loads(text).get("build-system") if text is not None else None
    except tomli.TOMLDecodeError as error:
        raise BuildError(f"{where}: its pyproject.toml is malformed: {error}") from error
    if table is None:
        return BuildSystem()
    requires = table.get("requires") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not _is_texts(requires):
        raise BuildError(f"{where}: build-system.requires in its pyproject.toml is no list of requirements (PEP 518)")
    for requirement in requires:
        try:
            Requirement(requirement)
        except InvalidRequirement as error:
            raise BuildError(f"{where}: its build requires {requirement!r}, which is no requirement") from error
    backend, path = table.get("build-backend"), table.get("backend-path", [])
    if not _is_texts(path) or not (backend is None or isinstance(backend, str)):
        raise BuildError(f"{where}: build-backend or backend-path in its pyproject.toml is not as PEP 517 has it")
    # Without a named backend it is setuptools, which some projects then forget to require.
    needed = () if backend or any(Requirement(each).name == "setuptools" for each in requires) else (_SETUPTOOLS,)
    return BuildSystem((*requires, *needed), backend or _LEGACY_BACKEND, tuple(path))


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
