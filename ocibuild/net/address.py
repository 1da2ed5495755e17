"""URLs as this program compares, joins and shows them."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urljoin, urlsplit, urlunsplit

from ocibuild.core.errors import NetworkError

__all__ = ["Origin", "is_loopback", "joined", "redacted", "split_userinfo"]

_PATH_TOKEN = re.compile(r"\A/t/[^/]+/")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Query values that say what was asked for and can hold no secret; all others are hidden.
_HARMLESS = frozenset({"digest", "from", "last", "mount", "n", "scope", "service", "artifactType"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL: credentials given for one origin are never sent to another."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an http or https URL; a NetworkError for anything else."""
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise NetworkError(f"not a URL: {redacted(url)}") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise NetworkError(f"not an http or https URL: {redacted(url)}", url=redacted(url))
        return cls(parts.scheme, parts.hostname, port)

    @property
    def is_encrypted(self) -> bool:
        """True for https."""
        return self.scheme == "https"


def redacted(url: str) -> str:
    """The URL without what may be secret: userinfo, fragment, and the values of its query (signatures, tokens).

    A path that begins with ``/t/TOKEN/`` is one of a conda channel, shown without its token.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "(a malformed URL)"
    query = "&".join(f"{name}={value if name in _HARMLESS else '...'}" for name, value in pairs)
    path = _PATH_TOKEN.sub("/t/.../", parts.path)
    return urlunsplit(SplitResult(parts.scheme, host, path, query, ""))


def split_userinfo(url: str) -> tuple[str, str | None, str | None]:
    """The URL without its userinfo, and the user and password that stood there, percent-decoded."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None, None
    from urllib.parse import unquote  # noqa: PLC0415 - userinfo is rare

    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(user), unquote(password)


def joined(base: str, location: str) -> str:
    """The absolute URL that a Location header names (RFC 9110, 10.2.2), without userinfo.

    A NetworkError where it is no http or https URL, or leaves https for http: what began encrypted stays so.
    """
    url, _, _ = split_userinfo(urljoin(base, location))
    if Origin.of(base).is_encrypted and not Origin.of(url).is_encrypted:
        raise NetworkError(
            f"{redacted(base)} points to {redacted(url)}, which is not encrypted",
            url=redacted(base),
            hint="a server behind a proxy that speaks https must be told so (X-Forwarded-Proto), or give relative URLs",
        )
    return url


def is_loopback(host: str) -> bool:
    """Whether a host (with or without port and brackets) is this machine: ``localhost``, 127.0.0.0/8 or ``::1``."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
