import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.net.probe import ProbeAnswer, ProbeLogin, probe_manifest
from tests.support.scripted_server import HANG_UP, Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]
DIGEST = Digest.of(b"manifest")
FOUND = Reply(headers={"Docker-Content-Digest": str(DIGEST), "Content-Length": "7"})
LOGIN = ProbeLogin("user", "pa:ss")


def probe(
    server: ScriptedServer, login: ProbeLogin | None = None, environment: dict[str, str] | None = None
) -> ProbeAnswer:
    return probe_manifest(
        server.url, repository="a/b", tag="1.0", login=login, ca_file=None, environment=environment or {}
    )


def test_an_open_registry(serve: Serve) -> None:
    server = serve(lambda _: FOUND)
    assert probe(server).digest == DIGEST
    (request,) = server.requests
    assert (request.method, request.path) == ("HEAD", "/v2/a/b/manifests/1.0")
    assert "vnd.oci.image.index.v1+json" in request.headers["accept"]
    assert "authorization" not in request.headers


def test_basic(serve: Serve) -> None:
    expected = "Basic " + base64.b64encode(b"user:pa:ss").decode()
    server = serve(
        lambda request: (
            FOUND
            if request.headers.get("authorization") == expected
            else Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        )
    )
    assert probe(server, LOGIN).digest == DIGEST
    assert "authorization" not in server.requests[0].headers
    answer = probe(server)
    assert answer.digest is None
    assert "login" in answer.why


def bearer(tokens: ScriptedServer) -> Callable[[Request], Reply]:
    challenge = f'Bearer realm="{tokens.url}/token?x=1",service="r",scope="repository:a/b:pull"'
    return lambda request: (
        FOUND
        if request.headers.get("authorization") == "Bearer T"
        else Reply(401, headers={"WWW-Authenticate": challenge})
    )


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_bearer(serve: Serve, key: str) -> None:
    tokens = serve(lambda _: Reply(body=json.dumps({key: "T"}).encode()))
    assert probe(serve(bearer(tokens)), LOGIN).digest == DIGEST
    (request,) = tokens.requests
    assert request.query == {"x": ["1"], "service": ["r"], "scope": ["repository:a/b:pull"]}
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"user:pa:ss"


def test_bearer_without_a_login(serve: Serve) -> None:
    tokens = serve(lambda _: Reply(body=b'{"token": "T"}'))
    assert probe(serve(bearer(tokens))).digest == DIGEST
    assert "authorization" not in tokens.requests[0].headers


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404), Reply(403), Reply(500), Reply(307, headers={"Location": "/x"}), HANG_UP, Reply(200),
        Reply(headers={"Docker-Content-Digest": "md5:00"}), Reply(401), Reply(401, headers={"WWW-Authenticate": "Negotiate"}),
        Reply(401, headers={"WWW-Authenticate": 'Bearer realm="http://elsewhere.example/t"'}),
        Reply(401, headers={"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}),
        Reply(401, headers={"WWW-Authenticate": "Bearer"}),
    ],
)  # fmt: skip
def test_whatever_is_unusual_is_left_to_the_full_client(serve: Serve, reply: Reply) -> None:
    answer = probe(serve(lambda _: reply), LOGIN)
    assert answer.digest is None
    assert answer.why


@pytest.mark.parametrize(
    "reply",
    [
        Reply(403),
        Reply(body=b"no json"),
        Reply(body=b"[]"),
        Reply(body=b'{"token": 5}'),
        Reply(body=b'{"token": "a\\r\\nX: y"}'),
        HANG_UP,
    ],
)
def test_an_unusual_token_server(serve: Serve, reply: Reply) -> None:
    answer = probe(serve(bearer(serve(lambda _: reply))), LOGIN)
    assert answer.digest is None
    assert answer.why


def test_a_proxy_is_left_to_the_full_client(tmp_path: Path) -> None:
    answer = probe_manifest(
        "http://registry.invalid",
        repository="a",
        tag="b",
        login=None,
        ca_file=None,
        environment={"HTTP_PROXY": "http://p"},
    )
    assert answer == ProbeAnswer(None, "HTTP_PROXY is set")
    answer = probe_manifest(
        "http://registry.invalid", repository="a", tag="b", login=None, ca_file=None, environment={}
    )
    assert answer.digest is None


def test_a_login_does_not_show_its_password() -> None:
    assert "pa:ss" not in repr(LOGIN)
