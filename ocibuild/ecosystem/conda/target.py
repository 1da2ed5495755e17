"""The system that a conda environment is for, as the solver sees it: virtual packages, never this machine's.

Sources: conda's documentation, "Managing virtual packages"; CEP 30 (virtual packages).
"""

from dataclasses import dataclass

from ocibuild.core.errors import MachineError
from ocibuild.core.platform import Platform

__all__ = ["CondaTarget"]

_SUBDIRS = {
    "linux/amd64": "linux-64",
    "linux/arm64": "linux-aarch64",
    "linux/386": "linux-32",
    "linux/arm/v7": "linux-armv7l",
    "linux/ppc64le": "linux-ppc64le",
    "linux/s390x": "linux-s390x",
    "linux/riscv64": "linux-riscv64",
}
_KERNEL = "4.18"
"""The oldest that is still in wide use (RHEL 8's): nobody knows the kernel that an image will run on."""


@dataclass(frozen=True, slots=True)
class CondaTarget:
    """``glibc`` is the base's version, empty where it has another C library.

    ``cuda`` is the newest CUDA that the driver will support, empty for none. ``archspec`` is the processor that may be
    relied on, by its name in archspec (``x86_64_v3``); empty for what every machine of the platform has.
    """

    platform: Platform
    glibc: str = ""
    cuda: str = ""
    archspec: str = ""

    @property
    def subdir(self) -> str:
        """Conda's name of the platform, such as ``linux-64``; a MachineError where it has none."""
        found = _SUBDIRS.get(str(self.platform))
        if found is None:
            raise MachineError(f"conda has no packages for {self.platform}", hint="choose linux/amd64 or linux/arm64")
        return found

    def virtual_packages(self) -> tuple[tuple[str, str, str], ...]:
        """Name, version and build of each."""
        packages = [("__unix", "0", "0"), ("__linux", _KERNEL, "0")]
        if self.glibc:
            packages.append(("__glibc", self.glibc, "0"))
        if self.cuda:
            packages.append(("__cuda", self.cuda, "0"))
        packages.append(("__archspec", "1", self.archspec or self.platform.machine))
        return tuple(packages)
