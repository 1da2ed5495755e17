"""What an operation works with: the tree, the package that is being configured, and what is to be made at the end."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage, UnknownScript
from ocibuild.ecosystem.apt.configure.parts import ScriptPart
from ocibuild.image.overlay import Overlay

__all__ = ["FIXED_DAY", "Context", "Operation", "multiarch_triplet"]

FIXED_DAY = 3652
"""1980-01-01 in days since the epoch: shadow(5)'s day of the last change, so that it is the same in every build."""

_TRIPLETS = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "i386": "i386-linux-gnu",
    "armhf": "arm-linux-gnueabihf",
    "ppc64el": "powerpc64le-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
}


def multiarch_triplet(architecture: str) -> str:
    """Debian's triplet of an architecture, the name of its library folders; the architecture itself where unknown."""
    return _TRIPLETS.get(architecture, architecture)


@dataclass(slots=True)
class Context:
    """A known part of a package's script, to be done in ``overlay``, the tree of an image of this ``architecture``.

    ``pending`` names what is made once, when every package is configured (caches that depend on all of them), and the
    package that asked for it first; ``activated`` are triggers that scripts activate by name.
    """

    overlay: Overlay
    architecture: str
    package: ConfiguredPackage
    member: str
    part: ScriptPart
    pending: dict[str, str] = field(default_factory=dict)
    activated: list[str] = field(default_factory=list)
    unknown: list[UnknownScript] = field(default_factory=list)

    @property
    def is_new_install(self) -> bool:
        """Whether no version of the package was configured before."""
        return not self.package.previous_version

    def refuse(self, why: str) -> None:
        """Say that this script's work, known as it is, cannot be done on this tree."""
        self.unknown.append(UnknownScript(self.package.name, self.member, why))

    def expanded(self, path: str) -> str:
        """A word of the table of known parts with its placeholders replaced by what the script says."""
        if "@PYTHON@" in path:
            versions = set(re.findall(r"python(3\.[0-9]+)", self.part.text))
            if len(versions) != 1:
                self.refuse(f"it is about several versions of Python: {', '.join(sorted(versions))}")
            path = path.replace("@PYTHON@", min(versions, default=""))
        own = self.package.architecture
        architecture = self.architecture if own in ("all", "") else own
        return path.replace("@TRIPLET@", multiarch_triplet(architecture)).replace("@ARCHITECTURE@", architecture)


Operation = Callable[..., None]
"""Does a known part's work: the context, and as strings the words behind the operation's name in the table."""
