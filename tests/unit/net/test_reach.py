"""Proxies, trust and logins that belong to some servers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.errors import NetworkError
from ocibuild.net.client import HttpClient
from ocibuild.net.reach import Login, Reach
from ocibuild.net.trust import Trust
from tests.support.registry_server import CertificateAuthority, RegistryServer
from tests.support.scripted_server import Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]


@pytest.mark.parametrize(
    ("login", "url", "fits"),
    [
        (Login("mirror.test", "u", "p"), "https://mirror.test/debian/x", True),
        (Login("mirror.test", "u", "p"), "https://mirror.test:443/", True),
        (Login("mirror.test", "u", "p"), "http://mirror.test/debian", False),
        (Login("mirror.test", "u", "p"), "https://mirror.test:8443/", False),
        (Login("mirror.test", "u", "p"), "https://sub.mirror.test/", False),
        (Login("mirror.test", "u", "p", port=8443), "https://mirror.test:8443/", True),
        (Login("mirror.test", "u", "p", port=8443), "https://mirror.test/", False),
        (Login("mirror.test", "u", "p", path="/debian"), "https://mirror.test/debian", True),
        (Login("mirror.test", "u", "p", path="/debian/"), "https://mirror.test/debian/pool/x", True),
        (Login("mirror.test", "u", "p", path="/debian"), "https://mirror.test/debian-security/x", False),
        (Login("mirror.test", "u", "p", schemes=("http",)), "http://mirror.test/", True),
    ],
)
def test_whom_a_login_is_for(login: Login, url: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    assert login.fits(url) is fits


def test_a_password_is_not_shown() -> None:
    assert "hidden" not in repr(Reach(logins=(Login("mirror.test", "me", "hidden"),)))


def test_a_login_is_sent_to_its_server_alone(serve: Serve, http: HttpClient) -> None:
    server = serve(lambda _: Reply())
    other = serve(lambda _: Reply(302, headers={"Location": server.url}))
    host, _, port = server.host.partition(":")
    login = Login(host, "user", "secret", port=int(port), schemes=("http",))
    client = http.reaching(Reach(logins=(login,)))
    client.request("GET", server.url).close()
    client.request("GET", other.url).close()  # which sends us on to the first
    http.request("GET", server.url).close()
    assert [request.headers.get("authorization", "")[:6] for request in server.requests] == ["Basic ", "", ""]
    assert "authorization" not in other.requests[0].headers


def test_proxies_by_scheme_and_by_host(serve: Serve, http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, special, other = (serve(lambda _: Reply()) for _ in range(3))
    monkeypatch.setenv("http_proxy", other.url)
    client = http.reaching(
        Reach({"http": usual.url, "http://special.invalid": special.url, "http://direct.invalid": ""})
    )
    client.request("GET", "http://mirror.invalid/a").close()
    client.request("GET", "http://special.invalid/b").close()
    http.request("GET", "http://mirror.invalid/c").close()
    assert [request.target for request in usual.requests] == ["http://mirror.invalid/a"]
    assert [request.target for request in special.requests] == ["http://special.invalid/b"]
    assert [request.target for request in other.requests] == ["http://mirror.invalid/c"]
    with pytest.raises(NetworkError, match="cannot be resolved"):
        client.request("GET", "http://direct.invalid/d", retry=False)
    monkeypatch.setenv("no_proxy", ".invalid")
    with pytest.raises(NetworkError, match="cannot be resolved"):
        client.request("GET", "http://mirror.invalid/e", retry=False)


@pytest.mark.registry
def test_trust_by_host(http: HttpClient, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "authority")
    with RegistryServer(tmp_path / "registry", tls=authority) as server:
        url = f"https://{server.host}/v2/"
        with pytest.raises(NetworkError, match="not trusted"):
            http.request("GET", url)
        for reach in (
            Reach(trusts={"": Trust(authority.ca_file)}),
            Reach(trusts={"127.0.0.1": Trust(authority.ca_file), "": Trust(Path("/etc/hostname"))}),
            Reach(unverified=frozenset({"127.0.0.1"})),
            Reach(unverified=frozenset({server.host})),
        ):
            with http.reaching(reach).request("GET", url) as response:
                assert response.status == 200
        with pytest.raises(NetworkError, match="not trusted"):
            http.reaching(Reach(unverified=frozenset({"127.0.0.1:1"}))).request("GET", url)
