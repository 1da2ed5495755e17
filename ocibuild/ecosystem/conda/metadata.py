"""What a conda package says of itself: ``index.json``, ``paths.json`` or the lists of older packages, ``link.json``.

Sources: conda's documentation, "Package metadata"; conda's ``gateways/disk/read.py`` for packages without
``paths.json``; the noarch Python format (conda's ``link.json``).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from ocibuild.core.errors import ImageError
from ocibuild.core.paths import clean_path
from ocibuild.ecosystem.conda.archive import CondaArchive

__all__ = ["EntryPoint", "ListedPath", "PackageInfo"]

_OLD_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
"""What a line of ``has_prefix`` means that names a path alone; the text is written so in conda, too."""

_PREFIX_LINE = re.compile(r'(?:(?P<placeholder>"[^"]+"|[^"\s]+)\s+(?P<mode>text|binary)\s+)?(?P<path>"[^"]+"|\S.*)')
_PROGRAM = re.compile(r"[^\s/\x00-\x1f\x7f]+")
_FUNCTION = re.compile(r"[\w.]+")

PathKind = Literal["hardlink", "softlink", "directory", ""]


@dataclass(frozen=True, slots=True)
class ListedPath:
    """One path as the package lists it. ``kind`` is empty in packages that are too old to say it.

    ``placeholder`` is the prefix that the file holds, in a ``mode`` (``text`` or ``binary``); empty for none.
    """

    path: str
    kind: PathKind = ""
    sha256: str = ""
    size_bytes: int | None = None
    placeholder: str = ""
    mode: Literal["text", "binary", ""] = ""
    no_link: bool = False


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A program of a noarch Python package: ``NAME = MODULE:FUNCTION``."""

    name: str
    module: str
    function: str


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """A package's metadata: ``index`` as it is in the package, ``paths`` by path, in the order of the list."""

    index: Mapping[str, Any]
    paths: Mapping[str, ListedPath]
    entry_points: tuple[EntryPoint, ...] = ()

    @classmethod
    def read(cls, archive: CondaArchive) -> "PackageInfo":
        """The metadata of an open package; an ImageError that names the package and file for what is malformed."""
        info = archive.info
        where = archive.name
        index = _json_object(info["index.json"], f"{where}: info/index.json")
        if "paths.json" in info:
            listed = list(_listed_paths(info["paths.json"], f"{where}: info/paths.json"))
        elif "files" in info:
            listed = list(_old_paths(info, where))
        else:
            raise ImageError(f"{where}: neither info/paths.json nor info/files says what it holds")
        paths = {path.path: path for path in listed}
        if len(paths) != len(listed):
            raise ImageError(f"{where}: its metadata lists a path twice")
        points = _entry_points(info["link.json"], f"{where}: info/link.json") if "link.json" in info else ()
        return cls(MappingProxyType(index), MappingProxyType(paths), tuple(points))

    @property
    def is_noarch_python(self) -> bool:
        """Whether its modules go to the site-packages of whatever Python is there."""
        return self.index.get("noarch") == "python"


def _json_object(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{where} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ImageError(f"{where} holds no object")
    return value


def _listed_paths(data: bytes, where: str) -> Iterator[ListedPath]:
    value = _json_object(data, where)
    if value.get("paths_version") != 1 or not isinstance(value.get("paths"), list):
        raise ImageError(f"{where} is not of version 1")
    for entry in value["paths"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("_path"), str):
            raise ImageError(f"{where} holds an entry without a path")
        kind, mode = entry.get("path_type"), entry.get("file_mode") or ""
        placeholder, size = entry.get("prefix_placeholder") or "", entry.get("size_in_bytes")
        if (
            kind not in ("hardlink", "softlink", "directory")
            or mode not in ("", "text", "binary")
            or not isinstance(placeholder, str)
            or not (size is None or type(size) is int)
        ):
            raise ImageError(f"{where} says of {entry['_path']!r} what has no meaning: {entry!r:.200}")
        yield ListedPath(
            _safe(entry["_path"], where),
            kind,
            str(entry.get("sha256") or ""),
            size,
            placeholder if mode else "",  # without a mode nothing is replaced
            "binary" if mode == "binary" else "text" if placeholder and mode else "",
            entry.get("no_link") is True,
        )


def _old_paths(info: Mapping[str, bytes], where: str) -> Iterator[ListedPath]:
    patched = {}
    for line in _lines(info.get("has_prefix", b""), f"{where}: info/has_prefix"):
        found = _PREFIX_LINE.fullmatch(line)
        if found is None:
            raise ImageError(f"{where}: info/has_prefix holds a line that has no meaning: {line!r:.200}")
        placeholder = (found["placeholder"] or _OLD_PLACEHOLDER).strip('"')
        patched[found["path"].strip('"')] = (placeholder, found["mode"] or "text")
    kept = {*_lines(info.get("no_link", b""), where), *_lines(info.get("no_softlink", b""), where)}
    for path in dict.fromkeys(_lines(info["files"], f"{where}: info/files")):
        placeholder, mode = patched.get(path, ("", ""))
        yield ListedPath(
            _safe(path, f"{where}: info/files"),
            placeholder=placeholder,
            mode="binary" if mode == "binary" else "text" if mode else "",
            no_link=path in kept,
        )


def _lines(data: bytes, where: str) -> list[str]:
    try:
        lines = (line.strip() for line in data.decode().split("\n"))
    except UnicodeDecodeError as error:
        raise ImageError(f"{where} is not UTF-8") from error
    return [line for line in lines if line and not line.startswith("#")]


def _safe(path: str, where: str) -> str:
    """The path in this program's form; nothing that leaves the package's root, and not the root itself."""
    if path.startswith("/") or not clean_path(path, where=where):
        raise ImageError(f"{where}: a path that leaves its folder: {path!r}")
    return clean_path(path, where=where)


def _entry_points(data: bytes, where: str) -> Iterator[EntryPoint]:
    noarch = _json_object(data, where).get("noarch")
    texts = (noarch.get("entry_points") or ()) if isinstance(noarch, dict) else ()
    for text in texts:
        name, _, reference = str(text).partition("=")
        module, _, function = reference.strip().partition(":")
        point = EntryPoint(name.strip(), module.strip(), function.strip())
        if (
            not _PROGRAM.fullmatch(point.name)
            or point.name in (".", "..")
            or not _FUNCTION.fullmatch(point.module)
            or not _FUNCTION.fullmatch(point.function)
        ):
            raise ImageError(f"{where}: the entry point {str(text)!r:.200} names no function of a module")
        yield point
