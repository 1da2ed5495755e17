"""What is asked of conda: by an ``environment.yml``, and by what stands beside it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ocibuild.core.asks import CondaAsk, CondaAsks, EitherAsk, Origin, RequirementsFile
from ocibuild.spec.catalogue import CatalogueLayer
from ocibuild.spec.options import BuildOptions
from ocibuild.spec.python_ask import DEBIAN_PYTHONS, PythonAsk, base_with_python, python_of_conda
from ocibuild.spec.repository import RepositorySpec

__all__ = ["conda_asks", "conda_form", "conda_pip_file", "conda_root_asks", "has_conda"]

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<versions>(?:[<>=!~][^;\[\]@ ]*)?)")


def conda_asks(
    spec: RepositorySpec,
    layers: Sequence[CatalogueLayer],
    options: BuildOptions,
    *,
    is_binder: bool,
    needs_python: bool,
) -> CondaAsks:
    """What a repository asks of conda: for its environment, or for a Python that Debian does not have.

    Where ``needs_python`` is False, nothing is asked of pip, and no Python is asked for.
    What layers ask of pip is then taken from conda, where a channel has it. A pip section wants pip, as conda itself
    adds it; the Python of the options stands beside the file's.
    """
    if spec.conda is None:
        return _python_alone(spec, options) if needs_python else CondaAsks()
    asks = spec.conda.asks
    more = []
    if options.python:
        more.append(CondaAsk(f"python {options.python}.*", Origin("--python")))
    if is_binder and spec.conda.uses_r:  # as repo2docker completes it
        more += [CondaAsk(name, Origin(spec.conda.file)) for name in ("r-base", "r-irkernel", "r-devtools")]
    either = list(_of_layers(layers))
    if spec.conda.pip is not None or either:
        origin = Origin(spec.conda.file)
        either += [EitherAsk(CondaAsk("python", origin)), EitherAsk(CondaAsk("pip", origin), "pip")]
    return replace(asks, packages=(*asks.packages, *more), either=tuple(either))


def _python_alone(spec: RepositorySpec, options: BuildOptions) -> CondaAsks:
    """A Python that no suite of Debian's has, or one for code that runs conda; packages then come from PyPI."""
    ask = _python_ask(spec, options)
    text, origin = python_of_conda(ask, options.base), ask.origin or ask.specifier_origin
    if not text and spec.conda_program is not None and options.is_binder:
        version = DEBIAN_PYTHONS[base_with_python(ask)]
        text, origin = f"python {'.'.join(version.split('.')[:2])}.*", Origin(spec.conda_program)
    if not text or origin is None:
        return CondaAsks()
    return CondaAsks(packages=(CondaAsk(text, origin),), either=(EitherAsk(CondaAsk("pip", origin), "pip"),))


def _python_ask(spec: RepositorySpec, options: BuildOptions) -> PythonAsk:
    return PythonAsk(options.python, Origin("--python")) if options.python else spec.python


def _of_layers(layers: Iterable[CatalogueLayer]) -> Iterator[EitherAsk]:
    """What the layers ask of pip, under its name in conda."""
    for layer in layers:
        for text, origin in layer.pip:
            conda = conda_form(layer, text)
            if conda:
                yield EitherAsk(CondaAsk(conda, origin), text)


def has_conda(spec: RepositorySpec, options: BuildOptions) -> bool:
    """Whether an image of this repository that has any packages of Python has some of conda."""
    return spec.conda is not None or not _python_alone(spec, options).is_empty


def conda_root_asks(asks: CondaAsks, layers: Iterable[CatalogueLayer]) -> CondaAsks:
    """What layers want in the environment that conda is in itself, from the channels of the image's environment."""
    wanted = tuple(EitherAsk(ask) for layer in layers for ask in layer.conda_root)
    return CondaAsks() if asks.is_empty or not wanted else CondaAsks(channels=asks.channels, either=wanted)


def conda_form(layer: CatalogueLayer, requirement: str) -> str:
    """A requirement of the layer in words of conda; empty where it has extras, a marker or a URL."""
    found = _REQUIREMENT.fullmatch(requirement)
    if found is None:
        return ""
    return f"{layer.conda_names.get(found['name'], found['name'])} {found['versions']}".strip()


def conda_pip_file(spec: RepositorySpec) -> tuple[RequirementsFile, ...]:
    """The pip section of the environment, as a requirements file."""
    section = spec.conda.pip if spec.conda is not None else None
    return () if section is None or not section.text.strip() else (section,)
