"""What is asked of conda: by an ``environment.yml``, and by what stands beside it."""

import re
from collections.abc import Iterator
from dataclasses import replace

from ocibuild.core.asks import CondaAsk, CondaAsks, Origin, RequirementsFile
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.repository import RepositorySpec

__all__ = ["conda_asks", "conda_pip_file"]

_NAME = re.compile(r"(?:[^\s\[]*::)?([A-Za-z0-9_.-]+)")


def conda_asks(spec: RepositorySpec, options: BuildOptions) -> CondaAsks:
    """What a repository asks of conda; nothing where it has no environment.

    A pip section wants pip, as conda itself adds it; the Python of the options stands beside the file's.
    """
    if spec.conda is None:
        return CondaAsks()
    asks = spec.conda.asks
    more = []
    if options.python:
        more.append(CondaAsk(f"python {options.python}.*", Origin("--python")))
    if spec.conda.pip is not None and "pip" not in set(_names(asks)):
        more.append(CondaAsk("pip", Origin(spec.conda.file)))
    return replace(asks, packages=(*asks.packages, *more))


def conda_pip_file(spec: RepositorySpec) -> tuple[RequirementsFile, ...]:
    """The pip section of the environment, as a requirements file."""
    section = spec.conda.pip if spec.conda is not None else None
    return () if section is None or not section.text.strip() else (section,)


def _names(asks: CondaAsks) -> Iterator[str]:
    found = (_NAME.match(ask.text) for ask in asks.packages)
    return (each[1].lower() for each in found if each)
