"""``loaders.cache``, in which ``gdk-pixbuf-query-loaders`` notes what each of GdkPixbuf's loaders reads.

Source: the format is that of gdk-pixbuf 2.42's ``gdk-pixbuf/queryloaders.c``, the order that of the maintainer script
of Debian's libgdk-pixbuf-2.0-0.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from ocibuild.ecosystem.apt.configure.context import multiarch_triplet
from ocibuild.image.overlay import Overlay

__all__ = ["make_loader_cache"]

_VERSION_FOLDER = "gdk-pixbuf-2.0/2.10.0"
_LIBRARY = re.compile(r"libgdk_pixbuf-2\.0\.so\.0\.([0-9]+)00\.([0-9]+)")
_HEADER = """\
# GdkPixbuf Image Loader Modules file
# Automatically generated file, do not edit
# Created by gdk-pixbuf-query-loaders from gdk-pixbuf-2.{}.{}
#
"""


def make_loader_cache(overlay: Overlay, *, architecture: str) -> tuple[str, ...]:
    """Write ``usr/lib/TRIPLET/gdk-pixbuf-2.0/2.10.0/loaders.cache``, where that folder has loaders.

    Byte for byte what Debian's libgdk-pixbuf-2.0-0 writes there, for the loaders of ``data/pixbuf_loaders.txt``.
    Returns the loaders that are not known, or are not as they were known; then nothing is written.
    """
    library_folder = f"usr/lib/{multiarch_triplet(architecture)}"
    folders = [f"usr/lib/{_VERSION_FOLDER}/loaders", f"{library_folder}/{_VERSION_FOLDER}/loaders"]
    if not any(overlay.is_folder(folder) for folder in folders):
        return ()
    versions = [found for name in overlay.children(library_folder) if (found := _LIBRARY.fullmatch(name))]
    if len(versions) != 1:
        return (f"/{library_folder} does not hold one libgdk_pixbuf-2.0.so.0 of a known version",)
    loaders = sorted(path for folder in folders for path in overlay.walk(folder) if path.endswith(".so"))
    reasons, blocks = [], [_HEADER.format(*versions[0].groups())]
    for path in loaders:
        answer = _known_answers().get(path.rpartition("/")[2])
        if answer is None or not _mentions(overlay.read(path), answer):
            reasons.append(f"what /{path} reads is not known")
        else:
            blocks.append(f'"/{path}"\n{answer}\n\n')
    if not reasons:
        overlay.write(f"{library_folder}/{_VERSION_FOLDER}/loaders.cache", "".join(blocks) + "\n")
    return tuple(reasons)


@cache
def _known_answers() -> Mapping[str, str]:
    """A loader's file name -> its lines in the cache."""
    data = files("ocibuild.ecosystem.apt.configure") / "data" / "pixbuf_loaders.txt"
    blocks = data.read_text("utf-8").strip().split("\n\n")[1:]
    return {block.partition("\n")[0]: block.partition("\n")[2] for block in blocks}


def _mentions(data: bytes, answer: str) -> bool:
    """Whether the loader's data has the name, description, MIME types and extensions that it should answer."""
    names = [word for line in answer.splitlines()[:3] for word in re.findall(r'"([^"]+)"', line)]
    return all(name.encode() in data for name in names if name != "gdk-pixbuf")
