"""The nouns of configuring: a package with its scripts, and what is not known of it."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ConfigureReport", "ConfiguredPackage", "UnknownScript"]


@dataclass(frozen=True, slots=True)
class ConfiguredPackage:
    """A package whose files are in place and whose scripts have not run.

    ``previous_version`` is the version that was configured before, ``""`` for a new install. ``scripts`` holds the
    control archive's members by name (``preinst``, ``postinst``, ``triggers``, ...); others than those are ignored.
    """

    name: str
    architecture: str
    version: str
    previous_version: str
    scripts: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class UnknownScript:
    """A script that would have to run: its package, the member's name, and why it is not known, for a person."""

    package: str
    member: str
    why: str


@dataclass(frozen=True, slots=True)
class ConfigureReport:
    """What configuring could not do; with nothing here the tree is as dpkg would have left it."""

    unknown: tuple[UnknownScript, ...]
