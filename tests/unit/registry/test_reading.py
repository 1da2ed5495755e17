"""Reading from registries that break, lie and redirect, and through mirrors."""

import json
import random
from collections.abc import Callable

import pytest

from ocibuild.core.descriptor import DOCKER_MANIFEST, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, NetworkError, RegistryError, UsageError
from ocibuild.core.reference import Reference
from ocibuild.image.document import Document
from ocibuild.registry.credentials import ANONYMOUS, Credential, ExplicitCredential
from ocibuild.registry.location import Locations
from ocibuild.registry.referrers import list_referrers
from ocibuild.registry.registries import Registries
from ocibuild.registry.registries_conf import Mirror, RegistriesConf, RegistryRule
from ocibuild.registry.repository import Repository
from ocibuild.registry.source import RegistrySource
from ocibuild.store.store import Store
from tests.support.fake_registry import FakeRegistry, ranged
from tests.support.scripted_server import HANG_UP, Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]
MakeRepository = Callable[..., Repository]
DATA = random.Random(4).randbytes(1_000_000)
LAYER = Descriptor(OCI_LAYER, Digest.of(DATA), len(DATA))
MANIFEST = Document.of(
    OCI_MANIFEST,
    json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": LAYER.to_json(), "layers": [LAYER.to_json()]}
    ).encode(),
)


def filled() -> FakeRegistry:
    registry = FakeRegistry()
    registry.blobs["a/b", str(LAYER.digest)] = DATA
    for target in ("1", str(MANIFEST.descriptor.digest)):
        registry.manifests["a/b", target] = (OCI_MANIFEST, MANIFEST.content)
    return registry


def source_of(
    registries: Callable[..., Registries], server: ScriptedServer, target: str = ":1", credentials: object = ANONYMOUS
) -> RegistrySource:
    return registries(credentials).source(Reference.parse(f"{server.host}/a/b{target}"))


@pytest.fixture(params=["open", "fetch"])
def read(request: pytest.FixtureRequest) -> Callable[[RegistrySource], bytes]:
    """Both ways to read a layer."""

    def opened(source: RegistrySource) -> bytes:
        with source.open_blob(LAYER) as stream:
            return stream.read()

    return opened if request.param == "open" else lambda source: source.fetch_blob(LAYER).read_bytes()


Read = Callable[[RegistrySource], bytes]


def blob_answers(*replies: Callable[[Request], Reply] | Reply) -> FakeRegistry:
    """A registry whose first answers to GETs of blobs are these, and the usual ones afterwards."""
    left = list(replies)

    def before(request: Request) -> Reply | None:
        if "/blobs/" not in request.path or not left:
            return None
        reply = left.pop(0)
        return reply(request) if callable(reply) else reply

    registry = filled()
    registry.before = before
    return registry


def test_a_layer_goes_on_where_it_broke_off(serve: Serve, registries: Callable[..., Registries], read: Read) -> None:
    def cut(after: int) -> Callable[[Request], Reply]:
        def reply(request: Request) -> Reply:
            whole = ranged(request, DATA)
            return Reply(whole.status, whole.body, whole.headers, cut_after=after)

        return reply

    server = serve(blob_answers(cut(300_000), HANG_UP, cut(10), cut(400_000)))
    assert read(source_of(registries, server)) == DATA
    assert any(request.headers.get("range", "") > "bytes=2" for request in server.requests)


def test_a_registry_without_ranges(serve: Serve, registries: Callable[..., Registries], read: Read) -> None:
    server = serve(
        blob_answers(Reply(body=DATA, cut_after=600_000), Reply(body=DATA, cut_after=100_000), Reply(body=DATA))
    )
    assert read(source_of(registries, server)) == DATA


def test_other_bytes_after_a_break(serve: Serve, registries: Callable[..., Registries]) -> None:
    server = serve(blob_answers(Reply(body=DATA, cut_after=600_000), Reply(body=bytes(len(DATA)))))
    with source_of(registries, server).open_blob(LAYER) as stream, pytest.raises(IntegrityError):
        stream.read()


def test_wrong_bytes(serve: Serve, registries: Callable[..., Registries], read: Read, store: Store) -> None:
    server = serve(blob_answers(Reply(body=bytes(len(DATA)))))
    with pytest.raises(IntegrityError, match=f"expected {LAYER.digest}, got sha256:"):
        read(source_of(registries, server))
    assert LAYER.digest not in store.blobs


def test_too_many_bytes(serve: Serve, registries: Callable[..., Registries], read: Read) -> None:
    server = serve(blob_answers(Reply(body=DATA + bytes(1 << 20))))
    with pytest.raises(IntegrityError, match=r"longer|more than"):
        read(source_of(registries, server))


@pytest.mark.parametrize("length", [None, len(DATA)])
def test_too_few_bytes(serve: Serve, registries: Callable[..., Registries], read: Read, length: int | None) -> None:
    """Short for good, with an honest Content-Length and with a lying one."""
    server = serve(blob_answers(*[Reply(body=DATA[:1000], length=length)] * 20))
    with pytest.raises(NetworkError) as caught:
        read(source_of(registries, server))
    assert caught.value.temporary


def test_a_redirect_to_storage_carries_no_credentials(
    serve: Serve, registries: Callable[..., Registries], read: Read
) -> None:
    storage = serve(lambda request: ranged(request, DATA) if request.query["X-Signature"] else Reply(403))
    registry = filled()

    def before(request: Request) -> Reply | None:
        if request.headers.get("authorization") is None:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        return Reply(307, headers={"Location": f"{storage.url}/x?X-Signature=s"}) if "/blobs/" in request.path else None

    registry.before = before
    server = serve(registry)
    credentials = ExplicitCredential(server.host, Credential("user", "secret"))
    assert read(source_of(registries, server, credentials=credentials)) == DATA
    assert storage.requests
    assert all("authorization" not in request.headers for request in storage.requests)


def test_a_401_of_storage_is_not_answered_with_credentials(serve: Serve, registries: Callable[..., Registries]) -> None:
    storage = serve(lambda _: Reply(401, headers={"WWW-Authenticate": 'Basic realm="give me"'}))
    server = serve(blob_answers(*[Reply(307, headers={"Location": storage.url})] * 3))
    credentials = ExplicitCredential(server.host, Credential("user", "secret"))
    with pytest.raises(NetworkError):
        source_of(registries, server, credentials=credentials).open_blob(LAYER)
    assert all("authorization" not in request.headers for request in [*storage.requests, *server.requests])


def test_manifests(serve: Serve, repository: MakeRepository) -> None:
    repo = repository(serve(filled()))
    assert repo.get_manifest("1") == MANIFEST
    assert repo.head_manifest("1") == MANIFEST.descriptor
    assert repo.head_manifest("2") is None


def test_all_types_are_accepted(serve: Serve, repository: MakeRepository) -> None:
    server = serve(filled())
    repository(server).get_manifest("1")
    accepted = server.requests[-1].headers["accept"]
    assert accepted.count("application/vnd.oci.image") == 2
    assert accepted.count("application/vnd.docker.distribution.manifest") == 2


def test_a_head_without_digest_is_followed_by_a_get(serve: Serve, repository: MakeRepository) -> None:
    registry = filled()
    registry.before = lambda request: Reply(200) if request.method == "HEAD" else None
    assert repository(serve(registry)).head_manifest("1") == MANIFEST.descriptor


@pytest.mark.parametrize(
    ("told", "error"),
    [(str(Digest.of(b"other")), IntegrityError), ("md5:1", RegistryError), ("sha256:zz", RegistryError)],
)
def test_a_manifest_of_another_digest(
    serve: Serve, repository: MakeRepository, told: str, error: type[Exception]
) -> None:
    registry = filled()
    registry.before = lambda request: (
        Reply(body=MANIFEST.content, headers={"Docker-Content-Digest": told}) if "manifests" in request.path else None
    )
    with pytest.raises(error):
        repository(serve(registry)).get_manifest("1")


def test_a_manifest_that_is_not_what_its_digest_says(serve: Serve, repository: MakeRepository) -> None:
    registry = filled()
    registry.before = lambda request: Reply(body=MANIFEST.content + b" ") if "manifests" in request.path else None
    with pytest.raises(IntegrityError):
        repository(serve(registry)).get_manifest(MANIFEST.descriptor.digest)
    assert repository(serve(filled())).get_manifest(MANIFEST.descriptor.digest) == MANIFEST


def test_a_manifest_without_end(serve: Serve, repository: MakeRepository) -> None:
    registry = filled()
    registry.before = lambda request: Reply(body=bytes(5 << 20)) if "manifests" in request.path else None
    with pytest.raises(NetworkError, match="longer than"):
        repository(serve(registry)).get_manifest("1")


def test_the_type_is_the_documents_own(serve: Serve, repository: MakeRepository) -> None:
    registry = filled()
    content = MANIFEST.content.replace(OCI_MANIFEST.encode(), DOCKER_MANIFEST.encode())
    registry.manifests["a/b", "1"] = ("text/plain", content)
    assert repository(serve(registry)).get_manifest("1").descriptor.media_type == DOCKER_MANIFEST
    without = json.dumps({"schemaVersion": 2}).encode()
    registry.manifests["a/b", "1"] = (OCI_MANIFEST + "; charset=utf-8", without)
    assert repository(serve(registry)).get_manifest("1").descriptor.media_type == OCI_MANIFEST


@pytest.mark.parametrize("kind", ["", "text/plain"])
def test_a_manifest_without_any_type(serve: Serve, repository: MakeRepository, kind: str) -> None:
    registry = filled()
    for target, fields, expected in (
        ("m", {"config": {}, "layers": []}, OCI_MANIFEST),
        ("i", {"manifests": []}, OCI_INDEX),
    ):
        registry.manifests["a/b", target] = (kind, json.dumps({"schemaVersion": 2, **fields}).encode())
        assert repository(serve(registry)).get_manifest(target).descriptor.media_type == expected


def test_what_the_store_has_is_not_asked_for(serve: Serve, registries: Callable[..., Registries], store: Store) -> None:
    server = serve(filled())
    store.blobs.add(MANIFEST.content)
    store.blobs.add(DATA)
    source = source_of(registries, server, f"@{MANIFEST.descriptor.digest}")
    assert source.root() == MANIFEST
    assert source.document(MANIFEST.descriptor) == MANIFEST
    with source.open_blob(LAYER) as stream:
        assert stream.read() == DATA
    assert source.fetch_blob(LAYER) == source.blob_path(LAYER)
    assert server.requests == []


def test_the_root_is_asked_for_once(serve: Serve, registries: Callable[..., Registries]) -> None:
    server = serve(filled())
    source = source_of(registries, server)
    assert source.root() is source.root()
    assert source.name == f"{server.host}/a/b:1"


# -- listings --


def test_tags_in_pages(serve: Serve, repository: MakeRepository) -> None:
    def answer(request: Request) -> Reply:
        last = request.query.get("last", [""])[0]
        following = {"": "b", "b": "d"}.get(last)
        link = {"Link": f'</v2/a/b/tags/list?last={following}&n=2>; rel="next"'} if following else {}
        tags = {"": ["a", "b"], "b": ["c", "d"], "d": None}[last]
        return Reply(body=json.dumps({"name": "a/b", "tags": tags}).encode(), headers=link)

    assert list(repository(serve(answer)).tags()) == ["a", "b", "c", "d"]


def test_a_listing_without_end(serve: Serve, repository: MakeRepository) -> None:
    server = serve(lambda _: Reply(body=b'{"tags": []}', headers={"Link": '<?last=x>; rel="next"'}))
    with pytest.raises(RegistryError, match="pages"):
        list(repository(server).tags())


def test_a_page_elsewhere_gets_no_credentials(serve: Serve, repository: MakeRepository) -> None:
    other = serve(lambda _: Reply(body=b'{"tags": ["x"]}'))

    def answer(request: Request) -> Reply:
        if "authorization" not in request.headers:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        return Reply(body=b'{"tags": ["a"]}', headers={"Link": f'<{other.url}/tags>; rel="next"'})

    server = serve(answer)
    credentials = ExplicitCredential(server.host, Credential("user", "secret"))
    assert list(repository(server, credentials).tags()) == ["a", "x"]
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"tags": 5}'])
def test_a_malformed_listing(serve: Serve, repository: MakeRepository, body: bytes) -> None:
    repo = repository(serve(lambda _: Reply(body=body)))
    if body == b'{"tags": 5}':
        assert list(repo.tags()) == []
    else:
        with pytest.raises(RegistryError):
            list(repo.tags())


def test_referrers_of_the_api(serve: Serve, repository: MakeRepository) -> None:
    entry = MANIFEST.descriptor.to_json() | {"artifactType": "application/x-sbom"}

    def answer(request: Request) -> Reply:
        if request.path == f"/v2/a/b/referrers/{LAYER.digest}":
            return Reply(body=json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        return Reply(200 if request.path == "/v2/" else 404)

    repo = repository(serve(answer))
    (found,) = list_referrers(repo, LAYER.digest)
    assert (found.descriptor.digest, found.artifact_type) == (MANIFEST.descriptor.digest, "application/x-sbom")
    assert list_referrers(repo, LAYER.digest, artifact_type="other") == []
    assert list_referrers(repo, MANIFEST.descriptor.digest) == []


# -- errors --


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(403, b'{"errors": [{"code": "DENIED", "message": "requested\\naccess"}]}'),
            "403 Forbidden: DENIED requested access",
        ),
        (Reply(404, b'{"errors": []}'), "404 Not Found"),
        (Reply(404, b"<html>secret page</html>", {"Content-Type": "text/html"}), "404 Not Found"),
        (Reply(400, b"Client sent an HTTP request\x1b[31m"), "400 Bad Request: Client sent an HTTP request [31m"),
        (Reply(404, b'{"errors": "x"}'), "404 Not Found"),
    ],
)
def test_the_registrys_own_words(serve: Serve, repository: MakeRepository, reply: Reply, words: str) -> None:
    with pytest.raises(RegistryError) as caught:
        repository(serve(lambda request: Reply() if request.path == "/v2/" else reply)).get_manifest("1")
    assert caught.value.message.endswith(words)


def test_a_registry_that_is_busy_for_good(serve: Serve, repository: MakeRepository, waits: list[float]) -> None:
    server = serve(lambda request: Reply() if request.path == "/v2/" else Reply(429, headers={"Retry-After": "2"}))
    with pytest.raises(RegistryError) as caught:
        repository(server).get_manifest("1")
    assert caught.value.temporary
    assert "limits" in (caught.value.hint or "")
    assert waits == [2.0] * 4


# -- mirrors --


def rules(*mirrors: Mirror, registry: ScriptedServer, blocked: bool = False) -> Locations:
    return Locations(
        RegistriesConf((RegistryRule(f"{registry.host}/a", f"{registry.host}/a", is_blocked=blocked, mirrors=mirrors),))
    )


def test_mirrors_come_first_and_get_no_credentials_of_the_registry(
    serve: Serve, registries: Callable[..., Registries]
) -> None:
    mirrored = filled()
    mirrored.blobs["copy/b", str(LAYER.digest)] = DATA
    mirrored.manifests["copy/b", "1"] = (OCI_MANIFEST, MANIFEST.content)
    mirror, registry = serve(mirrored), serve(lambda _: Reply(500))
    locations = rules(Mirror(f"{mirror.host}/copy"), registry=registry)
    credentials = ExplicitCredential(registry.host, Credential("user", "secret"))
    source = registries(credentials, locations).source(Reference.parse(f"{registry.host}/a/b:1"))
    assert source.root() == MANIFEST
    with source.open_blob(LAYER) as stream:
        assert stream.read() == DATA
    assert registry.requests == []
    assert all("authorization" not in request.headers for request in mirror.requests)


def test_a_mirror_that_fails_or_lies_is_passed_over(serve: Serve, registries: Callable[..., Registries]) -> None:
    def lies(request: Request) -> Reply:
        return (
            Reply(body=b"{}", headers={"Docker-Content-Digest": str(MANIFEST.descriptor.digest)})
            if request.path != "/v2/"
            else Reply()
        )

    empty, lying, registry = serve(FakeRegistry()), serve(lies), serve(filled())
    locations = rules(Mirror(f"{empty.host}/a"), Mirror(f"{lying.host}/a"), registry=registry)
    source = registries(ANONYMOUS, locations).source(Reference.parse(f"{registry.host}/a/b:1"))
    assert source.root() == MANIFEST
    assert source.fetch_blob(LAYER).read_bytes() == DATA


def test_pushing_goes_past_mirrors_and_blocked_registries_are_refused(
    serve: Serve, registries: Callable[..., Registries]
) -> None:
    mirror, registry = serve(filled()), serve(filled())
    locations = rules(Mirror(f"{mirror.host}/a"), registry=registry)
    made = registries(ANONYMOUS, locations)
    made.repository(Reference.parse(f"{registry.host}/a/b")).put_manifest(MANIFEST, "2")
    assert mirror.requests == []
    with pytest.raises(UsageError, match="blocked"):
        registries(ANONYMOUS, rules(registry=registry, blocked=True)).source(Reference.parse(f"{registry.host}/a/b"))


def test_a_mirror_that_fails_is_asked_once(serve: Serve, registries: Callable[..., Registries]) -> None:
    broken, registry = serve(lambda request: Reply(403)), serve(filled())
    locations = rules(Mirror(f"{broken.host}/a"), registry=registry)
    source = registries(ANONYMOUS, locations).source(Reference.parse(f"{registry.host}/a/b:1"))
    source.root()
    asked = len(broken.requests)
    source.fetch_blob(LAYER)
    assert len(broken.requests) == asked


def test_one_host_trusted_in_two_ways(serve: Serve, registries: Callable[..., Registries]) -> None:
    server = serve(filled())
    rule = RegistryRule(f"{server.host}/loose", f"{server.host}/loose", is_insecure=True)
    made = registries(ANONYMOUS, Locations(RegistriesConf((rule,))))
    loose, strict, again = (
        made.repository(Reference.parse(f"{server.host}/{name}")) for name in ("loose/a", "strict/a", "loose/b")
    )
    assert not loose.client.endpoint.trust.is_verified
    assert strict.client.endpoint.trust.is_verified
    assert again.client is loose.client
