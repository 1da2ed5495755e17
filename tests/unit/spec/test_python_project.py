import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.python_ask import PythonAsk, base_with_python
from ocibuild.spec.python_project import PythonProject, read_python_project
from ocibuild.spec.python_version import parse_python_version

BOTH = "[build-system]\n\n[project]\nname = 'a'\nrequires-python = '>=3.9'\n"


def read(files: dict[str, str], folder: str = "") -> PythonProject:
    return read_python_project(ConfigFiles({name: text.encode() for name, text in files.items()}.get, folder))


@pytest.mark.parametrize(
    ("files", "package"),
    [
        ({"setup.py": ""}, Origin("setup.py")),
        ({"setup.py": "", "pyproject.toml": BOTH}, Origin("setup.py")),
        ({"pyproject.toml": BOTH}, Origin("pyproject.toml", 3)),
        ({"pyproject.toml": "[project]\n"}, None),
        ({"pyproject.toml": "[build-system]\n"}, None),
        ({"setup.cfg": ""}, None),
        ({}, None),
    ],
)
def test_what_is_a_package(files: dict[str, str], package: Origin | None) -> None:
    assert read(files).package == package


def test_requires_python() -> None:
    project = read({"pyproject.toml": BOTH})
    assert (project.requires_python, project.requires_origin) == (">=3.9", Origin("pyproject.toml", 5))


def test_a_binder_folder_makes_it_no_package() -> None:
    assert read({"pyproject.toml": BOTH, "setup.py": ""}, "binder") == PythonProject()


@pytest.mark.parametrize("value", ["'three'", "3", "['>=3.9']"])
def test_a_wrong_specifier_is_named(value: str) -> None:
    with pytest.raises(RepositoryError, match=r"pyproject\.toml:2: requires-python: "):
        read({"pyproject.toml": f"[project]\nrequires-python = {value}\n"})


@pytest.mark.parametrize(
    ("version", "specifier", "base"),
    [
        ("", "", "apt:bookworm"),
        ("3", "", "apt:bookworm"),
        ("3.11", "", "apt:bookworm"),
        ("3.11.2", "", "apt:bookworm"),
        ("3.13", "", "apt:trixie"),
        ("", ">=3.9", "apt:bookworm"),
        ("", ">=3.12", "apt:trixie"),
        ("3.13", ">=3.12", "apt:trixie"),
    ],
)
def test_the_base_with_a_python(version: str, specifier: str, base: str) -> None:
    assert base_with_python(PythonAsk(version, specifier=specifier)) == base


@pytest.mark.parametrize(("version", "specifier"), [("2.7", ""), ("3.1", ""), ("3.11", ">=3.12"), ("", "<3")])
def test_a_python_that_no_base_has(version: str, specifier: str) -> None:
    ask = PythonAsk(version, Origin("runtime.txt", 1) if version else None, specifier, Origin("pyproject.toml", 2))
    with pytest.raises(RepositoryError, match="is asked for") as caught:
        base_with_python(ask)
    assert (caught.value.exit_code, caught.value.line) == (3, 1 if version else 2)
    assert "3.11 (apt:bookworm), 3.13 (apt:trixie)" in str(caught.value.hint)


def test_a_preference_gives_way() -> None:
    ask = PythonAsk("3.12", Origin(".python-version", 1), is_preference=True)
    assert base_with_python(ask) == "apt:bookworm"
    assert ask.required.allows("3.11.2")
    assert base_with_python(PythonAsk("3.13", is_preference=True)) == "apt:trixie"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.11\n", "3.11"),
        ("# a comment\n\n 3.11.4 # why\n3.12\n", "3.11"),
        ("cpython-3.12", "3.12"),
        ("python3.12", "3.12"),
        ("3", "3"),
        ("pypy3.10-7.3", None),
        ("my-environment\n3.11", None),
        ("2.7", None),
        ("", None),
    ],
)
def test_python_version(text: str, version: str | None) -> None:
    found = parse_python_version(text, file=".python-version")
    assert (found[0] if found else None) == version
