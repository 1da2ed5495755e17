"""HTTP authentication: reading challenges and writing Basic credentials (RFC 9110, section 11; RFC 7617)."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ocibuild.core.errors import NetworkError
from ocibuild.net.address import Origin, is_loopback, redacted

__all__ = ["Challenge", "basic_authorization", "checked_realm"]

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=,)|$)")
_PARAMETER = re.compile(rf"({_WORD})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|({_WORD}))")
_SEPARATOR = re.compile(r"[ \t,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate header: the scheme and the names of its parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse_all(cls, header: str) -> "tuple[Challenge, ...]":
        """All challenges of a header, in their order; reading ends at what is malformed. Never raises."""
        challenges = []
        position = _SEPARATOR.match(header).end()  # type: ignore[union-attr] # the pattern matches nothing as well
        while found := _SCHEME.match(header, position):
            position = found.end()
            parameters: dict[str, str] = {}
            while parameter := _PARAMETER.match(header, position):
                quoted = parameter[2]
                parameters[parameter[1].lower()] = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                position = _SEPARATOR.match(header, parameter.end()).end()  # type: ignore[union-attr] # as above
            challenges.append(cls(found[1].lower(), parameters))
            position = _SEPARATOR.match(header, position).end()  # type: ignore[union-attr] # as above
        return tuple(challenges)


def basic_authorization(user: str, password: str) -> str:
    """The Authorization header's value for Basic credentials, in UTF-8."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def checked_realm(realm: str, *, server_url: str) -> str:
    """The address of the token server that the server at ``server_url`` names, where credentials may be sent to it.

    It may be on another host, as the token specification has it (distribution, "Token Authentication"), but a server
    reached by https may not name one reached by http, and one reached by http only one that is encrypted, on its own
    host or on this machine. A NetworkError otherwise.
    """
    try:
        origin, server = Origin.of(realm), Origin.of(server_url)
    except NetworkError as error:
        raise NetworkError(f"{redacted(server_url)} names the token server {redacted(realm)}: not a URL") from error
    if origin.is_encrypted:
        return realm
    if server.is_encrypted or not (origin.host == server.host or is_loopback(origin.host)):
        raise NetworkError(
            f"{redacted(server_url)} names the token server {redacted(realm)}, which is not encrypted",
            url=redacted(server_url),
            hint="no credentials are sent there; the registry's token server must use https",
        )
    return realm
