"""Which indexes this machine's user has set up for pip and for uv.

Sources: pip 26.3's ``configuration.py`` and "Configuration" of its documentation; uv's "Environment variables" and
"Settings" references. uv reads none of pip's settings; here both count.
"""

import configparser
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocibuild.core.errors import UsageError
from ocibuild.ecosystem.pip.formats import Formats
from ocibuild.net.reach import Reach
from ocibuild.net.trust import Trust

__all__ = ["IndexSettings", "machine_index_settings", "read_index_settings"]

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Where packages are looked for. URLs may hold credentials: never show them as they are.

    ``index_url`` is None for the public default. ``constraints`` are files of this machine. ``certificate`` is a bundle
    of CA certificates, ``client_certificate`` a file with a certificate and its key. ``formats`` say for which packages
    wheels or sources are not wanted.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    no_index: bool = False
    prereleases: bool = False
    require_hashes: bool = False
    certificate: str | None = None
    client_certificate: str | None = None
    proxy: str | None = None
    formats: Formats = field(default_factory=Formats)

    @property
    def state(self) -> str:
        """All that may change what is resolved: the settings, and what the constraint files hold. For keys only."""
        files = [Path(path) for path in self.constraints if "://" not in path]
        texts = [path.read_bytes() if path.is_file() else None for path in files]
        return repr((self, texts))

    @property
    def reach(self) -> Reach:
        """How indexes and their files are reached."""
        trust = Trust(
            Path(self.certificate) if self.certificate else None,
            client_certificate=Path(self.client_certificate) if self.client_certificate else None,
        )
        proxies = {"http": self.proxy, "https": self.proxy} if self.proxy else {}
        return Reach(proxies, {"": trust}, frozenset(self.trusted_hosts))

    def joined(self, other: "IndexSettings") -> "IndexSettings":
        """Both settings: lists one after the other, and of two single values the other's."""
        return IndexSettings(
            index_url=other.index_url or self.index_url,
            extra_index_urls=_distinct(self.extra_index_urls + other.extra_index_urls),
            find_links=_distinct(self.find_links + other.find_links),
            trusted_hosts=_distinct(self.trusted_hosts + other.trusted_hosts),
            constraints=_distinct(self.constraints + other.constraints),
            no_index=self.no_index or other.no_index,
            prereleases=self.prereleases or other.prereleases,
            require_hashes=self.require_hashes or other.require_hashes,
            certificate=other.certificate or self.certificate,
            client_certificate=other.client_certificate or self.client_certificate,
            proxy=other.proxy or self.proxy,
            formats=self.formats if other.formats == Formats() else other.formats,
        )


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def machine_index_settings(environment: Mapping[str, str]) -> IndexSettings:
    """The settings that count for this program on this machine (:func:`read_index_settings`)."""
    return read_index_settings(
        environment, home=Path(environment.get("HOME") or "/nonexistent"), prefix=Path(sys.prefix)
    )


def read_index_settings(
    environment: Mapping[str, str], *, home: Path, prefix: Path, system: Path = Path("/etc")
) -> IndexSettings:
    """The settings of pip and uv together; where both name the default index, uv's counts.

    ``prefix`` is the environment whose ``pip.conf`` pip would read, this program's own. A file that cannot be read as
    what it is, is a UsageError naming it; one that does not exist is no settings.
    """
    pip = _pip_settings(environment, home, prefix, system)
    return pip.joined(_uv_settings(environment, home, system))


# pip.


def _pip_settings(environment: Mapping[str, str], home: Path, prefix: Path, system: Path) -> IndexSettings:
    merged: dict[str, str] = {}
    for path in _pip_files(environment, home, prefix, system):
        merged |= _read_pip_file(path)
    values: dict[str, str] = {}
    # A command's own section replaces the global one, whatever the file. Empty values are ignored, as pip does.
    for section in ("global.", "install."):
        values |= {key.removeprefix(section): text for key, text in merged.items() if text and key.startswith(section)}
    variables = {name: text for name, text in environment.items() if text and name.startswith("PIP_")}
    values |= {_pip_name(name.removeprefix("PIP_")): text for name, text in variables.items()}
    return IndexSettings(
        index_url=values.get("index-url") or values.get("pypi-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(_expanded(each, home) for each in values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        constraints=tuple(_expanded(each, home) for each in values.get("constraint", "").split()),
        no_index=values.get("no-index", "").lower() in _TRUE,
        prereleases=values.get("pre", "").lower() in _TRUE,
        require_hashes=values.get("require-hashes", "").lower() in _TRUE,
        certificate=values.get("cert"),
        client_certificate=values.get("client-cert"),
        proxy=values.get("proxy"),
        formats=_pip_formats(values),
    )


def _pip_formats(values: Mapping[str, str]) -> Formats:
    """In the order of the command line's defaults, which pip fills in by their names."""
    formats = Formats(prefer_wheels=values.get("prefer-binary", "").lower() in _TRUE)
    for option in ("no-binary", "only-binary"):
        if option in values:
            formats = formats.told(option, ",".join(values[option].split()))
    return formats


def _pip_files(environment: Mapping[str, str], home: Path, prefix: Path, system: Path) -> list[Path]:
    """The configuration files in pip's order: each replaces values of those before it."""
    chosen = environment.get("PIP_CONFIG_FILE")
    if chosen == "/dev/null":
        return []
    folders = environment.get("XDG_CONFIG_DIRS") or str(system / "xdg")
    files = [*(Path(folder) / "pip/pip.conf" for folder in folders.split(":") if folder), system / "pip.conf"]
    if not (chosen and Path(chosen).exists()):
        configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        files += [home / ".pip/pip.conf", configuration / "pip/pip.conf"]
    return [*files, prefix / "pip.conf", *([Path(chosen)] if chosen else [])]


class _PipFileParser(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return _pip_name(optionstr)


def _read_pip_file(path: Path) -> dict[str, str]:
    parser = _PipFileParser()
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"pip's configuration file {path} cannot be read: {error}") from error
    try:
        parser.read_string(text, source=str(path))
    except configparser.Error as error:
        raise UsageError(f"pip's configuration file {path} is malformed: {error}") from error
    return {f"{section}.{key}": value for section in parser.sections() for key, value in parser.items(section)}


def _pip_name(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _expanded(path: str, home: Path) -> str:
    return str(home / path[2:]) if path.startswith("~/") else path


# uv.


def _uv_settings(environment: Mapping[str, str], home: Path, system: Path) -> IndexSettings:
    settings = IndexSettings()
    for path in _uv_files(environment, home, system):
        settings = settings.joined(_read_uv_file(path))
    names = environment.get("UV_INDEX", "").split() + environment.get("UV_EXTRA_INDEX_URL", "").split()
    default = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    return settings.joined(
        IndexSettings(
            index_url=_uv_index(default, environment) if default else None,
            extra_index_urls=tuple(_uv_index(each, environment) for each in names),
            find_links=tuple(each for each in environment.get("UV_FIND_LINKS", "").split(",") if each),
            trusted_hosts=tuple(environment.get("UV_INSECURE_HOST", "").split()),
            constraints=tuple(environment.get("UV_CONSTRAINT", "").split()),
            no_index=environment.get("UV_NO_INDEX", "").lower() in _TRUE,
        )
    )


def _uv_index(text: str, environment: Mapping[str, str]) -> str:
    """The URL of ``[NAME=]URL``, with the credentials that uv's variables give for the name."""
    name, equals, url = text.partition("=")
    if not equals or "/" in name or ":" in name:
        return text
    variable = "UV_INDEX_" + "".join(char if char.isalnum() else "_" for char in name.upper())
    return _with_credentials(
        url, environment.get(f"{variable}_USERNAME", ""), environment.get(f"{variable}_PASSWORD", "")
    )


def _with_credentials(url: str, username: str, password: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - only the few who name credentials need it

    scheme, separator, rest = url.partition("://")
    if not (username or password) or not separator or "@" in rest.partition("/")[0]:
        return url
    return f"{scheme}://{quote(username, safe='')}:{quote(password, safe='')}@{rest}"


def _uv_files(environment: Mapping[str, str], home: Path, system: Path) -> list[Path]:
    if environment.get("UV_NO_CONFIG", "").lower() in _TRUE:
        return []
    if environment.get("UV_CONFIG_FILE"):
        return [Path(environment["UV_CONFIG_FILE"])]
    folders = [Path(each) / "uv/uv.toml" for each in environment.get("XDG_CONFIG_DIRS", "").split(":") if each]
    system_file = next((path for path in folders if path.exists()), system / "uv/uv.toml")
    return [system_file, Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "uv/uv.toml"]


def _read_uv_file(path: Path) -> IndexSettings:
    import tomli  # noqa: PLC0415 - most users have no such file

    try:
        value = tomli.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return IndexSettings()
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise UsageError(f"uv's configuration file {path} cannot be read: {error}") from error
    top, pip = _uv_table(value), _uv_table(value.get("pip") or {})
    return top.joined(pip)


def _uv_table(table: Mapping[str, Any]) -> IndexSettings:
    indexes = [each for each in table.get("index", ()) if isinstance(each, dict) and not each.get("explicit")]
    defaults = [each["url"] for each in indexes if each.get("default") and "url" in each]
    others = [each["url"] for each in indexes if not each.get("default") and "url" in each]
    return IndexSettings(
        index_url=(defaults or [table.get("index-url")])[0],
        extra_index_urls=(*others, *table.get("extra-index-url", ())),
        find_links=tuple(table.get("find-links", ())),
        trusted_hosts=tuple(table.get("allow-insecure-host", ())),
        no_index=bool(table.get("no-index")),
    )
