import base64
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.errors import NetworkError
from ocibuild.core.events import Event, Notice
from ocibuild.net.client import HttpClient
from ocibuild.net.policy import HttpPolicy
from tests.support.scripted_server import HANG_UP, Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]


class Counted:
    """A body whose iterations are counted."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.iterations = 0

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self):  # type: ignore[no-untyped-def]
        self.iterations += 1
        yield self.data[:3]
        yield self.data[3:]


def in_turn(*replies: Reply) -> Callable[[Request], Reply]:
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_is_temporary_is_tried_again(
    serve: Serve, http: HttpClient, waits: list[float], events: list[Event], status: int
) -> None:
    server = serve(in_turn(Reply(status), Reply(status, headers={"Retry-After": "3"}), Reply(body=b"good")))
    with http.request("GET", server.url) as response:
        assert response.body(limit_bytes=10) == b"good"
    assert len(server.requests) == 3
    assert 0.5 <= waits[0] <= 0.7
    assert waits[1] == 3.0
    assert str(status) in next(event.message for event in events if isinstance(event, Notice))


def test_a_server_that_asks_for_a_day_gets_half_a_minute(serve: Serve, http: HttpClient, waits: list[float]) -> None:
    server = serve(in_turn(Reply(429, headers={"Retry-After": "86400"}), Reply()))
    http.request("GET", server.url).close()
    assert waits == [30.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 416, 501])
def test_what_is_not_temporary_is_not_tried_again(
    serve: Serve, http: HttpClient, waits: list[float], status: int
) -> None:
    server = serve(in_turn(Reply(status)))
    with http.request("GET", server.url) as response:
        assert response.status == status
    assert len(server.requests) == 1
    assert not waits


def test_five_tries_and_no_more(serve: Serve, http: HttpClient, waits: list[float]) -> None:
    server = serve(in_turn(Reply(503, b"later", headers={"Content-Type": "text/plain"})))
    with http.request("GET", server.url + "/x?sig=secret") as response:
        error = response.failure("trying")
    assert len(server.requests) == 5
    assert len(waits) == 4
    assert error.temporary
    assert error.status == 503
    assert "later" in error.message
    assert "secret" not in error.message


def test_a_connection_that_breaks_is_tried_again(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(HANG_UP, HANG_UP, Reply(body=b"good")))
    with http.request("GET", server.url) as response:
        assert response.body(limit_bytes=10) == b"good"
    assert len(server.requests) == 3


def test_a_body_is_sent_from_its_start_at_each_try(serve: Serve, http: HttpClient) -> None:
    replies = iter([Reply(503), Reply(201)])
    bodies = []

    def answer(request: Request) -> Reply:
        bodies.append(request.body)
        return next(replies)

    body = Counted(b"0123456789")
    http.request("PUT", serve(answer).url, body=body).close()
    assert bodies == [b"0123456789"] * 2
    assert body.iterations == 2


def test_without_retry_there_is_one_try(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(HANG_UP))
    with pytest.raises(NetworkError) as caught:
        http.request("GET", server.url + "/a?token=secret", retry=False)
    assert len(server.requests) == 1
    assert caught.value.temporary
    assert "secret" not in str(caught.value) + str(caught.value.url)


def test_a_refused_connection_is_not_tried_again(http: HttpClient, waits: list[float]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(NetworkError, match="refused") as caught:
        http.request("GET", f"http://127.0.0.1:{port}/")
    assert not caught.value.temporary
    assert not waits


def test_a_silent_server_is_a_temporary_error(waits: list[float]) -> None:
    with (
        socket.socket() as silent,
        HttpClient(HttpPolicy(tries=2, read_timeout_seconds=0.05), sleep=waits.append) as http,
    ):
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(NetworkError, match="time limit") as caught:
            http.request("GET", f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert caught.value.temporary
    assert len(waits) == 1


def test_a_host_that_does_not_exist(http: HttpClient) -> None:
    with pytest.raises(NetworkError, match="cannot be resolved"):
        http.request("GET", "http://does-not-exist.invalid/", retry=False)


def test_tls_where_there_is_none(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(Reply()))
    with pytest.raises(NetworkError) as caught:
        http.request("GET", f"https://{server.host}/", retry=False)
    assert "TLS" in caught.value.message or "encrypted" in caught.value.message


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://", "http://h:port/", "http://a b/"])
def test_what_is_no_url(http: HttpClient, url: str) -> None:
    with pytest.raises(NetworkError) as caught:
        http.request("GET", url)
    assert not caught.value.temporary


def test_a_redirect_to_another_origin_carries_no_credentials(serve: Serve, http: HttpClient) -> None:
    other = serve(in_turn(Reply(body=b"there")))
    first = serve(
        lambda request: Reply(307, headers={"Location": other.url + "/blob" if request.path == "/a" else "/a"})
    )
    secrets = {"Authorization": "Bearer secret", "Cookie": "secret", "X-Else": "kept"}
    with http.request("GET", first.url + "/start", headers=secrets) as response:
        assert response.body(limit_bytes=9) == b"there"
        assert response.url == other.url + "/blob"
    assert [request.headers["authorization"] for request in first.requests] == ["Bearer secret"] * 2
    assert "authorization" not in other.requests[0].headers
    assert "cookie" not in other.requests[0].headers
    assert other.requests[0].headers["x-else"] == "kept"


def test_a_body_follows_a_307_and_not_a_303(serve: Serve, http: HttpClient) -> None:
    got = []

    def answer(request: Request) -> Reply:
        got.append((request.method, request.path, request.body, request.headers.get("content-type")))
        status = {"/307": 307, "/303": 303}.get(request.path)
        return Reply(status, headers={"Location": "/end"}) if status else Reply()

    server = serve(answer)
    for path in ("/307", "/303"):
        http.request("PUT", server.url + path, body=Counted(b"body"), headers={"Content-Type": "x/y"}).close()
    assert got[1] == ("PUT", "/end", b"body", "x/y")
    assert got[3] == ("GET", "/end", b"", None)


def test_redirects_end(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(Reply(302, headers={"Location": "/again"})))
    with pytest.raises(NetworkError, match="more than 10 redirects"):
        http.request("GET", server.url)


def test_a_redirect_to_a_file_is_refused(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(Reply(302, headers={"Location": "file:///etc/passwd"})))
    with pytest.raises(NetworkError, match="not an http"):
        http.request("GET", server.url)


def test_cookies_are_not_kept(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(Reply(headers={"Set-Cookie": "id=1; Path=/"})))
    for _ in range(2):
        http.request("GET", server.url).close()
    assert "cookie" not in server.requests[1].headers


def netrc(host: str) -> None:
    path = Path(os.environ["HOME"], ".netrc")
    path.write_text(f"machine {host} login netuser password netpass\n")
    path.chmod(0o600)


def decoded(request: Request) -> str:
    return base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()


def test_credentials_come_from_the_url_or_from_netrc(serve: Serve, http: HttpClient) -> None:
    netrc("127.0.0.1")
    server = serve(in_turn(Reply()))
    http.request("GET", server.url).close()
    http.request("GET", server.url.replace("//", "//user:p%40ss@")).close()
    http.request("GET", server.url, headers={"Authorization": "Bearer own"}).close()
    http.request("GET", server.url, netrc=False).close()
    assert decoded(server.requests[0]) == "netuser:netpass"
    assert decoded(server.requests[1]) == "user:p@ss"
    assert server.requests[2].headers["authorization"] == "Bearer own"
    assert "authorization" not in server.requests[3].headers


def test_netrc_is_not_used_for_where_a_redirect_leads(serve: Serve, http: HttpClient) -> None:
    netrc("127.0.0.1")
    other = serve(in_turn(Reply()))
    first = serve(in_turn(Reply(302, headers={"Location": other.url})))
    http.request("GET", first.url).close()
    assert "authorization" not in other.requests[0].headers


def test_a_proxy_is_used_but_not_for_loopback(serve: Serve, http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(in_turn(Reply(body=b"proxied")))
    server = serve(in_turn(Reply(body=b"direct")))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    with http.request("GET", "http://mirror.invalid/a") as response:
        assert response.body(limit_bytes=9) == b"proxied"
    with http.request("GET", server.url) as response:
        assert response.body(limit_bytes=9) == b"direct"
    assert [request.target for request in proxy.requests] == ["http://mirror.invalid/a"]


def test_nothing_is_compressed_on_the_way(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(Reply()))
    http.request("GET", server.url).close()
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_one_connection_serves_many_requests(serve: Serve, http: HttpClient) -> None:
    server = serve(in_turn(Reply(body=b"unread" * 100)))
    streams = set()
    for _ in range(3):
        http.request("GET", server.url).close()
        streams.add(id(server.requests[-1].stream))
    assert len(streams) == 1


def test_a_client_that_sends_nothing_imports_nothing() -> None:
    import subprocess  # noqa: PLC0415 - only here

    code = (
        "import sys, ocibuild.net.client, ocibuild.net.download, ocibuild.registry.registries, ocibuild.registry.push;"
        "ocibuild.net.client.HttpClient().close();"
        "print([name for name in ('requests', 'urllib3', 'ssl', 'zstandard', 'packaging', 'rich', 'pyoci', 'tomli') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
