"""The public default mirrors: ``defaults.toml`` as a value."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

__all__ = ["apt_defaults"]


@cache
def apt_defaults(distribution: str) -> Mapping[str, str]:
    """The addresses of ``debian`` or ``ubuntu``: ``mirror``, ``security`` and what else the distribution has."""
    import tomli  # noqa: PLC0415 - a build with nothing to do resolves nothing

    text = resources.files("ocibuild.core").joinpath("defaults.toml").read_text("utf-8")
    return MappingProxyType(tomli.loads(text)["apt"][distribution])
