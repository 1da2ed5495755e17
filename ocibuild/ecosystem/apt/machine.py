"""What this machine's own apt configuration says: its sources, its proxies, and checks that it switches off."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from ocibuild.core.errors import ImageError
from ocibuild.ecosystem.apt.deb822 import decode
from ocibuild.ecosystem.apt.source_list import SourceEntry, parse_source_list, parse_sources
from ocibuild.net.reach import Login, Reach
from ocibuild.net.trust import Trust

__all__ = ["MachineApt", "parse_configuration", "parse_logins", "read_machine_apt"]

_TOKEN = re.compile(
    r'"((?:[^"\\]|\\.)*)"|([{};])|(//[^\n]*|/\*.*?\*/|#(?!clear|include)[^\n]*)|([^\s{};"]+)', re.DOTALL
)
_PART = re.compile(r"[A-Za-z0-9_.-]+")  # apt.conf(5): names of parts; others are left over by editors and dpkg
_FALSE = frozenset({"no", "false", "without", "off", "disable", "0"})


@dataclass(frozen=True, slots=True)
class MachineApt:
    """The entries of the machine's source lists, and its apt.conf settings (lower-case ``acquire::http::proxy``).

    ``logins`` are those of its apt_auth.conf(5).
    """

    entries: tuple[SourceEntry, ...] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    os_release: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    logins: tuple[Login, ...] = ()

    @property
    def check_valid_until(self) -> bool:
        """False where the machine's apt does not look at Valid-Until (its mirror is frozen, for example)."""
        return self.settings.get("acquire::check-valid-until", "true").lower() not in _FALSE

    @property
    def reach(self) -> Reach:
        """How apt of this machine reaches servers: its proxies, authorities, certificates and logins.

        Sources: apt.conf(5), "THE ACQUIRE GROUP", apt-transport-http(1), apt-transport-https(1).
        """
        return Reach(self._proxies(), self._trusts(), logins=self.logins)

    def _proxies(self) -> dict[str, str]:
        """Of ``Acquire::SCHEME::Proxy[::HOST]``; ``DIRECT`` is apt's word for none. https has http's if it has none."""
        proxies: dict[str, str] = {}
        for scheme, said in (("http", "http"), ("https", "http"), ("https", "https")):
            prefix = f"acquire::{said}::proxy"
            for name, text in self.settings.items():
                host = name.removeprefix(prefix).removeprefix("::")
                if text and name in (prefix, f"{prefix}::{host}"):
                    proxies[f"{scheme}://{host}" if host else scheme] = "" if text == "DIRECT" else text
        return proxies

    def _trusts(self) -> dict[str, Trust]:
        """Of ``Acquire::https[::HOST]::CaInfo``, ``SslCert``, ``SslKey`` and ``Verify-Peer``."""
        found: dict[str, dict[str, str]] = {}
        for name, text in self.settings.items():
            scope, _, option = name.rpartition("::")
            if scope.startswith("acquire::https") and option in ("cainfo", "sslcert", "sslkey", "verify-peer") and text:
                found.setdefault(scope.removeprefix("acquire::https").removeprefix("::"), {})[option] = text
        general = found.get("", {})
        return {host: _trust({**general, **options}) for host, options in found.items()}


def _trust(options: Mapping[str, str]) -> Trust:
    paths = {name: Path(text) for name, text in options.items() if name != "verify-peer"}
    is_verified = options.get("verify-peer", "true").lower() not in _FALSE
    return Trust(paths.get("cainfo"), is_verified, paths.get("sslcert"), paths.get("sslkey"))


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
    logins: list[Login] = []
    for path in (folder / "auth.conf", *_parts(folder / "auth.conf.d", (".conf",))):
        with suppress(OSError):  # mostly for root's eyes alone
            logins += parse_logins(decode(path.read_bytes()))
    return MachineApt(tuple(entries), MappingProxyType(settings), MappingProxyType(_os_release(root)), tuple(logins))


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


def parse_logins(text: str) -> list[Login]:
    """The entries of an apt_auth.conf(5) text, in their order; what is incomplete is left out.

    A machine is ``[SCHEME://]HOST[:PORT][/PATH]``; without a scheme the login is for https alone.
    """
    logins: list[Login] = []
    entry: dict[str, str] = {}
    words = iter([*re.sub(r"(?m)^\s*#.*$", "", text).split(), "machine", ""])
    for word in words:
        value = next(words, "")
        if word == "machine":
            with suppress(ValueError, KeyError):
                logins.append(_login(entry))
            entry = {}
        entry[word] = value
    return logins


def _login(entry: Mapping[str, str]) -> Login:
    """One entry of :func:`parse_logins`; a KeyError or ValueError where it is incomplete or malformed."""
    scheme, separator, _ = entry["machine"].partition("://")
    parts = urlsplit(entry["machine"] if separator else f"//{entry['machine']}")
    if not parts.hostname:
        raise ValueError(entry["machine"])
    schemes = (scheme,) if separator else ("https",)
    return Login(parts.hostname, entry["login"], entry["password"], parts.port, parts.path, schemes)


def _tokens(text: str) -> Iterator[tuple[str, str, str, str]]:
    yield from _TOKEN.findall(text)
