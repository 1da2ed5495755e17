"""Channels: the names that locks and records have for them, and the addresses that this machine has.

Source: conda's ``models/channel.py`` and "Managing channels" of its documentation.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

from ocibuild.core.asks import CondaChannelAsk, Origin
from ocibuild.core.defaults import conda_defaults
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.conda.configuration import CondaSettings
from ocibuild.net.address import split_userinfo

__all__ = ["Channel", "ChannelGroup", "Channels", "channel_address", "without_credentials"]

_TOKEN = re.compile(r"/t/([^/]+)(?=/)")  # anaconda.org's and Artifactory's tokens stand in the path
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")
_SPEC = re.compile(r"(?P<channel>[^\s\[\]<>=!]+?)(?P<subdir>/(?:noarch|linux-[a-z0-9]+))?::")
_PLATFORM = re.compile(r"/(?:noarch|linux-[a-z0-9]+|osx-[a-z0-9]+|win-[a-z0-9]+)$")
_ANACONDA = re.compile(r"/(pkgs/(?:main|r|msys2|free|pro))$")
_NO_CHANNEL = re.compile(r"\A\Z|[\x00-\x20\x7f]")
_DEFAULT_CHANNEL = "conda-forge"
_NO_DEFAULTS = "nodefaults"


def channel_address(channel: str) -> str:
    """The public address of a channel, with a slash at its end: of a URL itself, of a name by conda's own defaults."""
    if "://" in channel:
        return f"{channel.rstrip('/')}/"
    defaults = conda_defaults()
    before = defaults["packages"] if channel.startswith("pkgs/") else defaults["alias"]
    return f"{before}/{channel}/"


@dataclass(frozen=True, slots=True)
class Channel:
    """``name`` is for locks and records: a name, or an address without credentials where the channel has none.

    ``source`` is what locked packages say they are from. ``address`` (with a slash at its end) is this machine's and
    may hold credentials.
    """

    name: str
    source: str
    address: str
    origin: Origin | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the address must not be shown."""
        password = split_userinfo(self.address)[2]
        found = _TOKEN.search(self.address)
        texts = (password, quote(password, safe="") if password else None, found[1] if found else None)
        return tuple(text for text in texts if text)

    @property
    def shown(self) -> str:
        """The channel in messages."""
        return self.name if "://" in self.name else f"{self.name} ({without_credentials(self.address)})"


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Channels of one priority; ``name`` is that of a multichannel such as ``defaults``, empty for a single channel."""

    name: str
    channels: tuple[Channel, ...]


def without_credentials(address: str) -> str:
    """The address without userinfo and token, for messages and locks; of what is malformed nothing is shown."""
    try:
        return _TOKEN.sub("", split_userinfo(address)[0])
    except ValueError:
        return "(a malformed URL)"


class Channels:
    """The channels of one environment, in the order of their priority."""

    def __init__(
        self,
        asked: Sequence[CondaChannelAsk],
        settings: CondaSettings,
        *,
        specs: Iterable[tuple[str, Origin]] = (),
        folder: Path,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Those that are asked for, then, but for ``nodefaults``, the user's own or conda-forge.

        Channels that ``specs`` name (``CHANNEL::PACKAGE``) come last. ``variables`` fill ``$NAME`` in what is asked;
        ``folder`` is the repository, for channels in it.
        """
        self._settings = settings
        self._folder = folder
        self._by_address: dict[str, Channel] = {}
        self._groups: dict[str, ChannelGroup] = {}  # by name or address
        texts = [(_filled(ask.name, variables), ask.origin) for ask in asked]
        for text, origin in texts:
            if text != _NO_DEFAULTS:
                self._add(text, origin)
        if not any(text == _NO_DEFAULTS for text, _ in texts):
            for text in settings.channels or (_DEFAULT_CHANNEL,):
                self._add(text, None)
        for spec, origin in specs:
            found = _SPEC.match(spec)
            if found:
                self._add(found["channel"], origin)

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """The channels, those of a multichannel together."""
        return tuple(self._groups.values())

    @property
    def addresses(self) -> Mapping[str, str]:
        """Source -> address; may hold credentials, belongs to this machine, and is never recorded."""
        return MappingProxyType({channel.source: channel.address for channel in self._by_address.values()})

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in a message."""
        return tuple({secret for channel in self._by_address.values() for secret in channel.secrets})

    def include(self, address: str, origin: Origin) -> Channel:
        """The channel at an address that a lock names, added behind the others where it is not among them."""
        channel = self._channel(address, origin)
        self._groups.setdefault(channel.address, ChannelGroup("", (channel,)))
        return channel

    def of_url(self, url: str) -> Channel | None:
        """The channel below whose address a package's URL is."""
        found = [channel for address, channel in self._by_address.items() if url.startswith(address)]
        return max(found, key=lambda channel: len(channel.address), default=None)

    def named(self, name: str) -> Channel | None:
        """The channel that locks and records know by this name."""
        return next((channel for channel in self._by_address.values() if channel.name == name), None)

    def located(self, spec: str) -> str:
        """The spec with this machine's address where it names a channel: a solver compares addresses."""
        found = _SPEC.match(spec)
        if found is None or found["channel"] in self._groups_of_many():
            return spec
        address = self._channel(found["channel"], None).address.rstrip("/")
        return f"{address}{found['subdir'] or ''}::{spec[found.end() :]}"

    def _groups_of_many(self) -> set[str]:
        return {group.name for group in self._groups.values() if group.name}

    def _add(self, text: str, origin: Origin | None) -> None:
        members = self._settings.multi.get(text) or (conda_defaults()["default-channels"] if text == "defaults" else ())
        if members:
            channels = tuple(self._channel(member, origin, is_own=True) for member in members)
            self._groups.setdefault(text, ChannelGroup(text, channels))
        else:
            channel = self._channel(text, origin, is_own=origin is None)
            self._groups.setdefault(channel.address, ChannelGroup("", (channel,)))

    def _channel(self, text: str, origin: Origin | None, *, is_own: bool = False) -> Channel:
        """The channel of a name, URL or path; ``is_own`` where the machine's user names it, and no repository."""
        if _NO_CHANNEL.search(text) or not _is_url(text):
            shown = without_credentials(text)
            raise _at(origin, f"{shown!r} is no channel", hint="write a name such as conda-forge, or a URL")
        name, address = self._identified(text, origin, is_own=is_own)
        address = self._with_credential(address)
        known = self._by_address.get(address)
        if known is None:
            source = name if "://" not in name else urlsplit(name).path.strip("/") or urlsplit(name).netloc
            taken = {channel.source for channel in self._by_address.values()}
            numbers = (f"{source}.{number}" for number in range(2, len(taken) + 3))
            source = next(each for each in (source, *numbers) if each not in taken)
            known = self._by_address[address] = Channel(name, source, address, origin)
        return known

    def _identified(self, text: str, origin: Origin | None, *, is_own: bool) -> tuple[str, str]:
        """The name of a channel, and its address here."""
        if text.startswith(("./", "../", "/", "~")):
            text = self._folder_of(text, origin, is_own=is_own).as_uri()
        if "://" not in text:
            return text, self._address_of(text)
        address = f"{_PLATFORM.sub('', text.rstrip('/'))}/"
        plain = without_credentials(address).rstrip("/")
        for before in (conda_defaults()["alias"], conda_defaults()["packages"]):
            if plain.startswith(f"{before}/"):
                name = plain.removeprefix(f"{before}/")
                return name, address if without_credentials(address) != address else self._address_of(name)
        last = unquote(urlsplit(plain).path.rpartition("/")[2])
        if plain.startswith("file:"):
            return f"file:///{last}", address
        found = _ANACONDA.search(plain)
        return (found[1] if found else last) if is_own else plain, address

    def _folder_of(self, text: str, origin: Origin | None, *, is_own: bool) -> Path:
        path = Path(text).expanduser() if is_own else (self._folder / text).resolve()
        if not is_own and not path.is_relative_to(self._folder.resolve()):
            raise _at(origin, f"the channel {text} is outside the repository")
        return path.absolute()

    def _address_of(self, name: str) -> str:
        settings = self._settings
        if settings.mirrors.get(name):
            return f"{settings.mirrors[name][0].rstrip('/')}/"
        for above, before in settings.custom.items():
            if name == above or name.startswith(f"{above}/"):
                return f"{before.rstrip('/')}/{name}/"
        if settings.alias and not name.startswith("pkgs/"):
            return f"{settings.alias.rstrip('/')}/{name}/"
        return channel_address(name)

    def _with_credential(self, address: str) -> str:
        """The address with what the user's credentials say of its host, unless it has some itself."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or without_credentials(address) != address:
            return address
        host = parts.netloc
        above = (f"*{host[place:]}" for place, letter in enumerate(host) if letter == ".")
        known = self._settings.credentials
        found = next((known[each] for each in (host, parts.hostname or "", *above) if each in known), None)
        if found is None:
            return address
        if found.token:
            return f"{parts.scheme}://{host}/t/{found.token}{parts.path}"
        return f"{parts.scheme}://{quote(found.user, safe='')}:{quote(found.password, safe='')}@{host}{parts.path}"


def _is_url(text: str) -> bool:
    """Whether the text, where it has the form of a URL, is one."""
    try:
        parts = urlsplit(text)
        return "://" not in text or ((parts.port or 1) > 0 and bool(parts.netloc or parts.path))
    except ValueError:
        return False


def _at(origin: Origin | None, message: str, *, hint: str | None = None) -> RepositoryError:
    return RepositoryError(
        message, file=origin.file if origin else None, line=origin.line if origin else None, hint=hint
    )


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """Only what the user gives the image fills a repository's text: the rest could send secrets to a server of its."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2] or "", found[0]), text)
