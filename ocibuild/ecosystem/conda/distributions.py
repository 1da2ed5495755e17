"""Which Python distributions conda packages bring: what a pip section must leave as it is.

A conda package is often named otherwise than what it brings (``matplotlib-base`` brings matplotlib), or brings several
or none: its list of files tells.
"""

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["distributions_among", "read_distributions"]

_METADATA = re.compile(
    r"(?:\A|/)site-packages/(?P<name>[^/]+?)-(?P<version>[^/-]+)"
    r"(?:\.dist-info/METADATA|(?:-py[\d.]+)?\.egg-info(?:/PKG-INFO)?)"
)


def distributions_among(paths: Iterable[str]) -> dict[str, str]:
    """Normalised name -> version of every distribution that has its metadata among these paths."""
    found = (_METADATA.search(path) for path in paths)
    return {
        re.sub(r"[-_.]+", "-", each["name"]).lower(): each["version"]
        for each in found
        if each is not None and each.end() == len(each.string)
    }


def read_distributions(body: Path, *, name: str) -> dict[str, str]:
    """Those of the package at ``body``, of which only the metadata is read; ``name`` is for messages.

    An ImageError where it is no conda package.
    """
    # Imported here: a build with nothing to do imports this module, and reads no package.
    from ocibuild.ecosystem.conda.archive import CondaArchive  # noqa: PLC0415 - see above
    from ocibuild.ecosystem.conda.metadata import PackageInfo  # noqa: PLC0415 - see above

    with CondaArchive(body, name=name) as archive:
        return distributions_among(PackageInfo.read(archive).paths)
