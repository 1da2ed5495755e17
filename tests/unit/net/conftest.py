from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ocibuild.core.events import Event
from ocibuild.net.client import HttpClient
from ocibuild.net.policy import HttpPolicy
from tests.support.scripted_server import Reply, Request, ScriptedServer


@pytest.fixture(autouse=True)
def _no_foreign_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def http(events: list[Event], waits: list[float]) -> Iterator[HttpClient]:
    with HttpClient(HttpPolicy(read_timeout_seconds=5), events=events.append, sleep=waits.append) as client:
        yield client


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Request], Reply]], ScriptedServer]]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(ScriptedServer(answer))
