"""All caches of an image: what ``fc-cache -s`` leaves, made without running it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ocibuild.core.clock import FIXED_TIME
from ocibuild.ecosystem.apt.configure.fontconfig.cachefile import FolderCache, cache_file_name, cached_folder
from ocibuild.ecosystem.apt.configure.fontconfig.configuration import Configuration, read_configuration
from ocibuild.ecosystem.apt.configure.fontconfig.fontfile import query_file
from ocibuild.ecosystem.apt.configure.fontconfig.pattern import Pattern
from ocibuild.ecosystem.apt.configure.fontconfig.release import Release, installed_release
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError
from ocibuild.image.overlay import Overlay

__all__ = ["make_caches"]

_LAYOUTS: Final = {"amd64": "le64", "arm64": "le64"}
"""Debian's architecture -> the name of its memory layout in fontconfig (src/fcarch.h)."""
_TAG_FILE: Final = "CACHEDIR.TAG"
_TAG: Final = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by fontconfig.\n"
    "# For information about cache directory tags, see:\n"
    "#       http://www.brynosaurus.com/cachedir/\n"
)
_MOST_LEVELS: Final = 40  # of folders: more come from links that lead back


def make_caches(overlay: Overlay, *, architecture: str) -> tuple[str, ...]:
    """Write the caches of all font folders of the image, as its own ``fc-cache -s`` would; returns why it cannot.

    The bytes are those that fc-cache writes when every folder's time is :data:`FIXED_TIME`, as it is in an image.
    Caches of folders that are gone are removed. ``architecture`` is Debian's name (``amd64``). Each returned reason
    names a file or what else is not modelled; where there is one, nothing was written.
    """
    layout = _LAYOUTS.get(architecture)
    if layout is None:
        return (f"font caches of the architecture {architecture} are not modelled",)
    try:
        release = installed_release(overlay)
        configuration = read_configuration(overlay)
    except UnmodelledError as error:
        return (error.message,)
    caches: dict[str, FolderCache] = {}
    reasons: list[str] = []
    scan = _Scan(overlay, configuration, release, caches, reasons)
    for folder in configuration.folders:
        _scan(scan, folder)
    if reasons:
        return tuple(reasons)
    _write(overlay, configuration.cache_folder, layout, release, caches)
    return ()


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one scan of all folders carries along; ``caches`` (by folder) and ``reasons`` are filled by it."""

    overlay: Overlay
    configuration: Configuration
    release: Release
    caches: dict[str, FolderCache]
    reasons: list[str]


def _scan(scan: _Scan, folder: str) -> None:
    """Read a folder and those below it. Names with a leading dot are left out, links are followed."""
    if folder in scan.caches or not scan.overlay.is_folder(folder):
        return
    if folder.count("/") > _MOST_LEVELS:
        scan.reasons.append(f"/{folder}: folders that lead back to themselves")
        return
    subfolders: list[str] = []
    patterns: list[Pattern] = []
    for name in sorted(scan.overlay.children(folder), key=lambda name: name.encode("utf-8", "surrogateescape")):
        path = f"{folder}/{name}"
        if name.startswith("."):
            continue
        if scan.overlay.is_folder(path):
            subfolders.append(path)
        elif scan.overlay.is_file(path):
            patterns += _patterns(scan, path)
    scan.caches[folder] = FolderCache(
        f"/{folder}", tuple(f"/{path}" for path in subfolders), tuple(patterns), FIXED_TIME
    )
    for path in subfolders:
        _scan(scan, path)


def _patterns(scan: _Scan, path: str) -> Iterator[Pattern]:
    """The patterns of a file; what is not modelled becomes a reason."""
    try:
        patterns = query_file(scan.overlay.read(path), path=f"/{path}", release=scan.release)
    except UnmodelledError as error:
        scan.reasons.append(error.message)
        return
    for pattern in patterns:
        for rule in scan.configuration.rules:
            if rule.may_match(pattern):
                scan.reasons.append(f"/{path}: a rule of {rule.where} may change it while it is scanned")
        yield pattern


def _write(overlay: Overlay, cache_folder: str, layout: str, release: Release, caches: dict[str, FolderCache]) -> None:
    overlay.make_folders(cache_folder)
    ending = f"-{layout}.cache-{release.cache_version}"
    for name in overlay.children(cache_folder):
        path = f"{cache_folder}/{name}"
        if name.endswith(ending) and overlay.is_file(path):
            folder = cached_folder(overlay.read(path))
            if folder is None or not overlay.is_folder(folder.lstrip("/")):
                overlay.remove(path)
    for cache in caches.values():
        name = cache_file_name(cache.folder, layout=layout, cache_version=release.cache_version)
        overlay.write(f"{cache_folder}/{name}", cache.serialised(cache_version=release.cache_version), mode=0o644)
    overlay.write(f"{cache_folder}/{_TAG_FILE}", _TAG, mode=0o644)
