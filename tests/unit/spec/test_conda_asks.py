import pytest

from ocibuild.core.asks import CondaAsk, CondaChannelAsk, Origin
from ocibuild.spec.catalogue import CatalogueLayer
from ocibuild.spec.conda_asks import conda_asks, conda_form
from ocibuild.spec.environment_yml import parse_environment_yml
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.repository import RepositorySpec

TEXT = """\
name: ignored
channels:
  - conda-forge
  - https://host/team

dependencies:
  - python=3.12
  - numpy >=2
  - pip: [six]
variables: {A: b}
"""


def test_an_environment_is_asked_with_its_lines() -> None:
    asks = parse_environment_yml(TEXT, file="binder/environment.yml").asks

    def at(line: int) -> Origin:
        return Origin("binder/environment.yml", line)

    assert asks.packages == (CondaAsk("python=3.12", at(7)), CondaAsk("numpy >=2", at(8)))
    assert asks.channels == (CondaChannelAsk("conda-forge", at(3)), CondaChannelAsk("https://host/team", at(4)))
    assert asks.variables == (("A", "b"),)
    assert asks.locks == ()


def test_an_empty_file_asks_for_nothing() -> None:
    assert parse_environment_yml("", file="environment.yml").asks.is_empty


def test_r_in_an_environment_has_its_kernel() -> None:
    spec = RepositorySpec(conda=parse_environment_yml("dependencies: [r-base=4.4, r-dplyr]", file="environment.yml"))
    names = [ask.text for ask in conda_asks(spec, [], BuildOptions(), is_binder=True, needs_python=False).packages]
    assert names == ["r-base=4.4", "r-dplyr", "r-base", "r-irkernel", "r-devtools"]
    plain = conda_asks(spec, [], BuildOptions(), is_binder=False, needs_python=False)
    assert [ask.text for ask in plain.packages] == ["r-base=4.4", "r-dplyr"]


@pytest.mark.parametrize(
    ("requirement", "conda"),
    [
        ("numpy", "numpy"),
        ("numpy>=2,<3", "numpy >=2,<3"),
        ("xarray ~=2025.1", "xarray-base ~=2025.1"),
        ("dask[complete]", ""),
        ("x @ https://host/x.whl", ""),
        ("x; python_version < '3'", ""),
    ],
)
def test_what_layers_ask_of_pip_in_words_of_conda(requirement: str, conda: str) -> None:
    layer = CatalogueLayer("l", "", pip=((requirement, Origin("l")),), conda_names={"xarray": "xarray-base"})
    spec = RepositorySpec(conda=parse_environment_yml("dependencies: [python]", file="environment.yml"))
    asks = conda_asks(spec, [layer], BuildOptions(), is_binder=True, needs_python=False)
    found = {each.requirement: each.conda.text for each in asks.either}
    assert found.get(requirement, "") == conda == conda_form(layer, requirement)
