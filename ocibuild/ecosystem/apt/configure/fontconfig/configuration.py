"""fontconfig's own configuration, as far as it shapes the caches: folders, the cache's place, rules for scanning."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as ET

from ocibuild.ecosystem.apt.configure.fontconfig.rule import ScanRule, parse_scan_rule
from ocibuild.ecosystem.apt.configure.fontconfig.unmodelled import UnmodelledError
from ocibuild.image.overlay import Overlay

__all__ = ["Configuration", "read_configuration"]

_FOLDER: Final = "etc/fonts"
_MAIN_FILE: Final = f"{_FOLDER}/fonts.conf"
_DEFAULT_CACHE: Final = "var/cache/fontconfig"
_MOST_INCLUDES: Final = 32  # of files that include files


@dataclass(frozen=True, slots=True)
class Configuration:
    """``folders``: where fonts are looked for, and ``cache_folder``: where caches are written, both image paths.

    ``rules`` are those for scanning, in order.
    """

    folders: tuple[str, ...]
    cache_folder: str
    rules: tuple[ScanRule, ...]


@dataclass(slots=True)
class _Reading:
    overlay: Overlay
    folders: list[str] = field(default_factory=list)
    cache_folders: list[str] = field(default_factory=list)
    rules: list[ScanRule] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def read_configuration(overlay: Overlay) -> Configuration:
    """What ``fc-cache -s`` would read of /etc/fonts/fonts.conf and what it includes (fonts-conf(5)).

    Folders of the user (``~`` and the ``xdg`` prefix) are left out, as ``-s`` does. An UnmodelledError where there is
    no such file, it is not XML, or it uses what is not modelled.
    """
    if not overlay.is_file(_MAIN_FILE):
        raise UnmodelledError(f"there is no /{_MAIN_FILE}")
    reading = _Reading(overlay)
    _read_file(reading, _MAIN_FILE, depth=0)
    folders = dict.fromkeys(reading.folders)
    cache_folder = reading.cache_folders[0] if reading.cache_folders else _DEFAULT_CACHE
    return Configuration(tuple(folders), cache_folder, tuple(reading.rules))


def _read_file(reading: _Reading, path: str, *, depth: int) -> None:
    where = reading.overlay.resolved(path)
    if where in reading.seen:
        return
    if depth > _MOST_INCLUDES:
        raise UnmodelledError(f"/{path}: files that include each other")
    reading.seen.add(where)
    try:
        root = ET.fromstring(reading.overlay.read(path))  # noqa: S314 - expat bounds expansion and fetches no DTD
    except ET.ParseError as error:
        raise UnmodelledError(f"/{path}: {error}") from error
    for element in root:
        _read_element(reading, path, element, depth=depth)


def _read_element(reading: _Reading, path: str, element: ET.Element, *, depth: int) -> None:
    text = (element.text or "").strip()
    match element.tag:
        case "dir" if _is_system_path(path, element, text):
            reading.folders.append(_image_path(text))
        case "cachedir" if _is_system_path(path, element, text):
            reading.cache_folders.append(_image_path(text))
        case "include" if element.get("prefix") != "xdg" and not text.startswith("~"):
            for included in _included(reading.overlay, path, element, text):
                _read_file(reading, included, depth=depth + 1)
        case "match" if element.get("target") == "scan":
            reading.rules.append(parse_scan_rule(element, where=f"/{path}"))
        case "remap-dir" | "reset-dirs":
            raise UnmodelledError(f"/{path}: <{element.tag}>")
        case _:
            pass  # nothing that a scan sees


def _is_system_path(path: str, element: ET.Element, text: str) -> bool:
    """Whether a folder is not the user's; an UnmodelledError where it does not name one by itself."""
    if element.get("prefix") == "xdg" or text.startswith("~"):
        return False
    if element.get("salt") or not text.startswith("/") or "/." in text:
        raise UnmodelledError(f"/{path}: <{element.tag}> {text!r} with {dict(element.attrib)}")
    return True


def _image_path(text: str) -> str:
    return "/".join(part for part in text.split("/") if part)


def _included(overlay: Overlay, path: str, element: ET.Element, text: str) -> Iterator[str]:
    """The files that an ``<include>`` names: itself, or those in a folder that begin with a digit, sorted."""
    target = _image_path(text if text.startswith("/") else f"{_FOLDER}/{text}")
    if overlay.is_file(target):
        yield target
    elif overlay.is_folder(target):
        for name in sorted(overlay.children(target)):
            if name[0] in "0123456789" and name.endswith(".conf") and name != ".conf":
                if overlay.is_file(f"{target}/{name}"):
                    yield f"{target}/{name}"
                else:
                    raise UnmodelledError(f"/{target}/{name}: a link to nothing, or no file")
    elif element.get("ignore_missing") not in ("yes", "true"):
        raise UnmodelledError(f"/{path}: it includes {text!r}, which is not there")
