"""R packages as Debian packages: how they are named, and which version of R's they hold.

Source: Debian's R packaging policy: ``r-cran-NAME`` and ``r-bioc-NAME`` in lower case.
"""

import re

__all__ = ["deb_name", "package_name", "upstream_version"]

_PREFIXES = ("r-cran-", "r-bioc-")
_ADDED = re.compile(r"[+~].*")


def package_name(deb: str) -> str:
    """The R package that a Debian package holds, in lower case; empty where it holds none."""
    return next((deb[len(prefix) :] for prefix in _PREFIXES if deb.startswith(prefix)), "")


def deb_name(name: str, debs: "frozenset[str] | set[str]") -> str:
    """The Debian package among these that holds this R package."""
    return next(deb for prefix in _PREFIXES if (deb := f"{prefix}{name.lower()}") in debs)


def upstream_version(version: str) -> str:
    """The version of the R package in a Debian version: ``1.0-2`` of ``1:1.0-2+dfsg-3``."""
    upstream, dash, _ = version.rpartition(":")[2].rpartition("-")
    return _ADDED.sub("", upstream if dash else version.rpartition(":")[2])
