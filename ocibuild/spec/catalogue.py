"""The catalogue of layers: folders of data, each with a ``layer.toml`` and the files that it puts into an image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import ocibuild
from ocibuild.core.asks import AptAsk, CondaAsk, Origin, StepAsk
from ocibuild.core.errors import UsageError

__all__ = ["Account", "CatalogueLayer", "find_layer", "read_catalogue_layer", "shipped_layer"]


@dataclass(frozen=True, slots=True)
class Account:
    """A user that an image must have, with a group of the same name; ``home`` is created and belongs to it."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = "/bin/sh"
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueLayer:
    """What a layer of the catalogue brings; everything may be empty. ``layers/README.md`` tells how one is written.

    ``environment`` is in its order; its values and those of ``path``, which goes in front of ``PATH``, may name
    variables: ``${HOME}``. ``apt`` are packages by suite, those of ``""`` for every suite. ``pip_lock`` is a
    requirements file with the versions that are preferred. In a conda environment what is asked of ``pip`` comes from
    conda where a channel has it, under the same name or that of ``conda_names``; ``conda_root`` is
    for an environment of its own, as far as a channel has it. ``owned`` are folders, without a
    leading slash, that belong with all that is in them to the image's user, and are made where they are missing.
    ``entrypoint`` and ``command`` are None where the layer has none. ``files`` is the folder whose content goes to the
    image's root.
    """

    name: str
    summary: str
    accounts: tuple[Account, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    path: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    ports: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    apt: Mapping[str, tuple[AptAsk, ...]] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    pip: tuple[tuple[str, Origin], ...] = ()
    pip_lock: Path | None = None
    conda_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    conda_root: tuple[CondaAsk, ...] = ()
    owned: tuple[str, ...] = ()
    steps: tuple[StepAsk, ...] = ()
    files: Path | None = None

    def apt_for(self, suite: str) -> tuple[AptAsk, ...]:
        """The packages of every suite and of this one."""
        return (*self.apt.get("", ()), *self.apt.get(suite, ()))


def find_layer(text: str) -> CatalogueLayer:
    """The layer in the folder of this path, or the shipped one of this name; a UsageError where there is neither."""
    folder = Path(text)
    if "/" in text or (folder / "layer.toml").is_file():
        return read_catalogue_layer(folder)
    return shipped_layer(text)


def shipped_layer(name: str) -> CatalogueLayer:
    """The layer of this name that ships with the program; a UsageError where there is none."""
    package = Path(ocibuild.__file__).parent  # importlib.resources would import zipfile and more for the same answer
    folder = package / "layers"
    if not folder.is_dir():  # an editable install: the checkout's own folder
        folder = package.parent / "layers"
    if not (folder / name / "layer.toml").is_file():
        known = sorted(path.parent.name for path in folder.glob("*/layer.toml"))
        raise UsageError(f"no layer {name!r} ships with this program", hint=f"there are: {', '.join(known)}")
    return read_catalogue_layer(folder / name)


def read_catalogue_layer(folder: Path) -> CatalogueLayer:
    """The layer in this folder; a RepositoryError names its ``layer.toml`` and what is wrong there."""
    from ocibuild.spec.layer_toml import parse_layer  # noqa: PLC0415 - it makes the nouns of this module

    file = folder / "layer.toml"
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is no layer: it has no layer.toml") from error
    return parse_layer(data, folder=folder)
