"""Access tokens, fetched from the token server that a registry names and kept while they are good.

The rules are distribution's "Token Authentication" and "OAuth2 Token Authentication".
"""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit, urlunsplit

from ocibuild.core.errors import RegistryError
from ocibuild.net.address import Origin, redacted
from ocibuild.net.challenge import basic_authorization, checked_realm
from ocibuild.net.client import HttpClient
from ocibuild.net.trust import Trust
from ocibuild.registry.credentials import Credential

__all__ = ["TokenCache", "TokenService"]

_OK = 200
_LARGEST_ANSWER_BYTES = 1 << 20
_DEFAULT_LIFETIME_SECONDS = 60.0  # the specification's, where the answer names none
_USED_PART = 0.8
_CLIENT = "ocibuild"
_FORM = re.compile(r"[\x21-\x7e]+")  # what may stand in a header


@dataclass(frozen=True, slots=True)
class TokenService:
    """A token server: its address and the name of the registry there, as a challenge gave them."""

    realm: str
    service: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    value: str
    renew_at: float


@dataclass(frozen=True, slots=True)
class TokenCache:
    """Tokens by registry, token server, scopes and user; safe for several threads, which wait for one request together.

    A token is used for four fifths of its lifetime. ``clock`` gives seconds that only go forward.
    """

    http: HttpClient
    clock: Callable[[], float] = time.monotonic
    _tokens: dict[tuple[str, TokenService, frozenset[str], str], _Token] = field(
        default_factory=dict, init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def token(
        self,
        service: TokenService,
        scopes: frozenset[str],
        credential: Credential | None,
        *,
        registry_url: str,
        trust: Trust,
        rejected: str = "",
    ) -> str:
        """A token for these scopes, other than the ``rejected`` one.

        ``registry_url`` is the registry that named the token server; credentials are sent there only as
        :func:`~ocibuild.net.challenge.checked_realm` allows. ``trust`` is used where both are one server. A
        RegistryError where the server gives no token.
        """
        # With the registry: none may get the token of another by naming the same token server and user.
        key = (registry_url, service, scopes, _user(credential))
        with self._lock:
            known = self._tokens.get(key)
            if known is not None and known.value != rejected and self.clock() < known.renew_at:
                return known.value
            asked_at = self.clock()
            value, lifetime_seconds = self._fetched(service, scopes, credential, registry_url=registry_url, trust=trust)
            self._tokens[key] = _Token(value, asked_at + _USED_PART * lifetime_seconds)
            return value

    def _fetched(
        self,
        service: TokenService,
        scopes: frozenset[str],
        credential: Credential | None,
        *,
        registry_url: str,
        trust: Trust,
    ) -> tuple[str, float]:
        realm = checked_realm(service.realm, server_url=registry_url)
        trust = trust if Origin.of(realm).host == Origin.of(registry_url).host else Trust()
        pairs = [("service", service.service)] if service.service else []
        headers = {}
        if credential is not None and credential.identity_token:
            # RFC 6749, section 6. The form holds the secret, so it is not sent on where the answer is a redirect.
            pairs += [("grant_type", "refresh_token"), ("client_id", _CLIENT), ("scope", " ".join(sorted(scopes)))]
            form = urlencode([*pairs, ("refresh_token", credential.identity_token)]).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            request = self.http.request(
                "POST", realm, headers=headers, body=form, trust=trust, follow=False, netrc=False
            )
        else:
            if credential is not None and credential.password:
                headers["Authorization"] = basic_authorization(credential.username, credential.password)
            url = _with_query(realm, [*pairs, *(("scope", scope) for scope in sorted(scopes))])
            request = self.http.request("GET", url, headers=headers, trust=trust, netrc=False)
        with request as response:
            if response.status != _OK:
                who = f"as {_user(credential)}" if _user(credential) else "without credentials"
                error = response.failure(f"getting a token for {' '.join(sorted(scopes)) or 'the registry'} {who}")
                raise RegistryError(
                    error.message,
                    method=error.method,
                    url=error.url,
                    status=error.status,
                    temporary=error.temporary,
                    hint="check the user and password, or log in again (docker login, podman login)",
                )
            return _parsed(response.document(limit_bytes=_LARGEST_ANSWER_BYTES), realm)


def _user(credential: Credential | None) -> str:
    if credential is None:
        return ""
    return credential.username or ("an identity token" if credential.identity_token else "")


def _with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(text for text in (parts.query, urlencode(pairs)) if text)))


def _parsed(body: bytes, realm: str) -> tuple[str, float]:
    """The token and its lifetime in seconds."""
    try:
        value = json.loads(body)
        token = value.get("token") or value.get("access_token")
        lifetime = value.get("expires_in")
    except (ValueError, AttributeError) as error:
        raise RegistryError(
            f"the token server {redacted(realm)} answered with no JSON object", url=redacted(realm)
        ) from error
    if not isinstance(token, str) or not _FORM.fullmatch(token):
        raise RegistryError(f"the token server {redacted(realm)} gave no token", url=redacted(realm))
    is_number = isinstance(lifetime, int | float) and not isinstance(lifetime, bool)
    return token, max(_DEFAULT_LIFETIME_SECONDS, float(lifetime)) if is_number else _DEFAULT_LIFETIME_SECONDS
