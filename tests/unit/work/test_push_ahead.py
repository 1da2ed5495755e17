"""Layers that are sent while others are made."""

import threading
from pathlib import Path

import pytest

from ocibuild.core.descriptor import OCI_LAYER, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.events import Event
from ocibuild.core.reference import Reference
from ocibuild.net.client import HttpClient
from ocibuild.registry.credentials import ANONYMOUS
from ocibuild.registry.location import Locations
from ocibuild.registry.registries import Registries
from ocibuild.registry.repository import Repository
from ocibuild.store.store import Store
from ocibuild.work.layers import MadeLayer
from ocibuild.work.push_ahead import PushAhead
from tests.support.fake_registry import FakeRegistry, error
from tests.support.scripted_server import Reply, Request, ScriptedServer


def layer(store: Store, content: bytes) -> MadeLayer:
    digest = store.blobs.add(content)
    descriptor = Descriptor(OCI_LAYER, digest, len(content))
    return MadeLayer("layer", "", descriptor, digest, len(content), (), (), (), cached=False)


def repository(server: ScriptedServer, store: Store, events: list[Event]) -> Repository:
    http = HttpClient(events=events.append, sleep=lambda _: None)
    registries = Registries(http=http, credentials=ANONYMOUS, locations=Locations(), store=store)
    return registries.repository(Reference.parse(f"{server.host}/a/b"))


def test_layers_are_there_when_the_block_ends_and_each_is_sent_once(tmp_path: Path) -> None:
    store, registry = Store.at(tmp_path), FakeRegistry()
    contents = [b"first" * 1000, b"second" * 1000]
    with ScriptedServer(registry) as server:
        registry.url = server.url
        with PushAhead(repository(server, store, []), store) as ahead:
            for content in (*contents, *contents):
                ahead.add(layer(store, content))
    assert {content: registry.blobs["a/b", str(Digest.of(content))] for content in contents} == {
        content: content for content in contents
    }
    assert sum(line.startswith("POST") for line in registry.log) == len(contents)


def test_a_registry_that_refuses_is_asked_no_more_and_nothing_is_raised(tmp_path: Path) -> None:
    asked: list[str] = []

    def refuse(request: Request) -> Reply | None:
        asked.append(request.method)
        return error(403, "DENIED", "no") if request.method == "POST" else None

    store, registry = Store.at(tmp_path), FakeRegistry(before=refuse)
    with ScriptedServer(registry) as server:
        registry.url = server.url
        with PushAhead(repository(server, store, []), store) as ahead:
            for number in range(40):
                ahead.add(layer(store, b"%d" % number))
    assert registry.blobs == {}
    assert asked.count("POST") < 10  # as many as are sent at once, and no more


def test_a_build_that_fails_does_not_wait(tmp_path: Path) -> None:
    asked, ended, answered = threading.Event(), threading.Event(), []

    def slow(_: Request) -> Reply | None:
        asked.set()
        answered.append(ended.wait(20))
        return None

    store, registry = Store.at(tmp_path), FakeRegistry(before=slow)
    with ScriptedServer(registry) as server:
        registry.url = server.url
        with pytest.raises(BuildError), PushAhead(repository(server, store, []), store) as ahead:
            ahead.add(layer(store, b"content"))
            assert asked.wait(20)
            raise BuildError("the build fails")
        assert answered == []
        ended.set()
