"""What this machine's own apt configuration says: its sources, its proxies, and checks that it switches off."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.deb822 import decode
from ocibuild.ecosystem.apt.source_list import SourceEntry, parse_source_list, parse_sources

__all__ = ["MachineApt", "parse_configuration", "read_machine_apt"]

_TOKEN = re.compile(
    r'"((?:[^"\\]|\\.)*)"|([{};])|(//[^\n]*|/\*.*?\*/|#(?!clear|include)[^\n]*)|([^\s{};"]+)', re.DOTALL
)
_PART = re.compile(r"[A-Za-z0-9_.-]+")  # apt.conf(5): names of parts; others are left over by editors and dpkg
_FALSE = frozenset({"no", "false", "without", "off", "disable", "0"})


@dataclass(frozen=True, slots=True)
class MachineApt:
    """The entries of the machine's source lists, and its apt.conf settings (lower-case ``acquire::http::proxy``)."""

    entries: tuple[SourceEntry, ...] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    os_release: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def check_valid_until(self) -> bool:
        """False where the machine's apt does not look at Valid-Until (its mirror is frozen, for example)."""
        return self.settings.get("acquire::check-valid-until", "true").lower() not in _FALSE

    @property
    def proxies(self) -> Mapping[str, str]:
        """Scheme -> proxy, where apt.conf names one; ``DIRECT`` is apt's word for none."""
        found = {scheme: self.settings.get(f"acquire::{scheme}::proxy", "") for scheme in ("http", "https")}
        return {scheme: proxy for scheme, proxy in found.items() if proxy and proxy != "DIRECT"}


def read_machine_apt(root: Path = Path("/")) -> MachineApt:
    """Read ``etc/apt`` and ``os-release`` below ``root``; empty where there is none.

    What cannot be read or understood is overlooked: it only tells where a mirror is, and everything from a mirror is
    verified.
    """
    folder = root / "etc/apt"
    entries: list[SourceEntry] = []
    for path in (folder / "sources.list", *_parts(folder / "sources.list.d", (".list", ".sources"))):
        parse = parse_sources if path.suffix == ".sources" else parse_source_list
        with suppress(OSError, ImageError):
            entries += parse(decode(path.read_bytes()), file=str(path))
    settings: dict[str, str] = {}
    for path in (*_parts(folder / "apt.conf.d", ("", ".conf")), folder / "apt.conf"):
        with suppress(OSError):
            settings |= parse_configuration(decode(path.read_bytes()))
    return MachineApt(tuple(entries), MappingProxyType(settings), MappingProxyType(_os_release(root)))


def _parts(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    with suppress(OSError):
        return sorted(
            path for path in folder.iterdir() if path.suffix in suffixes and _PART.fullmatch(path.name) is not None
        )
    return []


def _os_release(root: Path) -> dict[str, str]:
    for name in ("etc/os-release", "usr/lib/os-release"):
        with suppress(OSError):
            pairs = (line.partition("=") for line in (root / name).read_text("utf-8", "replace").splitlines())
            return {key: value.strip("\"'") for key, _, value in pairs}
    return {}


def parse_configuration(text: str) -> dict[str, str]:
    """The settings of an apt.conf(5) text by full name in lower case: scopes in braces, and names joined by ``::``.

    Lists (``Name { "a"; "b"; };``) and directives are left out; of a name that occurs twice the last value counts.
    """
    settings: dict[str, str] = {}
    scopes: list[str] = []
    words: list[str] = []
    for quoted, mark, comment, word in _tokens(text):
        if comment:
            continue
        if mark == "{":
            scopes.append(words[-1] if words else "")
            words = []
        elif mark == "}":
            del scopes[-1:]
            words = []
        elif mark == ";":
            if len(words) == len(("name", "value")):
                settings["::".join(part for part in (*scopes, words[0]) if part).lower()] = words[1]
            words = []
        else:
            words.append(word or quoted)
    return settings


def _tokens(text: str) -> Iterator[tuple[str, str, str, str]]:
    yield from _TOKEN.findall(text)
