"""One registry server: which scheme it speaks, how it wants to be logged in to, and what its errors say."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ocibuild.core.errors import NetworkError, OcibuildError, RegistryError
from ocibuild.net.address import Origin, joined
from ocibuild.net.challenge import Challenge, basic_authorization
from ocibuild.net.client import Body, HttpClient
from ocibuild.net.policy import is_temporary
from ocibuild.net.response import Response
from ocibuild.registry.credentials import Credential, CredentialSource
from ocibuild.registry.location import Endpoint
from ocibuild.registry.scope import Scope
from ocibuild.registry.token import TokenCache, TokenService

__all__ = ["RegistryClient", "registry_error"]

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404
_LARGEST_ERROR_BYTES = 64 << 10
_API_VERSION = "docker-distribution-api-version"


@dataclass(frozen=True, slots=True)
class _Login:
    """How a server wants to be logged in to: Basic credentials where ``tokens`` is None, else tokens from there."""

    tokens: TokenService | None = None


class RegistryClient:
    """Sends requests to one server of a registry; safe for several threads.

    Credentials are asked for by repository, and leave only when the server has asked for them, for this server's own
    origin or its token server.
    """

    def __init__(
        self, endpoint: Endpoint, *, credentials: CredentialSource, http: HttpClient, tokens: TokenCache
    ) -> None:
        self.endpoint = endpoint
        self.http = http
        self._credentials = credentials
        self._tokens = tokens
        self._lock = threading.Lock()
        self._base_url: str | None = f"https://{endpoint.host}" if endpoint.schemes == ("https",) else None
        self._login: _Login | None = None

    @property
    def base_url(self) -> str:
        """Scheme, host and port; found by asking where both schemes are allowed. Raises NetworkError."""
        with self._lock:
            if self._base_url is None:
                self._base_url = self._found_base_url()
            return self._base_url

    def ping(self) -> None:
        """Ask whether there is a registry at all (distribution-spec, end-1); a NetworkError where there is not.

        Being asked for credentials is an answer as good as any.
        """
        with self.http.request("GET", f"{self.base_url}/v2/", trust=self.endpoint.trust, netrc=False) as response:
            if response.status not in (200, _UNAUTHORIZED, _FORBIDDEN):
                raise registry_error(response, f"looking for a registry at {self.endpoint.host}")

    def send(
        self,
        method: str,
        url: str,
        *,
        scopes: tuple[Scope, ...],
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes | Body | None = None,
        retry: bool = True,
        silence_seconds: float | None = None,
    ) -> Response:
        """Send a request and return the answer, whatever its status; log in where the server asks for it.

        ``url`` is relative to the server, or what one of its Location headers said: on another origin the request goes
        without credentials. ``scopes`` are what a token must allow; the first one's repository chooses the credential.
        """
        url = joined(f"{self.base_url}/", url)
        is_own = Origin.of(url) == Origin.of(self.base_url)
        authorization = self._authorization(scopes) if is_own else None
        trust = self.endpoint.trust if is_own else None

        def sent(authorization: str | None) -> Response:
            private = {"Authorization": authorization} if authorization else {}
            return self.http.request(
                method,
                url,
                headers={**headers, **private},
                body=body,
                trust=trust,
                retry=retry,
                netrc=False,
                silence_seconds=silence_seconds,
            )

        response = sent(authorization)
        if response.status != _UNAUTHORIZED or not is_own or Origin.of(response.url) != Origin.of(url):
            return response
        header = response.headers.get("www-authenticate", "")
        try:
            answer = self._answer(header, scopes, rejected=authorization)
        except OcibuildError:
            response.close()
            raise
        if answer is None or answer == authorization:
            return response
        response.close()
        return sent(answer)

    def _found_base_url(self) -> str:
        """The first scheme that the server speaks, tried without credentials."""
        errors: list[NetworkError] = []
        for scheme in self.endpoint.schemes:
            base_url = f"{scheme}://{self.endpoint.host}"
            is_last = scheme == self.endpoint.schemes[-1]
            try:
                with self.http.request(
                    "GET", f"{base_url}/v2/", trust=self.endpoint.trust, retry=is_last, netrc=False
                ) as response:
                    # A TLS server answers plain http with 400; no registry does so to this question.
                    if response.status != _BAD_REQUEST or _API_VERSION in response.headers:
                        return base_url
                    errors.append(registry_error(response, f"looking for a registry at {base_url}"))
            except NetworkError as error:
                errors.append(error)
        # "This is a TLS port" says less than why TLS failed there.
        raise next((error for error in errors if error.status != _BAD_REQUEST), errors[0])

    def _authorization(self, scopes: tuple[Scope, ...]) -> str | None:
        """The header for a server that has told how it wants to be logged in to; None before."""
        login = self._login
        if login is None or not scopes:
            return None
        credential = self._credential(scopes)
        if login.tokens is None:
            return None if credential is None else basic_authorization(credential.username, credential.password)
        return self._bearer(login.tokens, frozenset(str(scope) for scope in scopes), credential, rejected="")

    def _answer(self, header: str, scopes: tuple[Scope, ...], *, rejected: str | None) -> str | None:
        """The header that answers a challenge, or None where nothing that is known would."""
        challenges = {challenge.scheme: challenge for challenge in reversed(Challenge.parse_all(header))}
        credential = self._credential(scopes)
        if (bearer := challenges.get("bearer")) is not None:
            service = TokenService(bearer.parameters.get("realm", ""), bearer.parameters.get("service", ""))
            self._login = _Login(service)
            # What the server says it needs, and what this program will need next: one token for both.
            wanted = frozenset(str(scope) for scope in scopes) | frozenset(bearer.parameters.get("scope", "").split())
            wanted = _widest(wanted)
            return self._bearer(service, wanted, credential, rejected=(rejected or "").removeprefix("Bearer "))
        if "basic" in challenges:
            self._login = _Login()
            if credential is not None and credential.password:
                return basic_authorization(credential.username, credential.password)
        return None

    def _bearer(
        self, service: TokenService, scopes: frozenset[str], credential: Credential | None, *, rejected: str
    ) -> str:
        if credential is not None and credential.bearer_token:
            return f"Bearer {credential.bearer_token}"
        token = self._tokens.token(
            service, scopes, credential, registry_url=self.base_url, trust=self.endpoint.trust, rejected=rejected
        )
        return f"Bearer {token}"

    def _credential(self, scopes: tuple[Scope, ...]) -> Credential | None:
        return self._credentials.find(self.endpoint.registry, scopes[0].repository if scopes else "")


def _widest(scopes: frozenset[str]) -> frozenset[str]:
    """The scopes without those whose actions another one of the same repository has all."""
    actions = {scope: (scope.rpartition(":")[0], frozenset(scope.rpartition(":")[2].split(","))) for scope in scopes}
    return frozenset(
        scope
        for scope, (name, mine) in actions.items()
        if not any(other == name and (mine < theirs) for other, theirs in actions.values())
    )


def registry_error(response: Response, attempted: str) -> RegistryError:
    """The error for an answer that was not hoped for, with the registry's own codes and words (distribution-spec)."""
    codes, words = _errors(response)
    said = f"{response.method} {response.shown_url}: {response.status_text}"
    return RegistryError(
        f"{attempted}: {said}{f': {words}' if words else ''}",
        codes=codes,
        method=response.method,
        url=response.shown_url,
        status=response.status,
        temporary=is_temporary(response.status),
        hint=_hint(response.status, codes),
    )


def _errors(response: Response) -> tuple[tuple[str, ...], str]:
    if response.method == "HEAD":
        return (), ""
    try:
        body = response.document(limit_bytes=_LARGEST_ERROR_BYTES)
    except NetworkError:
        return (), ""
    try:
        errors = [error for error in json.loads(body)["errors"] if isinstance(error, dict)]
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace")
        return (), "" if "<" in text else _in_one_line(text)
    codes = tuple(str(error["code"]) for error in errors if isinstance(error.get("code"), str))
    words = [f"{error.get('code', '')} {error.get('message', '')}".strip() for error in errors]
    return codes, _in_one_line("; ".join(words))


def _in_one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]


def _hint(status: int, codes: tuple[str, ...]) -> str | None:
    if status == _UNAUTHORIZED:
        return "log in with 'docker login' or 'podman login', or give --username and --password-file"
    if status == _FORBIDDEN or "DENIED" in codes:
        return "this login may not do that; check the repository's name and its permissions"
    if "NAME_UNKNOWN" in codes:
        return "some registries want the repository to be created before the first push"
    if status == 429:  # noqa: PLR2004 - too many requests
        return "the registry limits how often it may be asked; logging in often raises the limit"
    return None
