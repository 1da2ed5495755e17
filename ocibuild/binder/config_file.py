"""``repo2docker_config.py``: what of it can be taken without running it."""

import ast
from collections.abc import Mapping
from pathlib import Path

from ocibuild.core.errors import RepositoryError

__all__ = ["read_config"]


def read_config(file: Path) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The texts that the file assigns (``Repo2Docker.base_image`` -> text), and sentences on what is not taken.

    It is a program of Python; only assignments ``c.Class.name = "text"`` (or a number) count, nothing of it is run. A
    RepositoryError names the line where it is no Python.
    """
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except OSError as error:
        raise RepositoryError(f"cannot be read: {error.strerror}", file=str(file)) from error
    except (SyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        raise RepositoryError(f"not a program of Python: {error}", file=str(file), line=line) from error
    texts: dict[str, str] = {}
    others: list[str] = []
    for statement in tree.body:
        found = _assignment(statement)
        if found is not None:
            texts[found[0]] = found[1]
        elif not isinstance(statement, (ast.Import, ast.ImportFrom)) and not _is_text(statement):
            others.append(
                f"{file}:{statement.lineno}: only c.Class.name = 'text' or a number is taken from a configuration"
            )
    return texts, tuple(others)


def _assignment(statement: ast.stmt) -> tuple[str, str] | None:
    match statement:
        case ast.Assign(
            targets=[ast.Attribute(value=ast.Attribute(value=ast.Name(id="c"), attr=trait_class), attr=name)],
            value=ast.Constant(value=(str() | int()) as value),
        ) if not isinstance(value, bool):
            return f"{trait_class}.{name}", str(value)
        case _:
            return None


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
