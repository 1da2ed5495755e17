"""A piece of code that a build runs in the image's root file system."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ocibuild.core.digest import Digest

__all__ = ["Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """What runs, as whom, where, and why it cannot be done as data (shown in the plan).

    ``user`` is a name or number, with ``:GROUP`` or without, as the image's account files know it. ``environment`` adds
    to the variables of the image's configuration, unless it has them not (``has_image_environment``): then these change
    nothing of what comes of it. ``keep`` are patterns of paths that are kept though they are usually noise.
    With ``has_secrets`` it may read what the user gives to the repository's code. ``inputs`` are files that it may read
    while it runs and that are in no layer: an absolute path -> what lies there.
    """

    name: str
    arguments: tuple[str, ...]
    why: str
    user: str = "root"
    working_folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    network: bool = False
    keep: tuple[str, ...] = ()
    has_secrets: bool = True
    inputs: Mapping[str, Digest] = field(default_factory=lambda: MappingProxyType({}))
    has_image_environment: bool = True
