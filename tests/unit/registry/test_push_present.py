"""Layers that the tag's image has already are not asked for again."""

from collections.abc import Callable

import pytest

from ocibuild.core.errors import RegistryError
from ocibuild.core.reference import Reference
from ocibuild.image.source import members
from ocibuild.layer.entry import Entry
from ocibuild.registry.push import copy_image
from ocibuild.registry.repository import Repository
from tests.support.fake_registry import FakeRegistry, error
from tests.support.made_images import MadeImage, MemorySource
from tests.support.scripted_server import Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]
BASE = [Entry.file("etc/motd", b"hello")]


def image(text: bytes) -> MemorySource:
    return MadeImage([BASE, [Entry.file("app", text)]]).source()


def push(source: MemorySource, repository: Repository, folder_of: Callable[..., object], **options: object) -> None:
    copy_image(
        source,
        repository,
        Reference.parse("registry.example.org/a/b:tag"),
        fetch_blob=folder_of(source),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def folder_of(tmp_path):  # type: ignore[no-untyped-def]
    """Gives the blobs of a source as files."""

    def of(source: MemorySource):  # type: ignore[no-untyped-def]
        def fetch(descriptor):  # type: ignore[no-untyped-def]
            path = tmp_path / descriptor.digest.hex
            path.write_bytes(source.blobs[str(descriptor.digest)])
            return path

        return fetch

    return of


def test_only_what_is_new_is_asked_for(serve: Serve, repository, folder_of) -> None:  # type: ignore[no-untyped-def]
    registry = FakeRegistry()
    server = serve(registry)
    registry.url = server.url
    target = repository(server)
    first, second = image(b"one"), image(b"two")
    push(first, target, folder_of)
    registry.log.clear()
    present = [member.descriptor.digest for member in members(first)]
    push(second, target, folder_of, present=present)
    asked = [line for line in registry.log if line.startswith("HEAD")]
    assert len(asked) == 2  # the new layer and the new configuration
    assert registry.manifests["a/b", "tag"][1] == second.top.content


def test_what_the_registry_lost_is_sent_after_all(serve: Serve, repository, folder_of) -> None:  # type: ignore[no-untyped-def]
    def forgetful(request: Request) -> Reply | None:
        is_manifest = request.method == "PUT" and "/manifests/" in request.path
        lost = ("a/b", str(layers[0].digest)) not in registry.blobs
        return error(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown") if is_manifest and lost else None

    registry = FakeRegistry(before=forgetful)
    server = serve(registry)
    registry.url = server.url
    source = image(b"one")
    layers = [member.descriptor for member in members(source) if member.document is None]
    push(source, repository(server), folder_of, present=[layers[0].digest])
    assert {str(layer.digest) for layer in layers} <= {digest for _, digest in registry.blobs}
    assert registry.manifests["a/b", "tag"][1] == source.top.content


def test_another_refusal_is_raised(serve: Serve, repository, folder_of) -> None:  # type: ignore[no-untyped-def]
    def refuse(request: Request) -> Reply | None:
        return error(403, "DENIED", "no") if request.method == "PUT" and "/manifests/" in request.path else None

    registry = FakeRegistry(before=refuse)
    server = serve(registry)
    registry.url = server.url
    with pytest.raises(RegistryError, match="403"):
        push(image(b"one"), repository(server), folder_of, present=[next(members(image(b"one"))).descriptor.digest])
