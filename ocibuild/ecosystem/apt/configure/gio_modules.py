"""``giomodule.cache``, in which ``gio-querymodules`` notes what each of GIO's modules extends.

Source: the format is that of GLib 2.74's ``gio/gio-querymodules.c``.
"""

from collections.abc import Mapping

from ocibuild.ecosystem.apt.configure.context import multiarch_triplet
from ocibuild.image.overlay import Overlay

__all__ = ["make_module_cache"]

# What a module's query function answers is in its code, not in its data: these answers are of Debian 12 and 13.
_EXTENSION_POINTS: Mapping[str, tuple[str, ...]] = {
    "libdconfsettings.so": ("gsettings-backend",),
    "libgiognomeproxy.so": ("gio-proxy-resolver",),
    "libgiognutls.so": ("gio-tls-backend",),
    "libgiolibproxy.so": ("gio-proxy-resolver",),
    "libgioremote-volume-monitor.so": ("gio-native-volume-monitor", "gio-volume-monitor"),
    "libgvfsdbus.so": ("gio-vfs", "gio-volume-monitor"),
}


def make_module_cache(overlay: Overlay, *, architecture: str) -> tuple[str, ...]:
    """Write ``giomodule.cache`` in ``usr/lib/TRIPLET/gio/modules``; without modules, remove it.

    Byte for byte what gio-querymodules writes there, for the modules of Debian 12 and 13's dconf, glib-networking and
    gvfs. Returns the modules that are not known, or are not as they were known; then nothing is written.
    """
    folder = f"usr/lib/{multiarch_triplet(architecture)}/gio/modules"
    reasons, lines = [], []
    for name in overlay.children(folder):
        if not (name.startswith("lib") and name.endswith(".so")):
            continue
        points = _EXTENSION_POINTS.get(name, ())
        if not points:
            reasons.append(f"what /{folder}/{name} extends is not known")
        elif not _mentions(overlay.read(f"{folder}/{name}"), points):
            reasons.append(f"/{folder}/{name} does not extend {', '.join(points)}, as it did when it became known")
        lines.append(f"{name}: {','.join(points)}\n")
    if reasons:
        return tuple(reasons)
    if lines:
        overlay.write(f"{folder}/giomodule.cache", "".join(lines))
    else:
        overlay.remove(f"{folder}/giomodule.cache")
    return ()


def _mentions(data: bytes, points: tuple[str, ...]) -> bool:
    return all(point.encode() in data for point in points)
