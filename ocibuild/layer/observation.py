"""What is remembered of a file's content while it streams by, so that it need not be read again.

Every file that enters a layer (a package being placed, a base layer being scanned) is shown to :func:`observe` once.
What later phases need of it is kept beside the layer's table: the bytes of a short list of small files (dpkg's
database, accounts, what caches are made from) and, of a shared library, what ldconfig(8) reads of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from types import MappingProxyType

__all__ = ["LARGEST_KEPT_BYTES", "OBSERVATION_VERSION", "Observation", "is_kept", "is_library"]

OBSERVATION_VERSION = 3
"""Part of every key under which observations are stored: raise it when a pattern below changes."""

LARGEST_KEPT_BYTES = 32 << 20
"""Larger files are never kept; the largest real one is dpkg's status, of a few megabytes."""

_KEPT_FOLDERS = (
    "var/lib/dpkg/",
    "etc/",  # whole: whether a conffile was changed is seen by its content; real ones hold 2 MB
    "usr/share/fontconfig/",
    "usr/share/ca-certificates/",
    "usr/local/share/ca-certificates/",
    "usr/share/glib-2.0/schemas/",
    "usr/share/mime/packages/",
    "usr/share/debconf/",
    "usr/share/base-passwd/",
    "usr/share/base-files/",
    "usr/share/pam-configs/",
    "usr/share/pam/",
    "usr/share/keyrings/",
    "var/lib/pam/",
    "var/lib/ucf/",
    "usr/lib/sysusers.d/",
    "usr/lib/tmpfiles.d/",
    "usr/share/debianutils/",
    "usr/share/applications/",
)
_KEPT_FILES = frozenset(
    {
        "usr/lib/os-release",
        "var/lib/shells.state",
        "var/lib/apt/extended_states",
    }
)
# Wrappers and the interpreter's own version file: how the Python of a base is recognised.
_KEPT_PATTERNS = (
    "usr/lib/python3*/sitecustomize.py",
    "usr/share/python3/*",
    "*/pyvenv.cfg",
    "*/conda-meta/python-3*.json",
    "*/include/python3*/patchlevel.h",
    "*/python3*/venv/scripts/*",
)
_KEPT_PATTERN = re.compile("|".join(translate(form) for form in _KEPT_PATTERNS))
_LIBRARY = ("*.so", "*.so.*", "*/ld-*.so.*")
_LIBRARY_FOLDERS = ("lib", "lib32", "lib64", "libx32", "usr", "opt")


@dataclass(frozen=True, slots=True)
class Observation:
    """What was kept of one layer or package: ``kept`` by path, and ``libraries``: path -> what ELF says (JSON text)."""

    kept: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    libraries: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def is_kept(path: str) -> bool:
    """Whether the bytes of a regular file at ``path`` are kept."""
    return path.startswith(_KEPT_FOLDERS) or path in _KEPT_FILES or _KEPT_PATTERN.match(path) is not None


def is_library(path: str) -> bool:
    """Whether a regular file at ``path`` may be a shared library that ldconfig(8) would look at."""
    name = path.rpartition("/")[2]
    return ".so" in name and path.partition("/")[0] in _LIBRARY_FOLDERS and any(fnmatchcase(name, f) for f in _LIBRARY)
