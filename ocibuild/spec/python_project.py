"""``setup.py`` and ``pyproject.toml``: whether the repository is itself a Python package, and for which Python."""

from dataclasses import dataclass
from typing import Any

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.requirement_lines import line_of
from ocibuild.spec.toml import read_toml

__all__ = ["PythonProject", "read_python_project"]


@dataclass(frozen=True, slots=True)
class PythonProject:
    """What the files at the top say of the repository as a package.

    ``package`` is where it is described, None where it cannot be installed. ``requires_python`` is a PEP 440 specifier,
    ``""`` where there is none; ``requires_origin`` says where it stands.
    """

    package: Origin | None = None
    requires_python: str = ""
    requires_origin: Origin | None = None


def read_python_project(files: ConfigFiles) -> PythonProject:
    """Read ``setup.py`` and ``pyproject.toml`` at the top of the repository; nothing where a ``binder`` folder counts.

    Source: repo2docker's ``PythonBuildPack``: a repository is a package where it has a ``setup.py``, or a
    ``pyproject.toml`` with both the tables ``project`` and ``build-system``. A RepositoryError for text that is no TOML
    and for a ``requires-python`` that is no specifier.
    """
    if not files.is_top:
        return PythonProject()
    setup = Origin("setup.py") if files.has("setup.py") else None
    text = files.text("pyproject.toml")
    if text is None:
        return PythonProject(setup)
    value = read_toml(text, file="pyproject.toml")
    project = value.get("project")
    package = setup
    if package is None and project is not None and "build-system" in value:
        package = Origin("pyproject.toml", line_of(text, r"\[\s*project\s*\]"))
    requires = project.get("requires-python") if isinstance(project, dict) else None
    if requires is None:
        return PythonProject(package)
    origin = Origin("pyproject.toml", line_of(text, r"requires-python\s*="))
    return PythonProject(package, _specifier(requires, origin), origin)


def _specifier(value: Any, origin: Origin) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - few repositories have one

    try:
        return str(SpecifierSet(value if isinstance(value, str) else "none"))
    except InvalidSpecifier as error:
        raise RepositoryError(
            f"requires-python: {value!r} is no version specifier",
            file=origin.file,
            line=origin.line,
            hint='write it as PEP 440 does: requires-python = ">=3.11"',
        ) from error
