"""What is made once from everything that is installed: the caches that triggers and ``later`` ask for."""

from collections.abc import Callable, Mapping

from ocibuild.ecosystem.apt.configure.ca_certificates import update_ca_certificates
from ocibuild.ecosystem.apt.configure.context import multiarch_triplet
from ocibuild.ecosystem.apt.configure.fontconfig import make_caches
from ocibuild.ecosystem.apt.configure.gio_modules import make_module_cache
from ocibuild.ecosystem.apt.configure.glib_schemas import compile_schemas
from ocibuild.ecosystem.apt.configure.graphviz_plugins import make_config6a
from ocibuild.ecosystem.apt.configure.ldconfig import run_ldconfig
from ocibuild.ecosystem.apt.configure.mime_database import make_mime_database
from ocibuild.ecosystem.apt.configure.pixbuf_loaders import make_loader_cache
from ocibuild.image.overlay import Overlay

__all__ = ["make_cache"]

_Maker = Callable[[Overlay, str], tuple[str, ...]]
_MAKERS: Mapping[str, _Maker] = {
    "ca-certificates": lambda overlay, _: update_ca_certificates(overlay),
    "fontconfig": lambda overlay, architecture: make_caches(overlay, architecture=architecture),
    "gio-modules": lambda overlay, architecture: make_module_cache(overlay, architecture=architecture),
    "glib-schemas": lambda overlay, _: compile_schemas(overlay),
    "graphviz": lambda overlay, architecture: make_config6a(overlay, architecture=architecture),
    "ldconfig": lambda overlay, architecture: run_ldconfig(overlay, architecture=architecture),
    "mime-database": lambda overlay, _: make_mime_database(overlay),
    "pixbuf-loaders": lambda overlay, architecture: make_loader_cache(overlay, architecture=architecture),
}


def make_cache(name: str, overlay: Overlay, *, architecture: str) -> tuple[str, ...]:
    """Make a cache by its name in the table of known parts; why it cannot be made, where it cannot.

    A name such as ``gio-modules:TRIPLET`` is about one architecture's libraries: only the image's own are read.
    """
    kind, _, triplet = name.partition(":")
    maker = _MAKERS.get(kind)
    if maker is None:
        return (f"the cache {kind} is not known",)
    if triplet and triplet != multiarch_triplet(architecture):
        return (f"the cache {kind} of {triplet} would have to be made by a program of another architecture",)
    return maker(overlay, architecture)
