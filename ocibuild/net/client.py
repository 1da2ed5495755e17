"""The HTTP client that every room uses: requests, with this program's rules on top.

requests is imported with the first request: it costs more CPU than a build with nothing to do (design, section 11).
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar
from urllib.parse import urlsplit

from ocibuild.core.errors import NetworkError
from ocibuild.core.events import EventSink, Notice, discard
from ocibuild.net.address import Origin, is_loopback, joined, redacted, split_userinfo
from ocibuild.net.challenge import basic_authorization
from ocibuild.net.failure import foreign_errors, network_error
from ocibuild.net.policy import HttpPolicy, is_temporary, retry_after_seconds
from ocibuild.net.reach import Reach
from ocibuild.net.response import InterruptedBodyError, Response
from ocibuild.net.trust import Trust, choose_ca_file

if TYPE_CHECKING:
    import requests

__all__ = ["Body", "HttpClient"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER = 303
_CONNECTIONS = 16
_Result = TypeVar("_Result")
# What a redirect to another origin must not carry along.
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


class Body(Protocol):
    """A request's body: its length in bytes, and its blocks, from the start at each iteration (a retry starts anew)."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class _Hop:
    """One request as it goes out, to one origin."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Body | None
    trust: Trust
    netrc: bool
    silence_seconds: float


class _LazyAdapter:
    """The pool of connections, made with the first request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._adapter: requests.adapters.HTTPAdapter | None = None

    def adapter(self) -> "requests.adapters.HTTPAdapter":
        with self._lock:
            if self._adapter is None:
                import requests  # noqa: PLC0415 - see the module's docstring
                import urllib3  # noqa: PLC0415 - as requests

                # Whoever names a registry insecure knows it: the warning would come once a request.
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                self._adapter = requests.adapters.HTTPAdapter(
                    pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS, max_retries=0
                )
            return self._adapter

    def close(self) -> None:
        with self._lock:
            if self._adapter is not None:
                self._adapter.close()
                self._adapter = None


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Sends requests; safe to use from several threads at once. Close it at the end.

    ``ca_file`` is what the user named with ``--ca``. Proxies are those of the environment, as requests reads them, but
    never for loopback. ``reach`` says what is other than that for some servers. ``headers`` are sent with every request
    that has none of the name. ``sleep`` and ``events`` are for waits between tries.
    """

    policy: HttpPolicy = field(default_factory=HttpPolicy)
    ca_file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    events: EventSink = discard
    sleep: Callable[[float], None] = time.sleep
    reach: Reach = field(default_factory=Reach)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    _lazy: _LazyAdapter = field(default_factory=_LazyAdapter, repr=False)

    def reaching(self, reach: Reach) -> Self:
        """A client that reaches servers so; it has this one's connections, and need not be closed."""
        return replace(self, reach=reach)

    def sending(self, headers: Mapping[str, str]) -> Self:
        """A client that sends these headers with every request; it has this one's connections."""
        return replace(self, headers=headers)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes | Body | None = None,
        trust: Trust | None = None,
        retry: bool = True,
        follow: bool = True,
        netrc: bool = True,
        silence_seconds: float | None = None,
    ) -> Response:
        """Send a request and return the answer, whatever its status; its body has not been read.

        What is temporary (:func:`ocibuild.net.policy.is_temporary`, timeouts, broken connections) is tried again with
        ``retry``; the last answer is returned, the last NetworkError raised. Redirects are followed with ``follow``;
        the Authorization, ``trust`` and ``.netrc`` of one origin are not used for another. Userinfo in the URL
        becomes Basic credentials; an Authorization header given wins over it, and over ``.netrc`` (used for the URL as
        given alone, and only with ``netrc``). ``silence_seconds`` replaces the policy's read timeout.
        """
        url, user, password = split_userinfo(url)
        sent = {"Accept-Encoding": "identity", **self.headers, **headers}
        if user is not None and "Authorization" not in sent:
            sent["Authorization"] = basic_authorization(user, password or "")
        silence_seconds = silence_seconds or self.policy.read_timeout_seconds
        hop = _Hop(method, url, sent, body, trust or Trust(), netrc=netrc, silence_seconds=silence_seconds)
        for _ in range(self.policy.most_redirects + 1):
            response = self._tried(hop, retry=retry)
            following = _redirected(hop, response) if follow else None
            if following is None:
                return response
            response.close()
            hop = following
        raise NetworkError(
            f"{method} {redacted(url)}: more than {self.policy.most_redirects} redirects",
            method=method,
            url=redacted(url),
        )

    def _tried(self, hop: _Hop, *, retry: bool) -> Response:
        attempt = 0
        while True:
            attempt += 1
            is_last = not retry or attempt >= self.policy.tries
            try:
                response = self._sent(hop)
            except NetworkError as error:
                if is_last or not error.temporary:
                    raise
                self.pause(attempt, why=error.message)
                continue
            if is_last or not is_temporary(response.status):
                return response
            response.close()
            asked = retry_after_seconds(response.headers, now=time.time())
            self.pause(
                attempt, asked_seconds=asked, why=f"{response.method} {response.shown_url}: {response.status_text}"
            )

    def persistently(self, operation: Callable[[], _Result]) -> _Result:
        """Run an operation that reads an answer's body again when that breaks off, as often as the policy says."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return operation()
            except InterruptedBodyError as error:
                if not error.temporary or attempt >= self.policy.tries:
                    raise
                why = error.message
            self.pause(attempt, why=why)

    def pause(self, attempt: int, *, asked_seconds: float | None = None, why: str) -> None:
        """Wait before the next try, as the policy says, and tell the user ``why``."""
        seconds = self.policy.wait_seconds(attempt, asked_seconds)
        self.events(Notice(f"{why}; trying again in {seconds:.1f} s"))
        self.sleep(seconds)

    def _sent(self, hop: _Hop) -> Response:
        import requests  # noqa: PLC0415 - see the module's docstring

        headers = dict(hop.headers)
        if hop.netrc and "Authorization" not in headers:
            login = self.reach.login(hop.url) or requests.utils.get_netrc_auth(hop.url)
            if login is not None:
                headers["Authorization"] = basic_authorization(*login)
        trust = self.reach.trust(hop.url) if hop.trust == Trust() else hop.trust
        certificate = trust.client_certificate
        key = trust.client_key or certificate
        try:
            # The adapter and not a session: a session would read redirects' bodies, keep cookies, and let .netrc
            # replace the Authorization given.
            prepared = requests.Request(hop.method, hop.url, headers=headers, data=hop.body).prepare()
            foreign = self._lazy.adapter().send(
                prepared,
                stream=True,
                timeout=(self.policy.connect_timeout_seconds, hop.silence_seconds),
                verify=self._verified_by(trust),
                cert=None if certificate is None else (str(certificate), str(key)),
                proxies=self._proxies(hop.url),
            )
        except foreign_errors() as error:
            raise network_error(error, method=hop.method, url=hop.url) from error
        return Response(foreign, method=hop.method, url=hop.url)

    def _proxies(self, url: str) -> Mapping[str, str]:
        """The proxy for this URL by its scheme; nothing for none."""
        import requests  # noqa: PLC0415 - see the module's docstring

        # A loopback server is never behind a proxy: Go's HTTP client has this rule, and so every container tool.
        if is_loopback(urlsplit(url).netloc):
            return {}
        chosen = self.reach.proxy(url)
        if chosen is None:
            environment: Mapping[str, str] = requests.utils.get_environ_proxies(url)
            return environment
        is_bypassed = not chosen or requests.utils.should_bypass_proxies(url, no_proxy=None)
        return {} if is_bypassed else {urlsplit(url).scheme: chosen}

    def _verified_by(self, trust: Trust) -> str | bool:
        if not trust.is_verified:
            return False
        ca_file = trust.ca_file or choose_ca_file(self.ca_file, self.environment)
        return True if ca_file is None else str(ca_file)

    def close(self) -> None:
        """Close all connections. The client may be used again, and then opens new ones."""
        self._lazy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _redirected(hop: _Hop, response: Response) -> _Hop | None:
    """The request that a redirect asks for (RFC 9110, 15.4), or None where the answer is none."""
    location = response.headers.get("location")
    if response.status not in _REDIRECTS or location is None:
        return None
    url = joined(hop.url, location)
    method, body, headers = hop.method, hop.body, dict(hop.headers)
    if response.status == _SEE_OTHER and method != "HEAD":
        method, body = "GET", None
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    if Origin.of(url) == Origin.of(hop.url):
        return replace(hop, method=method, url=url, headers=headers, body=body)
    headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
    return _Hop(method, url, headers, body, Trust(), netrc=False, silence_seconds=hop.silence_seconds)
