"""The R of an image: what packages must fit, where they go, and as whom a repository is asked for them."""

import re
from dataclasses import dataclass
from typing import Final

from ocibuild.core.platform import Platform
from ocibuild.image.view import View
from ocibuild.spec.r_description import BuiltWith, RDescription, decode_description

__all__ = ["DEBIAN_LIBRARY", "RTarget", "debian_r", "find_r"]

DEBIAN_LIBRARY: Final = "usr/local/lib/R/site-library"
"""Where packages go that are not Debian's: first in ``.libPaths()`` of Debian's R (/etc/R/Renviron)."""

# Where an R is that an image may have, and the library that is its first for everybody: Debian's and Ubuntu's; built
# from source, as in rocker's images.
_PLACES = (("usr/lib/R", DEBIAN_LIBRARY), ("usr/local/lib/R", "usr/local/lib/R/site-library"))
_PROCESSORS = {"amd64": ("x86_64", "pc"), "arm64": ("aarch64", "unknown")}
_UPSTREAM = re.compile(r"(?:[0-9]+:)?([0-9]+\.[0-9]+\.[0-9]+)")


@dataclass(frozen=True, slots=True)
class RTarget:
    """R's version (``4.2.2``), the library for packages without a leading slash, and the platform.

    ``codename`` is the release's (``bookworm``) as its os-release has it, empty where it has none.
    """

    version: str
    library: str
    platform: Platform
    codename: str = ""

    @property
    def minor_version(self) -> str:
        """What binary packages are for: ``4.2``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def processor(self) -> str:
        """As R names it: ``x86_64``."""
        return _PROCESSORS.get(self.platform.architecture, (self.platform.architecture, ""))[0]

    @property
    def user_agent(self) -> str:
        """What R says that it is where ``HTTPUserAgent`` is set as Posit Package Manager's documentation asks for.

        Such a repository gives binary packages to whom it knows by this to be R, and their version by the R's.
        Source: "Configuring the R User Agent Header" there: ``sprintf("R/%s R (%s)", getRversion(),
        paste(getRversion(), R.version["platform"], R.version["arch"], R.version["os"]))``.
        """
        processor, vendor = _PROCESSORS.get(self.platform.architecture, (self.platform.architecture, "unknown"))
        return f"R/{self.version} R ({self.version} {processor}-{vendor}-linux-gnu {processor} linux-gnu)"

    def refusal(self, built: BuiltWith) -> str:
        """Why a package that was built so does not fit; empty where it does.

        R loads packages of its own major and minor version; what holds compiled code is of one platform.
        """
        if ".".join(built.r_version.split(".")[:2]) != self.minor_version:
            return f"was built with R {built.r_version}, and the image has R {self.version}"
        processor, _, system = built.platform.partition("-")
        if built.platform and (processor != self.processor or "linux" not in system):
            return f"was built for {built.platform}, and the image is for {self.platform}"
        return ""

    @property
    def description(self) -> str:
        """For messages: ``R 4.2.2 on linux/amd64``."""
        return f"R {self.version} on {self.platform}"


def debian_r(version: str, *, platform: Platform, codename: str) -> RTarget | None:
    """The R that Debian's ``r-base-core`` of this version brings; None where the version is not of R's form."""
    found = _UPSTREAM.match(version)
    return None if found is None else RTarget(found[1], DEBIAN_LIBRARY, platform, codename)


def find_r(view: View, *, platform: Platform, codename: str) -> RTarget | None:
    """The R that is in an image, told by its package ``base``; None where there is none."""
    for folder, library in _PLACES:
        text = view.read_if_there(f"{folder}/library/base/DESCRIPTION")
        if text is not None:
            description = RDescription.parse(decode_description(text))
            return RTarget(description.version, library, platform, codename)
    return None
