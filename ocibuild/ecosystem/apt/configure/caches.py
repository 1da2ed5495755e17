"""What is made once from everything that is installed: the caches that triggers and ``later`` ask for."""

from ocibuild.ecosystem.apt.configure.fontconfig import make_caches
from ocibuild.ecosystem.apt.configure.ldconfig import run_ldconfig
from ocibuild.image.overlay import Overlay

__all__ = ["make_cache"]


def make_cache(name: str, overlay: Overlay, *, architecture: str) -> tuple[str, ...]:
    """Make a cache by its name in the table (``ldconfig``, ``gio-modules:TRIPLET``, ...); why it cannot be, if so."""
    kind, _, argument = name.partition(":")
    if kind == "ldconfig":
        return run_ldconfig(overlay, architecture=architecture)
    if kind == "fontconfig":
        return make_caches(overlay, architecture=architecture)
    return (f"the cache {name} is not known",)
