"""A piece of code that a build runs in the image's root file system."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """What runs, as whom, where, and why it cannot be done as data (shown in the plan)."""

    name: str
    arguments: tuple[str, ...]
    why: str
    user: str = "root"
    working_folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    network: bool = False
    timeout_seconds: float | None = None
