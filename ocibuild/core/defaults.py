"""The public default mirrors: ``defaults.toml`` as a value."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

__all__ = ["apt_defaults", "conda_defaults", "deposit_defaults", "r_defaults"]


@cache
def apt_defaults(distribution: str) -> Mapping[str, str]:
    """The addresses of ``debian`` or ``ubuntu``: ``mirror``, ``security`` and what else the distribution has."""
    return MappingProxyType(_tables()["apt"][distribution])


@cache
def conda_defaults() -> Mapping[str, Any]:
    """What conda knows itself: ``alias`` and ``packages`` (addresses without a slash), and ``default-channels``."""
    return MappingProxyType(_tables()["conda"])


@cache
def deposit_defaults() -> Mapping[str, Any]:
    """The addresses of archives of research data, without a slash at the end; ``zenodo`` is a list."""
    return MappingProxyType(_tables()["deposits"])


@cache
def r_defaults() -> Mapping[str, str]:
    """The address of the Posit-style ``repository`` of R packages, without a slash at the end."""
    return MappingProxyType(_tables()["r"])


def _tables() -> dict[str, Any]:
    import tomli  # noqa: PLC0415 - a build with nothing to do resolves nothing

    return tomli.loads(resources.files("ocibuild.core").joinpath("defaults.toml").read_text("utf-8"))
