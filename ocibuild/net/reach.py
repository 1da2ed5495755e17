"""How some servers are reached where that is not as the environment says: what apt or pip of this machine is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from ocibuild.net.address import Origin
from ocibuild.net.trust import Trust

__all__ = ["Login", "Reach"]


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """A user and password for one host: for one port, or the usual one, and for all at or below ``path``.

    ``schemes`` are those that they may be sent by. Its text form shows no secret.
    """

    host: str
    user: str
    password: str
    port: int | None = None
    path: str = ""
    schemes: tuple[str, ...] = ("https",)

    def fits(self, url: str) -> bool:
        """Whether the login is for this URL."""
        origin = Origin.of(url)
        path = urlsplit(url).path.strip("/")
        return (
            origin.host == self.host
            and origin.scheme in self.schemes
            and origin.port == (self.port or Origin.of(f"{origin.scheme}://host").port)
            and f"{path}/".startswith(f"{self.path.strip('/')}/".lstrip("/"))
        )

    def __repr__(self) -> str:
        return f"Login(host={self.host!r}, user={self.user!r})"


@dataclass(frozen=True, slots=True)
class Reach:
    """Proxies, trust and logins by server. Nothing said of a server leaves it as it is without this.

    ``proxies`` maps ``https`` or ``https://HOST`` (which comes first) to a proxy's URL, ``""`` for none. ``trusts`` are
    by host, ``""`` for all others. ``unverified`` hosts (``HOST`` or ``HOST:PORT``) may show any certificate. The first
    of ``logins`` that fits counts.
    """

    proxies: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    trusts: Mapping[str, Trust] = field(default_factory=lambda: MappingProxyType({}))
    unverified: frozenset[str] = frozenset()
    logins: tuple[Login, ...] = ()

    def proxy(self, url: str) -> str | None:
        """The proxy for this URL, ``""`` for none; None where the environment decides."""
        origin = Origin.of(url)
        return self.proxies.get(f"{origin.scheme}://{origin.host}", self.proxies.get(origin.scheme))

    def trust(self, url: str) -> Trust:
        """How the server of this URL is trusted."""
        origin = Origin.of(url)
        if self.unverified & {origin.host, f"{origin.host}:{origin.port}"}:
            return Trust(is_verified=False)
        return self.trusts.get(origin.host) or self.trusts.get("") or Trust()

    def login(self, url: str) -> tuple[str, str] | None:
        """User and password for this URL."""
        return next(((login.user, login.password) for login in self.logins if login.fits(url)), None)
