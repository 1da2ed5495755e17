import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.conda_environment import CondaDependency, CondaEnvironment
from ocibuild.spec.environment_yml import parse_environment_yml

TEXT = """\
name: rainfall
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11.4   # pinned
  - numpy >=2,<3
  - conda-forge::gdal
  - r-base==4.3
  - pip
  - pip:
      - six==1.16
      - -r more.txt
      - -e ./here[extra]
      - .
variables:
  A: 1
  B: "two"
"""


def parse(text: str, file: str = "environment.yml") -> CondaEnvironment:
    return parse_environment_yml(text, file=file)


def test_every_part() -> None:
    environment = parse(TEXT)
    assert environment.channels == ("conda-forge", "nodefaults")
    assert [each.text for each in environment.dependencies] == [
        "python=3.11.4",
        "numpy >=2,<3",
        "conda-forge::gdal",
        "r-base==4.3",
        "pip",
    ]
    assert environment.dependencies[1] == CondaDependency("numpy >=2,<3", Origin("environment.yml", 7))
    assert environment.variables == {"A": "1", "B": "two"}
    assert (environment.python, environment.r, environment.uses_r) == ("3.11.4", "4.3", True)
    assert environment.python_origin == Origin("environment.yml", 6)


def test_requirements_stand_at_their_own_lines() -> None:
    environment = parse(TEXT)
    assert environment.pip is not None
    lines = environment.pip.text.splitlines()
    assert (lines[11], lines[12], lines[13], lines[14]) == ("six==1.16", "-r more.txt", "-e ./here[extra]", ".")
    assert not any(lines[:11])


def test_local_requirements_are_relative_to_the_repository() -> None:
    environment = parse("dependencies:\n- pip: [-e ., ../wheels/a.whl, .hidden]\n", "binder/environment.yml")
    assert environment.pip is not None
    assert environment.pip.text.split("\n")[1:4] == ["-e ./binder", "./wheels/a.whl", ".hidden"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "null", "dependencies:\n", "name: a\ndependencies: []\n"])
def test_nothing_is_asked(text: str) -> None:
    environment = parse(text)
    assert (environment.dependencies, environment.pip, environment.python) == ((), None, "")


@pytest.mark.parametrize(
    ("dependency", "python"),
    [("python=3", "3"), ("python==3.11", "3.11"), ("python = 3.12.*", "3.12"), ("python>=3.11", ""), ("python", "")],
)
def test_which_python_is_pinned(dependency: str, python: str) -> None:
    assert parse(f"dependencies: ['{dependency}']").python == python


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", ":1: the file must be a mapping"),
        ("just text", ":1: the file must be a mapping"),
        ("a: [1\n", "not YAML"),
        ("a: b: c\n", ":1: not YAML"),
        ("dependencies: numpy\n", ":1: dependencies must be a list"),
        ("name: a\ndependencies:\n- [numpy]\n", ":3: a dependency must be a text"),
        ("dependencies:\n- pipp: [a]\n", ":2: pipp: is no list of dependencies"),
        ("dependencies:\n- pip: six\n", ":2: pip must be a list"),
        ("dependencies:\n- ''\n", ":2: an empty dependency"),
        ('dependencies:\n- "a\\nb"\n', ":2: a dependency must be on one line"),
        ("channels: {a: 1}\n", "channels must be a list"),
        ("variables: [a]\n", "variables must be a mapping"),
        ("a: !!python/object/apply:os.system ['false']\ndependencies: {}\n", "dependencies must be a list"),
        ("a: *nothing\n", "not YAML"),
        ("[" * 3000, "not YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("environment.yml")


def test_aliases_are_not_multiplied() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    assert parse(f"a0: &a0 [x]\n{levels}dependencies: [numpy]\n").dependencies[0].text == "numpy"
