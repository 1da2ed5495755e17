"""All registries that one run of the program talks to: connections, tokens and logins are shared."""

import threading
from dataclasses import replace

from ocibuild.core.events import EventSink, discard
from ocibuild.core.reference import Reference
from ocibuild.net.client import HttpClient
from ocibuild.net.download import Downloader
from ocibuild.registry.client import RegistryClient
from ocibuild.registry.credentials import CredentialSource
from ocibuild.registry.location import Endpoint, Locations
from ocibuild.registry.repository import Repository
from ocibuild.registry.source import RegistrySource
from ocibuild.registry.strategy import StrategyMemory
from ocibuild.registry.token import TokenCache
from ocibuild.store.store import Store

__all__ = ["Registries"]


class Registries:
    """Makes repositories and sources for references; safe for several threads.

    ``http`` is the caller's to close.
    """

    def __init__(
        self,
        *,
        http: HttpClient,
        credentials: CredentialSource,
        locations: Locations,
        store: Store,
        events: EventSink = discard,
    ) -> None:
        self._http = http
        self._credentials = credentials
        self._locations = locations
        self._store = store
        self._events = events
        self._tokens = TokenCache(http)
        self._memory = StrategyMemory(store.records)
        self._clients: dict[Endpoint, RegistryClient] = {}
        self._lock = threading.Lock()

    def repository(self, reference: Reference) -> Repository:
        """The reference's repository at the registry itself: where to push. UsageError where it is blocked here."""
        return self._repository(self._locations.primary(reference.registry, reference.repository))

    def source(self, reference: Reference) -> RegistrySource:
        """The reference's image to read, from the mirrors of containers-registries.conf(5) first."""
        target = reference.digest or reference.target
        endpoints = self._locations.readable(reference.registry, reference.repository, target)
        return RegistrySource(
            reference,
            [self._repository(endpoint) for endpoint in endpoints],
            http=self._http,
            blobs=self._store.blobs,
            downloader=Downloader(http=self._http, blobs=self._store.blobs, events=self._events),
        )

    def _repository(self, endpoint: Endpoint) -> Repository:
        with self._lock:
            # One host may be trusted in two ways, when a rule of registries.conf is for some of its repositories only.
            server = replace(endpoint, repository="")
            if server not in self._clients:
                self._clients[server] = RegistryClient(
                    server, credentials=self._credentials, http=self._http, tokens=self._tokens
                )
            client = self._clients[server]
        return Repository(client, endpoint.repository, memory=self._memory, events=self._events)
