"""The light question "which manifest does this tag name now?", on http.client alone.

A build with nothing to do asks nothing else of a registry, and must not pay for requests (design, section 11). Only the
usual case is handled here; of anything else the answer is that the full client has to ask.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from ocibuild.core.descriptor import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST
from ocibuild.core.digest import Digest
from ocibuild.core.errors import NetworkError, UsageError
from ocibuild.net.address import is_loopback
from ocibuild.net.challenge import Challenge, basic_authorization, checked_realm

__all__ = ["ProbeAnswer", "ProbeLogin", "probe_manifest"]

_TIMEOUT_SECONDS = 10.0
_LONGEST_TOKEN_ANSWER_BYTES = 1 << 20
_ACCEPT = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_MANIFEST_LIST}"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class ProbeLogin:
    """What to log in with, where the registry wants that: a user and password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"ProbeLogin(username={self.username!r})"


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The digest that the tag names; where ``digest`` is None, ``why`` says why the full client has to be asked."""

    digest: Digest | None
    why: str = ""


class _UnusualAnswerError(Exception):
    """Something that only the full client can deal with."""


def probe_manifest(
    base_url: str,
    *,
    repository: str,
    tag: str,
    login: ProbeLogin | None,
    ca_file: Path | None,
    environment: Mapping[str, str],
) -> ProbeAnswer:
    """Ask the registry at ``base_url`` (scheme, host and port) with HEAD for the digest of a tag's manifest.

    Anonymous, Basic and Bearer access are known, the token fetched with ``login``. Never raises for what a server or
    the network does: an absent tag, a redirect, a proxy, a certificate that is not trusted and everything else unusual
    give no digest, but a reason. ``login`` is sent only to this registry, or to the token server that it may name
    (:func:`ocibuild.net.challenge.checked_realm`).
    """
    host = urlsplit(base_url).netloc
    proxy = next((name for name in environment if name.lower() in _PROXIES and environment[name]), None)
    if proxy is not None and not is_loopback(host):
        return ProbeAnswer(None, f"{proxy} is set")
    try:
        connection = _connection(base_url, ca_file)
        try:
            return ProbeAnswer(_digest(connection, base_url, repository, tag, login, ca_file))
        finally:
            connection.close()
    except _UnusualAnswerError as error:
        return ProbeAnswer(None, str(error))
    except (OSError, http.client.HTTPException, NetworkError, ValueError) as error:
        return ProbeAnswer(None, f"{type(error).__name__}: {error}")


def _connection(url: str, ca_file: Path | None) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)
    import ssl  # noqa: PLC0415 - http.client has imported it already where there is one

    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    return http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT_SECONDS, context=context)


def _digest(
    connection: http.client.HTTPConnection,
    base_url: str,
    repository: str,
    tag: str,
    login: ProbeLogin | None,
    ca_file: Path | None,
) -> Digest:
    path = f"/v2/{quote(repository)}/manifests/{quote(tag)}"
    response = _head(connection, path, None)
    if response.status == http.HTTPStatus.UNAUTHORIZED:
        header = response.getheader("WWW-Authenticate") or ""
        scope = f"repository:{repository}:pull"
        response = _head(connection, path, _authorization(header, base_url, scope, login, ca_file))
    if response.status != http.HTTPStatus.OK:
        raise _UnusualAnswerError(f"the registry answers {response.status}")
    try:
        return Digest.parse(response.getheader("Docker-Content-Digest") or "")
    except UsageError as error:
        raise _UnusualAnswerError("the registry does not tell the digest") from error


def _head(connection: http.client.HTTPConnection, path: str, authorization: str | None) -> http.client.HTTPResponse:
    headers = {"Accept": _ACCEPT} | ({"Authorization": authorization} if authorization else {})
    connection.request("HEAD", path, headers=headers)
    response = connection.getresponse()
    response.read()
    return response


def _authorization(header: str, base_url: str, scope: str, login: ProbeLogin | None, ca_file: Path | None) -> str:
    challenges = {challenge.scheme: challenge for challenge in Challenge.parse_all(header)}
    if "bearer" in challenges:
        return f"Bearer {_token(challenges['bearer'], base_url, scope, login, ca_file)}"
    if "basic" in challenges and login is not None:
        return basic_authorization(login.username, login.password)
    raise _UnusualAnswerError("the registry wants a login that is not known here")


def _token(challenge: Challenge, base_url: str, scope: str, login: ProbeLogin | None, ca_file: Path | None) -> str:
    realm = checked_realm(challenge.parameters.get("realm", ""), server_url=base_url)
    parts = urlsplit(realm)
    pairs = [("service", challenge.parameters["service"])] if "service" in challenge.parameters else []
    query = "&".join(text for text in (parts.query, urlencode([*pairs, ("scope", scope)])) if text)
    headers = {"Authorization": basic_authorization(login.username, login.password)} if login else {}
    connection = _connection(realm, ca_file)
    try:
        connection.request("GET", f"{parts.path or '/'}?{query}", headers=headers)
        response = connection.getresponse()
        body = response.read(_LONGEST_TOKEN_ANSWER_BYTES)
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise _UnusualAnswerError(f"the token server answers {response.status}")
    value = json.loads(body)
    token = value.get("token") or value.get("access_token") if isinstance(value, dict) else None
    if not isinstance(token, str):
        raise _UnusualAnswerError("the token server gives no token")
    return token
