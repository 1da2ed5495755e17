"""Bearer tokens: when they are fetched, for what, from whom, and who never sees a credential."""

import base64
import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from ocibuild.core.descriptor import OCI_LAYER, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import NetworkError, RegistryError
from ocibuild.net.client import HttpClient
from ocibuild.net.trust import Trust
from ocibuild.registry.content import BlobContent
from ocibuild.registry.credentials import Credential, ExplicitCredential
from ocibuild.registry.registries import Registries
from ocibuild.registry.repository import PushOutcome, Repository
from ocibuild.registry.token import TokenCache, TokenService
from tests.support.fake_registry import FakeRegistry
from tests.support.scripted_server import Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]
MakeRepository = Callable[..., Repository]
BLOB = BlobContent(Descriptor(OCI_LAYER, Digest.of(b"blob"), 4), b"blob")
PULL = frozenset({"repository:a/b:pull"})
CREDENTIAL = Credential("user", "pass:word")


class Tokens:
    """A token server that counts: T1, T2, ..."""

    def __init__(self, serve: Serve, **extra: object) -> None:
        self.count = 0
        self.extra = extra
        self.server = serve(self.answer)

    def answer(self, request: Request) -> Reply:
        _ = request.body
        self.count += 1
        return Reply(body=json.dumps({"token": f"T{self.count}", **self.extra}).encode())

    @property
    def realm(self) -> str:
        return f"{self.server.url}/token"


class TokenRegistry(FakeRegistry):
    """A registry that wants the token that ``good`` says, and challenges otherwise."""

    def __init__(self, realm: str, good: Callable[[str], bool], scope: str = "repository:a/b:pull") -> None:
        super().__init__(before=self.check)
        self.challenge = f'Bearer realm="{realm}",service="r",scope="{scope}"'
        self.good = good

    def check(self, request: Request) -> Reply | None:
        if request.path == "/v2/" or self.good(request.headers.get("authorization", "")):
            return None
        return Reply(401, headers={"WWW-Authenticate": self.challenge})


def clocked(http: HttpClient) -> tuple[TokenCache, list[float]]:
    now = [0.0]
    return TokenCache(http, clock=lambda: now[0]), now


@pytest.mark.parametrize(
    ("extra", "good_seconds"),
    [
        ({}, 48),
        ({"expires_in": 300}, 240),
        ({"expires_in": 5}, 48),
        ({"expires_in": "soon"}, 48),
        ({"expires_in": None}, 48),
    ],
)
def test_a_token_is_used_for_four_fifths_of_its_life(
    serve: Serve, http: HttpClient, extra: dict[str, object], good_seconds: float
) -> None:
    tokens = Tokens(serve, **extra)
    cache, now = clocked(http)

    def token() -> str:
        return cache.token(
            TokenService(tokens.realm, "r"), PULL, CREDENTIAL, registry_url=tokens.server.url, trust=Trust()
        )

    assert token() == "T1"
    now[0] = good_seconds - 1
    assert token() == "T1"
    now[0] = good_seconds + 1
    assert token() == "T2"


def test_tokens_are_kept_apart_by_server_service_scope_and_user(serve: Serve, http: HttpClient) -> None:
    first, second = Tokens(serve), Tokens(serve)
    cache, _ = clocked(http)
    cases = [
        (TokenService(first.realm, "r"), PULL, CREDENTIAL),
        (TokenService(first.realm, "other"), PULL, CREDENTIAL),
        (TokenService(first.realm, "r"), PULL | {"repository:c:pull"}, CREDENTIAL),
        (TokenService(first.realm, "r"), PULL, Credential("somebody", "x")),
        (TokenService(first.realm, "r"), PULL, None),
        (TokenService(second.realm, "r"), PULL, CREDENTIAL),
    ]
    for _ in range(2):
        for service, scopes, credential in cases:
            cache.token(service, scopes, credential, registry_url=first.server.url, trust=Trust())
    assert (first.count, second.count) == (5, 1)


def test_a_registry_does_not_get_the_token_of_another_one(serve: Serve, http: HttpClient) -> None:
    tokens = Tokens(serve)
    cache, _ = clocked(http)
    service = TokenService(tokens.realm, "r")
    for registry_url, password in (("http://127.0.0.1:1", "right"), ("http://127.0.0.1:2", "unknown there")):
        cache.token(service, PULL, Credential("user", password), registry_url=registry_url, trust=Trust())
    assert tokens.count == 2


def test_a_rejected_token_is_not_given_again(serve: Serve, http: HttpClient) -> None:
    tokens = Tokens(serve)
    cache, _ = clocked(http)
    arguments = (TokenService(tokens.realm, "r"), PULL, CREDENTIAL)
    assert cache.token(*arguments, registry_url=tokens.server.url, trust=Trust()) == "T1"
    assert cache.token(*arguments, registry_url=tokens.server.url, trust=Trust(), rejected="T0") == "T1"
    assert cache.token(*arguments, registry_url=tokens.server.url, trust=Trust(), rejected="T1") == "T2"


def test_what_is_asked_of_a_token_server(serve: Serve, http: HttpClient) -> None:
    tokens = Tokens(serve)
    cache, _ = clocked(http)
    scopes = frozenset({"repository:b:pull,push", "repository:a:pull"})
    cache.token(
        TokenService(tokens.realm + "?x=y", "the service"),
        scopes,
        CREDENTIAL,
        registry_url=tokens.server.url,
        trust=Trust(),
    )
    (request,) = tokens.server.requests
    assert request.query == {
        "x": ["y"],
        "service": ["the service"],
        "scope": ["repository:a:pull", "repository:b:pull,push"],
    }
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"user:pass:word"


def test_an_identity_token_is_posted(serve: Serve, http: HttpClient) -> None:
    forms = []

    def answer(request: Request) -> Reply:
        forms.append(
            (request.method, request.target, parse_qs(request.body.decode()), request.headers.get("authorization"))
        )
        return Reply(body=b'{"access_token": "A"}')

    server = serve(answer)
    cache, _ = clocked(http)
    scopes = frozenset({"repository:b:pull", "repository:a:pull"})
    credential = Credential("00000000", "", "ident&ity")
    assert (
        cache.token(TokenService(server.url + "/t", "r"), scopes, credential, registry_url=server.url, trust=Trust())
        == "A"
    )
    assert forms == [("POST", "/t", {
        "grant_type": ["refresh_token"], "service": ["r"], "client_id": ["ocibuild"],
        "scope": ["repository:a:pull repository:b:pull"], "refresh_token": ["ident&ity"],
    }, None)]  # fmt: skip


def test_an_identity_token_does_not_follow_a_redirect(serve: Serve, http: HttpClient) -> None:
    thief = serve(lambda _: Reply(body=b'{"token": "A"}'))
    server = serve(lambda _: Reply(307, headers={"Location": thief.url}))
    cache, _ = clocked(http)
    with pytest.raises(RegistryError):
        cache.token(
            TokenService(server.url, "r"), PULL, Credential(identity_token="id"), registry_url=server.url, trust=Trust()
        )
    assert thief.requests == []


def test_a_password_does_not_follow_a_token_servers_redirect(serve: Serve, http: HttpClient) -> None:
    other = serve(lambda _: Reply(body=b'{"token": "A"}'))
    server = serve(lambda _: Reply(307, headers={"Location": other.url}))
    cache, _ = clocked(http)
    assert cache.token(TokenService(server.url, "r"), PULL, CREDENTIAL, registry_url=server.url, trust=Trust()) == "A"
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize("realm", ["http://tokens.invalid/t", "file:///etc/passwd", "", "https://"])
def test_a_realm_that_must_not_see_credentials(http: HttpClient, realm: str) -> None:
    cache, _ = clocked(http)
    with pytest.raises(NetworkError):
        cache.token(TokenService(realm, "r"), PULL, CREDENTIAL, registry_url="https://registry.invalid", trust=Trust())


def test_an_encrypted_registry_may_not_name_a_plain_realm(serve: Serve, http: HttpClient) -> None:
    thief = Tokens(serve)
    cache, _ = clocked(http)
    with pytest.raises(NetworkError, match="not encrypted"):
        cache.token(
            TokenService(thief.realm, "r"), PULL, CREDENTIAL, registry_url="https://registry.invalid", trust=Trust()
        )
    assert thief.count == 0


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, b"wrong"),
        Reply(200, b"no json"),
        Reply(200, b"[]"),
        Reply(200, b"{}"),
        Reply(200, b'{"token": 5}'),
        Reply(200, b'{"token": "a\\r\\nX-Evil: 1"}'),
        Reply(200, b'{"token": ""}'),
    ],
)
def test_a_token_server_that_gives_none(serve: Serve, http: HttpClient, reply: Reply) -> None:
    server = serve(lambda _: reply)
    cache, _ = clocked(http)
    with pytest.raises(RegistryError) as caught:
        cache.token(
            TokenService(server.url + "/t?k=secret", "r"), PULL, CREDENTIAL, registry_url=server.url, trust=Trust()
        )
    assert "pass:word" not in str(caught.value)
    assert "secret" not in str(caught.value)


# -- through the client --


def test_a_token_that_expires_in_mid_upload(serve: Serve, repository: MakeRepository) -> None:
    tokens = Tokens(serve)
    registry = TokenRegistry(tokens.realm, lambda header: header in ("Bearer T1", "Bearer T2"))
    registry.good = lambda header: (
        header == ("Bearer T1" if registry.log[-1].startswith(("HEAD", "POST")) else "Bearer T2")
    )
    server = serve(registry)
    assert repository(server, ExplicitCredential(server.host, CREDENTIAL)).put_blob(BLOB) is PushOutcome.UPLOADED
    assert registry.blobs["a/b", str(BLOB.descriptor.digest)] == b"blob"
    assert tokens.count == 2
    assert [line.partition(" ")[0] for line in registry.log] == ["GET", "HEAD", "HEAD", "POST", "PUT", "PUT"]


def test_a_token_that_is_never_good_enough(serve: Serve, repository: MakeRepository) -> None:
    tokens = Tokens(serve)
    registry = TokenRegistry(tokens.realm, lambda _: False)
    server = serve(registry)
    with pytest.raises(RegistryError) as caught:
        repository(server, ExplicitCredential(server.host, CREDENTIAL)).get_manifest("1")
    assert caught.value.status == 401
    assert tokens.count == 1
    assert len([line for line in registry.log if "manifests" in line]) == 2


def test_the_scope_that_a_registry_asks_for_is_asked_for_too(serve: Serve, repository: MakeRepository) -> None:
    tokens = Tokens(serve)
    registry = TokenRegistry(
        tokens.realm, lambda header: header.startswith("Bearer"), "repository:a/b:pull repository:mirror/x:pull"
    )
    server = serve(registry)
    repository(server).head_manifest("1")
    assert tokens.server.requests[0].query["scope"] == ["repository:a/b:pull", "repository:mirror/x:pull"]


def test_a_push_asks_for_its_token_at_once(serve: Serve, repository: MakeRepository) -> None:
    tokens = Tokens(serve)
    registry = TokenRegistry(tokens.realm, lambda header: header.startswith("Bearer"))
    repository(serve(registry)).put_blob(BLOB)
    assert tokens.count == 1
    assert tokens.server.requests[0].query["scope"] == ["repository:a/b:pull,push"]


def test_an_upload_at_another_host_gets_no_credentials(serve: Serve, repository: MakeRepository) -> None:
    tokens = Tokens(serve)
    storage = serve(lambda _: Reply(201))
    registry = TokenRegistry(tokens.realm, lambda header: header.startswith("Bearer"))
    registry.quirks.location_host = storage.url
    server = serve(registry)
    repository(server, ExplicitCredential(server.host, CREDENTIAL)).put_blob(BLOB)
    (sent,) = storage.requests
    assert sent.method == "PUT"
    assert "authorization" not in sent.headers


def test_nothing_is_sent_before_it_is_asked_for(serve: Serve, repository: MakeRepository) -> None:
    server = serve(FakeRegistry())
    repository(server, ExplicitCredential(server.host, CREDENTIAL)).put_blob(BLOB)
    assert all("authorization" not in request.headers for request in server.requests)


def test_basic_is_sent_at_once_when_it_was_asked_for_once(serve: Serve, repository: MakeRepository) -> None:
    registry = FakeRegistry()
    registry.before = lambda request: (
        None
        if "authorization" in request.headers or request.path == "/v2/"
        else Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
    )
    server = serve(registry)
    repository(server, ExplicitCredential(server.host, CREDENTIAL)).put_blob(BLOB)
    assert [line.partition(" ")[0] for line in registry.log] == ["GET", "HEAD", "HEAD", "POST", "PUT"]


def test_bearer_is_preferred_to_basic(serve: Serve, repository: MakeRepository) -> None:
    tokens = Tokens(serve)
    registry = TokenRegistry(tokens.realm, lambda header: header.startswith("Bearer"))
    registry.challenge = f'Basic realm="r", {registry.challenge}'
    server = serve(registry)
    repository(server, ExplicitCredential(server.host, CREDENTIAL)).head_manifest("1")
    assert all("Basic" not in request.headers.get("authorization", "") for request in server.requests)


def test_netrc_is_not_for_registries(
    serve: Serve, repository: MakeRepository, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path  # noqa: PLC0415 - only here

    path = Path(str(tmp_path)) / "netrc"
    path.write_text("machine 127.0.0.1 login u password p\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    server = serve(FakeRegistry())
    repository(server).head_manifest("1")
    assert all("authorization" not in request.headers for request in server.requests)


def test_two_registries_do_not_share_what_they_know(serve: Serve, registries: Callable[..., Registries]) -> None:
    from ocibuild.core.reference import Reference  # noqa: PLC0415 - only here

    tokens = Tokens(serve)
    one, two = (serve(TokenRegistry(tokens.realm, lambda header: header.startswith("Bearer"))) for _ in range(2))
    made = registries(ExplicitCredential(one.host, CREDENTIAL))
    for server in (one, two):
        made.repository(Reference.parse(f"{server.host}/a/b")).head_manifest("1")
    assert ["authorization" in request.headers for request in tokens.server.requests] == [True, False]
