from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ocibuild.core.events import Event
from ocibuild.core.reference import Reference
from ocibuild.net.client import HttpClient
from ocibuild.registry.credentials import ANONYMOUS, CredentialSource
from ocibuild.registry.location import Locations
from ocibuild.registry.registries import Registries
from ocibuild.registry.repository import Repository
from ocibuild.store.store import Store
from tests.support.scripted_server import Reply, Request, ScriptedServer


@pytest.fixture(autouse=True)
def _no_foreign_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "store")


@pytest.fixture
def http(events: list[Event], waits: list[float]) -> Iterator[HttpClient]:
    with HttpClient(events=events.append, sleep=waits.append) as client:
        yield client


@pytest.fixture
def registries(http: HttpClient, store: Store, events: list[Event]) -> Callable[..., Registries]:
    def make(credentials: CredentialSource = ANONYMOUS, locations: Locations | None = None) -> Registries:
        return Registries(
            http=http, credentials=credentials, locations=locations or Locations(), store=store, events=events.append
        )

    return make


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Request], Reply]], ScriptedServer]]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(ScriptedServer(answer))


@pytest.fixture
def repository(registries: Callable[..., Registries]) -> Callable[..., Repository]:
    """The repository ``a/b`` at a scripted server."""
    return lambda server, credentials=ANONYMOUS: registries(credentials).repository(
        Reference.parse(f"{server.host}/a/b")
    )
