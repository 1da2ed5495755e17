"""Which shared caches a build reads, and whether it writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import UsageError
from ocibuild.core.reference import Reference
from ocibuild.spec.options import BuildOptions, parse_cache

__all__ = ["CacheSettings", "cache_name"]

_VARIABLE, _MODE_VARIABLE = "OCIBUILD_CACHE", "OCIBUILD_CACHE_MODE"
_MODES = ("ro", "rw")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The repositories to read, the first one first, which is also the one that is written to with ``writes``.

    ``username`` and ``password_file`` are a login of its own for the first one's registry.
    """

    places: tuple[Reference, ...]
    writes: bool = False
    username: str | None = None
    password_file: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The repositories as ``HOST/NAME``."""
        return tuple(map(cache_name, self.places))

    @classmethod
    def of(
        cls, said: BuildOptions, in_repository: BuildOptions, environment: Mapping[str, str]
    ) -> "CacheSettings | None":
        """What the command line says, else the environment, else the repository's ocibuild.toml; None: no cache.

        They are never added up: what one trusts is not the other's business. A repository can name what is read for
        its own image, and never what is written. A UsageError for what is malformed or does not fit together.
        """
        if said.no_cache:
            if said.caches or said.cache_mode == "rw":
                raise UsageError("--no-cache and --cache exclude each other")
            return None
        texts = said.caches or tuple(re.split(r"[\s,]+", environment.get(_VARIABLE, "").strip(" ,\n\t")))
        by_user = any(texts)
        mode = said.cache_mode or (environment.get(_MODE_VARIABLE) if by_user else None) or "ro"
        if mode not in _MODES:
            raise UsageError(f"{_MODE_VARIABLE} is {mode!r}", hint=f"it must be one of {', '.join(_MODES)}")
        if mode == "rw" and not by_user:
            raise UsageError("--cache-mode rw needs a cache to write to", hint="add --cache HOST/NAME")
        if (said.cache_username is None) != (said.cache_password_file is None):
            raise UsageError("--cache-username and --cache-password-file go together")
        names = dict.fromkeys(map(parse_cache, texts if by_user else in_repository.caches))
        places = tuple(map(Reference.parse, names))
        if not places:
            return None
        return cls(places, mode == "rw", said.cache_username, said.cache_password_file)


def cache_name(place: Reference) -> str:
    """The repository as ``HOST/NAME``."""
    return f"{place.registry}/{place.repository}"
