"""A lock of Python packages beside the project: ``pylock.toml``, ``uv.lock`` or ``poetry.lock``."""

from collections.abc import Mapping
from typing import Any

from ocibuild.core.asks import RequirementsFile
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.poetry_lock import parse_poetry_lock
from ocibuild.spec.pylock import parse_pylock
from ocibuild.spec.toml import read_toml
from ocibuild.spec.uv_lock import parse_uv_lock

__all__ = ["PYTHON_LOCKS", "read_python_lock"]

PYTHON_LOCKS = ("pylock.toml", "uv.lock", "poetry.lock")
"""The first that is there counts. repo2docker reads none of them."""


def read_python_lock(files: ConfigFiles) -> RequirementsFile | None:
    """The packages of the lock as requirements; None where there is none that tells enough.

    Raises what the readers of the locks raise.
    """
    path = files.found(*PYTHON_LOCKS)
    text = None if path is None else files.text(path)
    if path is None or text is None:
        return None
    if path.endswith("pylock.toml"):
        return parse_pylock(text, file=path)
    tool = _tool(files)
    if path.endswith("uv.lock"):
        groups = _table(tool, "uv").get("default-groups")
        return parse_uv_lock(text, file=path, default_groups=groups if isinstance(groups, list) else None)
    optional = [
        name
        for name, group in _table(_table(tool, "poetry"), "group").items()
        if isinstance(group, dict) and group.get("optional") is True
    ]
    return parse_poetry_lock(text, file=path, optional_groups=optional)


def _tool(files: ConfigFiles) -> Mapping[str, Any]:
    """The settings of tools in the ``pyproject.toml`` beside the lock."""
    path = files.path("pyproject.toml")
    text = files.text(path)
    return {} if text is None else _table(read_toml(text, file=path), "tool")


def _table(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}
