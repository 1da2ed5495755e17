"""Python packages that an environment has from elsewhere, as uv can know them: wheels that hold a name and a version.

pip takes what is installed as it is. uv resolves from indexes alone, which may not have that version, or only its
source. So it is shown a wheel of each, which no image ever holds.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ocibuild.core.package import LockedPackage

__all__ = ["without_provided", "write_provided"]

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: ocibuild\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_provided(provided: Mapping[str, str], folder: Path) -> str:
    """Write the wheels into a folder of their own below ``folder``; its path."""
    place = folder / "provided"
    place.mkdir()
    for name, version in provided.items():
        stem = f"{re.sub(r'[-_.]+', '_', name)}-{version.replace('-', '_')}"
        with zipfile.ZipFile(place / f"{stem}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", _METADATA.format(name=name, version=version))
            wheel.writestr(f"{stem}.dist-info/WHEEL", _WHEEL)
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return str(place)


def without_provided(
    packages: tuple[LockedPackage, ...], addresses: Mapping[str, str], provided: Mapping[str, str]
) -> tuple[tuple[LockedPackage, ...], Mapping[str, str]]:
    """The packages but those that are there already, and the addresses of their sources."""
    if not provided:
        return packages, addresses
    added = tuple(package for package in packages if not _is_same(provided.get(package.name), package.version))
    sources = {package.source for package in added}
    return added, {source: address for source, address in addresses.items() if source in sources}


def _is_same(one: str | None, other: str) -> bool:
    if one is None or one == other:
        return one == other
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return False
