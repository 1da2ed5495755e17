"""Which fontconfig and FreeType the image holds, and what of them shows in a cache."""

import re
from dataclasses import dataclass, replace
from typing import Final

from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError
from ocibuild.image.overlay import Overlay

__all__ = ["Release", "installed_release"]

_STATUS: Final = "var/lib/dpkg/status"
_LIBRARY: Final = "libfontconfig1"
_FREETYPE: Final = "libfreetype6"
_FREETYPES: Final = {"2.12.1": False, "2.13.3": True}
"""The releases of FreeType that this package was compared with -> ``repairs_postscript_names``."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of fontconfig: its version, the cache format's version, and how many languages it knows.

    ``describes_wrapper``: patterns say whether they are a named instance and what the font is wrapped in.
    ``retries_as_utf16``: a name in an encoding that it cannot convert is read as UTF-16.
    ``repairs_postscript_names``: FreeType leaves out what is not allowed in a PostScript name, not the whole name.
    """

    version: str
    cache_version: int
    languages: int
    describes_wrapper: bool
    retries_as_utf16: bool
    repairs_postscript_names: bool = False


_RELEASES: Final = {
    release.version: release
    for release in (
        Release("2.14.1", 8, 246, describes_wrapper=False, retries_as_utf16=False),
        Release("2.15.0", 9, 279, describes_wrapper=True, retries_as_utf16=True),
    )
}


def _upstream_version(status: str, package: str) -> str | None:
    """The upstream version (deb-version(7), without a ``+dfsg`` of the packagers) that dpkg's status gives."""
    for paragraph in re.split(r"\n\s*\n", status):
        if re.search(rf"^Package: {re.escape(package)}$", paragraph, re.MULTILINE):
            version = re.search(r"^Version: (?:\d+:)?([\d.]+)", paragraph, re.MULTILINE)
            return version.group(1) if version else None
    return None


def installed_release(overlay: Overlay) -> Release:
    """The release of the image's libfontconfig1, as its dpkg database says.

    An UnmodelledError where it is not installed, or it or FreeType is a release that was never compared with.
    """
    status = overlay.read_text(_STATUS, "")
    version = _upstream_version(status, _LIBRARY)
    if version is None:
        raise UnmodelledError(f"/{_STATUS} has no version of {_LIBRARY}")
    if version not in _RELEASES:
        raise UnmodelledError(f"fontconfig {version} is not modelled (only {', '.join(_RELEASES)})")
    freetype = _upstream_version(status, _FREETYPE)
    if freetype not in _FREETYPES:
        raise UnmodelledError(f"FreeType {freetype or 'of an unknown version'} is not modelled")
    return replace(_RELEASES[version], repairs_postscript_names=_FREETYPES[freetype])
