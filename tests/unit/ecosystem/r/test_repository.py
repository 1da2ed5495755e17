import gzip
from datetime import date

import pytest

from ocibuild.core.errors import IntegrityError, NetworkError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.r.repository import read_index, snapshot_address
from ocibuild.ecosystem.r.target import RTarget, debian_r
from ocibuild.net.client import HttpClient
from ocibuild.spec.r_description import BuiltWith
from tests.support.scripted_server import Reply, Request, ScriptedServer

AMD, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
TEXT = b"Package: a\nVersion: 1.0\n\n\nPackage: b\nVersion: 2.0\nImports: a,\n        c\n"
TARGET = RTarget("4.2.2", "lib", AMD, "bookworm")


def test_addresses_of_snapshots() -> None:
    day = date(2024, 1, 10)
    base = "https://p.example.org/cran/"
    assert snapshot_address(base, codename="bookworm", day=day) == (
        "https://p.example.org/cran/__linux__/bookworm/2024-01-10"
    )
    assert snapshot_address(base, codename="noble", day=None) == "https://p.example.org/cran/__linux__/noble/latest"
    assert snapshot_address(base, codename="", day=day) == "https://p.example.org/cran/2024-01-10"


def test_user_agents() -> None:
    assert TARGET.user_agent == "R/4.2.2 R (4.2.2 x86_64-pc-linux-gnu x86_64 linux-gnu)"
    arm = RTarget("4.5.0", "lib", ARM, "trixie")
    assert arm.user_agent == "R/4.5.0 R (4.5.0 aarch64-unknown-linux-gnu aarch64 linux-gnu)"


@pytest.mark.parametrize(
    ("built", "refusal"),
    [
        ("R 4.2.2; x86_64-pc-linux-gnu; 2024-01-01 00:00:00 UTC; unix", ""),
        ("R 4.2.0; ; 2024-01-01 00:00:00 UTC; unix", ""),
        ("R 4.2.3; x86_64-redhat-linux-gnu; 2024; unix", ""),
        ("R 4.3.1; ; 2024-01-01 00:00:00 UTC; unix", "was built with R 4.3.1, and the image has R 4.2.2"),
        ("R 4.2.2; aarch64-unknown-linux-gnu; 2024; unix", "was built for aarch64-unknown-linux-gnu"),
        ("R 4.2.2; x86_64-apple-darwin17.0; 2024; unix", "was built for x86_64-apple-darwin17.0"),
    ],
)
def test_what_a_package_was_built_with(built: str, refusal: str) -> None:
    said = TARGET.refusal(BuiltWith.parse(built))
    assert said.startswith(refusal)
    assert bool(said) == bool(refusal)


@pytest.mark.parametrize("built", ["", "R 4.2; ; 2024; unix", "R 4.2.2; x86_64-w64-mingw32; 2024; windows"])
def test_malformed_built_fields(built: str) -> None:
    with pytest.raises(ValueError, match="its field Built"):
        BuiltWith.parse(built)


def test_the_r_of_debian() -> None:
    versions = {"4.2.2.20221110-2+deb12u1": "4.2.2", "4.5.0-3": "4.5.0", "1:4.1.2-1ubuntu2": "4.1.2"}
    for version, expected in versions.items():
        target = debian_r(version, platform=AMD, codename="")
        assert target is not None
        assert target.version == expected
    assert debian_r("4.x", platform=AMD, codename="") is None


def test_an_index() -> None:
    answers = {"/src/contrib/PACKAGES.gz": gzip.compress(TEXT), "/plain/src/contrib/PACKAGES": TEXT}

    def answer(request: Request) -> Reply:
        body = answers.get(request.path)
        return Reply(404) if body is None else Reply(body=body)

    with ScriptedServer(answer) as server, HttpClient() as http:
        for address in (server.url, f"{server.url}/plain"):
            index = read_index(http, address)
            assert index.names == ["a", "b"]
            (record,) = index.get("b")
            assert [str(each) for each in record.needs] == ["a", "c"]
            assert index.get("c") == []
        with pytest.raises(NetworkError, match="404"):
            read_index(http, f"{server.url}/nowhere")


@pytest.mark.parametrize(
    "body", [gzip.compress(TEXT)[:-9], gzip.compress(TEXT)[:20] + b"rubbish" * 9], ids=["cut", "rubbish"]
)
def test_a_broken_index(body: bytes) -> None:
    with ScriptedServer(lambda _: Reply(body=body)) as server, HttpClient() as http, pytest.raises(IntegrityError):
        read_index(http, server.url)


def test_what_the_client_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with ScriptedServer(lambda _: Reply(body=TEXT)) as server, HttpClient() as http:
        read_index(http.sending({"User-Agent": TARGET.user_agent}), server.url)
        assert {request.headers["user-agent"] for request in server.requests} == {TARGET.user_agent}
