"""The rooms of the house import only from rows below their own (CONTRIBUTING.md, "The house")."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ocibuild

ROWS = [
    {"core"},
    {"layer", "lock"},
    {"image"},
    {"store"},
    {"net"},
    {"registry", "source", "spec"},
    {"ecosystem", "sandbox"},
    {"plan"},
    {"work"},
    {"binder"},
    {"cli"},
]
ROW_OF = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
PACKAGE = Path(ocibuild.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_a_module_imports_only_from_rows_below(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts
    for name in imported_modules(path):
        if not name.startswith("ocibuild."):
            continue
        other = name.split(".")[1:]
        if other[0] == own[0]:
            if own[0] == "ecosystem" and len(own) > 2 and len(other) > 1:
                assert other[1] == own[1], f"{path} imports another ecosystem: {name}"
            continue
        assert ROW_OF[other[0]] < ROW_OF[own[0]], f"{path}: {own[0]} must not import {name}"


def test_every_room_has_a_row() -> None:
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES}
    assert rooms <= ROW_OF.keys()


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_below_the_command_line_nothing_prints_or_exits(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "exit", "quit"), f"{path}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if ast.unparse(node.body[-1]) == "raise":
                continue  # it cleans up and lets the error go on
            assert caught not in ("everything", "Exception", "BaseException"), f"{path}:{node.lineno}: {caught}"
