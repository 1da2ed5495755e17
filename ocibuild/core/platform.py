"""Platforms that an image can be for (image-spec, image-index.md, "platform")."""

from dataclasses import dataclass

from ocibuild.core.errors import UsageError

__all__ = ["Platform"]

_ALIASES = {"x86_64": "amd64", "x64": "amd64", "aarch64": "arm64", "armhf": "arm/v7", "i386": "386", "i686": "386"}
_DEBIAN = {
    "amd64": "amd64",
    "arm64": "arm64",
    "386": "i386",
    "arm/v7": "armhf",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
_MACHINE = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "386": "i686",
    "arm/v7": "armv7l",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
_MULTIARCH = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "386": "i386-linux-gnu",
    "arm/v7": "arm-linux-gnueabihf",
    "ppc64le": "powerpc64le-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system, a processor architecture in Go's names, and its variant ("" for none)."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Read ``linux/amd64``, ``linux/arm/v7``, or an architecture alone; UsageError where it names nothing known."""
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        if len(parts) == 2:  # noqa: PLR2004 - an OS and an architecture, whose alias may bring a variant
            parts = [parts[0], *_ALIASES.get(parts[1], parts[1]).split("/")]
        os, architecture, variant = (*parts, "")[:3]
        architecture = _ALIASES.get(architecture, architecture)
        if architecture == "arm64" and variant == "v8":
            variant = ""  # arm64 is v8: registries write both
        if architecture == "arm" and not variant:
            variant = "v7"
        platform = cls(os, architecture, variant)
        if len(parts) > 3 or os != "linux" or platform._key not in _DEBIAN:  # noqa: PLR2004 - os/architecture/variant
            raise UsageError(
                f"unknown platform: {text!r}", hint=f"write one of {', '.join(f'linux/{key}' for key in _DEBIAN)}"
            )
        return platform

    @property
    def _key(self) -> str:
        return f"{self.architecture}/{self.variant}" if self.variant else self.architecture

    @property
    def debian_architecture(self) -> str:
        """The architecture as dpkg names it, such as ``amd64`` or ``armhf``."""
        return _DEBIAN[self._key]

    @property
    def machine(self) -> str:
        """The architecture as ``uname -m`` and wheel tags name it, such as ``x86_64``."""
        return _MACHINE[self._key]

    @property
    def multiarch(self) -> str:
        """Debian's multiarch triplet, such as ``x86_64-linux-gnu``."""
        return _MULTIARCH[self._key]

    def __str__(self) -> str:
        return f"{self.os}/{self._key}"
