"""What this machine's user has set up for conda: channels, mirrors, priorities.

Source: conda's documentation, "Using the .condarc conda configuration file" and "Configuration" (search paths, how
files are merged, environment variables); mamba's ``mirrored_channels``.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ocibuild.core.errors import UsageError
from ocibuild.net.reach import Reach
from ocibuild.net.trust import Trust

__all__ = ["ChannelPriority", "CondaSettings", "Credential", "machine_conda_settings", "read_conda_settings"]

ChannelPriority = Literal["strict", "flexible", "disabled"]

_PRIORITIES: Mapping[str, ChannelPriority] = MappingProxyType(
    # Before conda 4.6 the setting was yes or no.
    {"strict": "strict", "flexible": "flexible", "true": "flexible", "disabled": "disabled", "false": "disabled"}
)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")
_NO = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Credential:
    """What a server is shown: a token of anaconda.org's kind, which stands in the path, or a user and password."""

    token: str = ""
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class CondaSettings:
    """Where channels are. Addresses may hold credentials or tokens: never show or record them as they are.

    ``alias`` is what stands before a channel's name, None for the public default; ``custom`` maps a name to what stands
    before it instead; ``mirrors`` maps a name to whole addresses, the first one counts; ``multi`` maps a name to the
    channels that it stands for, ``defaults`` among them; ``credentials`` maps a host (or ``*.DOMAIN``) to what it is
    shown. ``channels`` are used behind those that an environment names.
    """

    channels: tuple[str, ...] = ()
    alias: str | None = None
    custom: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    multi: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    credentials: Mapping[str, "Credential"] = field(default_factory=lambda: MappingProxyType({}))
    priority: ChannelPriority | None = None
    verifies_tls: bool = True
    is_offline: bool = False

    @property
    def state(self) -> str:
        """All that may change what is resolved; it may hold credentials in addresses: for keys only."""
        return repr(replace(self, credentials=MappingProxyType({}), verifies_tls=True, is_offline=False))

    @property
    def reach(self) -> Reach:
        """How channels and their packages are reached."""
        return Reach() if self.verifies_tls else Reach(trusts={"": Trust(is_verified=False)})

    def over(self, other: "CondaSettings") -> "CondaSettings":
        """These settings with ``other``'s below them: lists one after the other, of two single values these'."""
        multi = {name: (*channels, *other.multi.get(name, ())) for name, channels in self.multi.items()}
        return CondaSettings(
            channels=_distinct((*self.channels, *other.channels)),
            alias=self.alias or other.alias,
            custom=MappingProxyType({**other.custom, **self.custom}),
            mirrors=MappingProxyType({**other.mirrors, **self.mirrors}),
            multi=MappingProxyType({**other.multi, **{name: _distinct(texts) for name, texts in multi.items()}}),
            credentials=MappingProxyType({**other.credentials, **self.credentials}),
            priority=self.priority or other.priority,
            verifies_tls=self.verifies_tls and other.verifies_tls,
            is_offline=self.is_offline or other.is_offline,
        )


def machine_conda_settings(environment: Mapping[str, str]) -> CondaSettings:
    """The settings of the user who has this environment; raises as :func:`read_conda_settings`."""
    return read_conda_settings(environment, home=Path(environment.get("HOME") or "/nonexistent"))


def read_conda_settings(environment: Mapping[str, str], *, home: Path, system: Path = Path("/")) -> CondaSettings:
    """The settings of conda and mamba, from their files and the variables ``CONDA_*``, which come first.

    Credentials are those that ``rattler auth login`` or ``pixi auth login`` wrote into a file, but for bearer tokens. A
    file that cannot be read as what it is, is a UsageError naming it; one that does not exist is no settings.
    """
    settings = _from_variables(environment)
    for path in reversed(_files(environment, home, system)):
        settings = settings.over(_from_file(path, environment))
    named = environment.get("RATTLER_AUTH_FILE")
    return settings.over(_credentials(Path(named) if named else home / ".rattler/credentials.json"))


def _files(environment: Mapping[str, str], home: Path, system: Path) -> list[Path]:
    """The files in conda's order: each comes before those before it."""
    root, prefix = environment.get("CONDA_ROOT"), environment.get("CONDA_PREFIX")
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    folders = [
        system / "etc/conda", system / "var/lib/conda", *([Path(root)] if root else []), configuration / "conda",
        home / ".config/conda", home / ".conda",
    ]  # fmt: skip
    files: list[Path] = []
    for folder in dict.fromkeys(folders):
        files += [folder / ".condarc", folder / "condarc", *sorted((folder / "condarc.d").glob("*.y*ml"))]
    files += [home / ".condarc", home / ".mambarc"]
    if prefix:
        files += [Path(prefix) / ".condarc", Path(prefix) / "condarc"]
    named = environment.get("CONDARC")
    return [*files, *([Path(named)] if named else [])]


def _from_file(path: Path, environment: Mapping[str, str]) -> CondaSettings:
    import yaml  # noqa: PLC0415 - most users have no such file, and a build with nothing to do reads none

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return CondaSettings()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"conda's configuration file {path} cannot be read: {error}") from error
    if value is None:
        return CondaSettings()
    if not isinstance(value, dict):
        raise UsageError(f"conda's configuration file {path} is malformed: it holds no mapping")
    try:
        return _from_mapping(value, environment)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"conda's configuration file {path} is malformed: {error}") from error


def _from_mapping(value: Mapping[str, Any], environment: Mapping[str, str]) -> CondaSettings:
    def texts(found: Any) -> tuple[str, ...]:
        items = [found] if isinstance(found, str) else list(found or ())
        return tuple(_filled(str(item), environment) for item in items)

    def table(found: Any) -> dict[str, Any]:
        return dict(found or {})

    multi = {str(name): texts(channels) for name, channels in table(value.get("custom_multichannels")).items()}
    if value.get("default_channels"):
        multi["defaults"] = texts(value["default_channels"])
    alias = value.get("channel_alias")
    mirrors = table(value.get("mirrored_channels"))
    return CondaSettings(
        channels=texts(value.get("channels", value.get("channel"))),
        alias=_filled(str(alias), environment) if alias else None,
        custom=MappingProxyType(
            {str(name): _filled(str(text), environment) for name, text in table(value.get("custom_channels")).items()}
        ),
        mirrors=MappingProxyType({str(name): texts(addresses) for name, addresses in mirrors.items()}),
        multi=MappingProxyType(multi),
        priority=_priority(value["channel_priority"]) if "channel_priority" in value else None,
        verifies_tls=value.get("ssl_verify", True) is not False,
        is_offline=value.get("offline") is True,
    )


def _credentials(path: Path) -> CondaSettings:
    """What rattler keeps of each host, in its own format."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return CondaSettings()
    except (OSError, ValueError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise UsageError(f"rattler's file of credentials {path} cannot be read: {error}") from error
    found: dict[str, Credential] = {}
    for host, kinds in value.items() if isinstance(value, dict) else ():
        kind = kinds if isinstance(kinds, dict) else {}
        basic = kind.get("BasicHTTP")
        if isinstance(kind.get("CondaToken"), str):
            found[host] = Credential(token=kind["CondaToken"])
        elif isinstance(basic, dict):
            found[host] = Credential(user=str(basic.get("username", "")), password=str(basic.get("password", "")))
    return CondaSettings(credentials=MappingProxyType(found))


def _from_variables(environment: Mapping[str, str]) -> CondaSettings:
    def texts(name: str) -> tuple[str, ...]:
        return tuple(text.strip() for text in environment.get(name, "").split(",") if text.strip())

    defaults = texts("CONDA_DEFAULT_CHANNELS")
    priority = environment.get("CONDA_CHANNEL_PRIORITY")
    try:
        return CondaSettings(
            channels=texts("CONDA_CHANNELS"),
            alias=environment.get("CONDA_CHANNEL_ALIAS") or None,
            multi=MappingProxyType({"defaults": defaults} if defaults else {}),
            priority=_priority(priority) if priority else None,
            verifies_tls=environment.get("CONDA_SSL_VERIFY", "").lower() not in _NO,
            is_offline=environment.get("CONDA_OFFLINE", "").lower() in ("1", "true", "yes", "on"),
        )
    except ValueError as error:
        raise UsageError(f"the variable CONDA_CHANNEL_PRIORITY is wrong: {error}") from error


def _priority(value: Any) -> ChannelPriority:
    found = _PRIORITIES.get(str(value).lower())
    if found is None:
        raise ValueError(f"channel_priority is {value!r}, and not strict, flexible or disabled")
    return found


def _filled(text: str, environment: Mapping[str, str]) -> str:
    """``$NAME`` and ``${NAME}`` filled from the environment, as conda does in its own files; unknown ones stay."""
    return _VARIABLE.sub(lambda found: environment.get(found[1] or found[2] or "", found[0]), text)


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
