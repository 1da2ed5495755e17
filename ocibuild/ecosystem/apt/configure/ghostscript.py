"""Ghostscript's maps of fonts: the files of its configuration folders one after the other.

Source: ghostscript 10.0's update-gsfontmap(8).
"""

from ocibuild.ecosystem.apt.configure.context import Context

__all__ = ["make_font_maps"]

_PROGRAM = "usr/sbin/update-gsfontmap"
_FOLDER = "var/lib/ghostscript/fonts"
_MAPS = {"cidfmap": "etc/ghostscript/cidfmap.d", "Fontmap": "etc/ghostscript/fontmap.d"}


def make_font_maps(context: Context) -> None:
    """The operation ``gsfontmap``: nothing where Ghostscript is not installed."""
    overlay = context.overlay
    if not overlay.is_file(_PROGRAM):
        return
    for name, folder in _MAPS.items():
        files = [f"{folder}/{file}" for file in overlay.children(folder) if file.endswith(".conf") and file[0] != "."]
        content = b"".join(overlay.read(file) for file in files if overlay.is_file(file))
        overlay.make_folders(_FOLDER)
        overlay.write(f"{_FOLDER}/{name}", content)
