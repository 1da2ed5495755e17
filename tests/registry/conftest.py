from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ocibuild.core.events import Event
from ocibuild.net.client import HttpClient
from ocibuild.registry.credentials import ANONYMOUS, Credential, CredentialSource, ExplicitCredential
from ocibuild.registry.location import Locations
from ocibuild.registry.registries import Registries
from ocibuild.store.store import Store
from tests.support.registry_server import CertificateAuthority, RegistryServer, TokenServer

USER, PASSWORD = "user", "pass:word"


@pytest.fixture(autouse=True)
def _no_foreign_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("plain")) as server:
        yield server


@pytest.fixture(scope="session")
def with_passwords(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("htpasswd"), htpasswd={USER: PASSWORD}) as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def encrypted(tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("tls"), tls=authority, htpasswd={USER: PASSWORD}) as server:
        yield server


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    folder = tmp_path_factory.mktemp("tokens")
    with TokenServer(folder, users={USER: PASSWORD}, identity_tokens={"identity": USER}) as server:
        yield server


@pytest.fixture(scope="session")
def with_tokens(tmp_path_factory: pytest.TempPathFactory, tokens: TokenServer) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("token-registry"), tokens=tokens) as server:
        yield server


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "store")


MakeRegistries = Callable[..., Registries]


@pytest.fixture
def registries(store: Store, events: list[Event], waits: list[float]) -> Iterator[MakeRegistries]:
    """Makes the program's view of registries, with these credentials, locations and authorities."""
    with ExitStack() as stack:

        def make(
            credentials: CredentialSource = ANONYMOUS,
            *,
            locations: Locations | None = None,
            ca_file: Path | None = None,
        ) -> Registries:
            http = stack.enter_context(HttpClient(ca_file=ca_file, events=events.append, sleep=waits.append))
            return Registries(
                http=http,
                credentials=credentials,
                locations=locations or Locations(),
                store=store,
                events=events.append,
            )

        yield make


@pytest.fixture
def login() -> Callable[[RegistryServer], ExplicitCredential]:
    return lambda server: ExplicitCredential(server.host, Credential(USER, PASSWORD))
