from ocibuild.core.asks import CondaAsk, CondaChannelAsk, Origin
from ocibuild.spec.environment_yml import parse_environment_yml

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
