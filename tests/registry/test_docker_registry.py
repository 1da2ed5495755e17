"""The client against Debian's docker-registry: open, with htpasswd, with a token server, with TLS."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, MachineError, NetworkError, RegistryError
from ocibuild.core.events import Event, TaskAdvanced, TaskFinished, TaskStarted
from ocibuild.core.platform import Platform
from ocibuild.core.reference import Reference
from ocibuild.image.document import Document, canonical_json
from ocibuild.net.probe import ProbeLogin, probe_manifest
from ocibuild.registry.content import BlobContent
from ocibuild.registry.credentials import ANONYMOUS, Credential, CredentialChain, ExplicitCredential
from ocibuild.registry.freshness import probe_tag
from ocibuild.registry.location import Locations
from ocibuild.registry.push import copy_image, upload_blobs
from ocibuild.registry.referrers import list_referrers, put_referrer
from ocibuild.registry.registries import Registries
from ocibuild.registry.repository import PushOutcome, Repository
from ocibuild.registry.strategy import PART_BYTES, StrategyMemory, Upload, UploadForm
from ocibuild.store.store import Store
from tests.support.made_images import MadeImage
from tests.support.registry_server import CertificateAuthority, RegistryServer, TokenServer

pytestmark = pytest.mark.registry
MakeRegistries = Callable[..., Registries]
Login = Callable[[RegistryServer], ExplicitCredential]
SEED = random.Random(7)


def content(size_bytes: int = 300_000) -> BlobContent:
    data = SEED.randbytes(size_bytes)
    return BlobContent(Descriptor(OCI_LAYER, Digest.of(data), len(data)), data)


def data_of(blob: BlobContent) -> bytes:
    assert isinstance(blob.where, bytes)
    return blob.where


def push_image(
    repository: Repository, tag: str = "latest", *, layer_bytes: int = 200_000
) -> tuple[Document, list[BlobContent]]:
    """A small image, pushed as it should be: blobs first."""
    layers = [content(layer_bytes), content(10)]
    configuration = Document.of(
        OCI_CONFIG,
        canonical_json(
            {
                "architecture": "amd64",
                "os": "linux",
                "seed": SEED.random(),
                "rootfs": {"type": "layers", "diff_ids": [str(layer.descriptor.digest) for layer in layers]},
            }
        ),
    )
    blobs = [*layers, BlobContent(configuration.descriptor, configuration.content)]
    assert {outcome for _, outcome in upload_blobs(repository, blobs)} == {PushOutcome.UPLOADED}
    manifest = Document.of(
        OCI_MANIFEST,
        canonical_json({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": configuration.descriptor.to_json(),
            "layers": [layer.descriptor.to_json() for layer in layers],
        }),
    )  # fmt: skip
    repository.put_manifest(manifest, tag)
    return manifest, blobs


def reference(server: RegistryServer, name: str) -> Reference:
    return Reference.parse(f"{server.host}/{name}")


@pytest.mark.parametrize("kind", ["plain", "with_passwords", "with_tokens", "encrypted"])
def test_an_image_goes_in_and_comes_out(
    kind: str,
    request: pytest.FixtureRequest,
    registries: MakeRegistries,
    login: Login,
    store: Store,
    authority: CertificateAuthority,
) -> None:
    server: RegistryServer = request.getfixturevalue(kind)
    made = registries(
        ANONYMOUS if kind == "plain" else login(server), ca_file=authority.ca_file if kind == "encrypted" else None
    )
    where = reference(server, f"team/round-{kind}:1.0")
    repository = made.repository(where)
    repository.client.ping()
    assert repository.head_manifest("1.0") is None
    manifest, blobs = push_image(repository, "1.0")
    assert repository.head_manifest("1.0") == manifest.descriptor
    assert repository.get_manifest("1.0") == manifest
    assert repository.get_manifest(manifest.descriptor.digest) == manifest
    assert list(repository.tags()) == ["1.0"]
    source = made.source(where)
    assert source.root() == manifest
    for blob in blobs:
        with source.open_blob(blob.descriptor) as stream:
            assert stream.read() == blob.where
        assert source.blob_path(blob.descriptor) is None
        path = source.fetch_blob(blob.descriptor)
        assert path == store.blobs.path(blob.descriptor.digest) == source.blob_path(blob.descriptor)
        assert path.read_bytes() == blob.where
    assert source.document(blobs[-1].descriptor).content == blobs[-1].where


def test_what_is_there_is_not_sent_again_and_what_is_elsewhere_is_mounted(
    plain: RegistryServer, registries: MakeRegistries, events: list[Event]
) -> None:
    made = registries()
    blob = content()
    first, second = made.repository(reference(plain, "mount/a")), made.repository(reference(plain, "mount/b"))
    assert first.put_blob(blob) is PushOutcome.UPLOADED
    assert sum(event.bytes_done for event in events if isinstance(event, TaskAdvanced)) == blob.size_bytes
    events.clear()
    assert first.put_blob(blob) is PushOutcome.EXISTED
    assert second.head_blob(blob.descriptor.digest) is None
    assert second.put_blob(blob, mount_from=["mount/nothing", "mount/b", "mount/a"]) is PushOutcome.MOUNTED
    assert second.head_blob(blob.descriptor.digest) == blob.size_bytes
    assert [event.outcome for event in events if isinstance(event, TaskFinished)] == ["exists", "mounted"]
    assert not [event for event in events if isinstance(event, TaskAdvanced)]


def test_mounting_with_tokens_asks_for_both_repositories(
    with_tokens: RegistryServer, tokens: TokenServer, registries: MakeRegistries, login: Login
) -> None:
    made = registries(login(with_tokens))
    blob = content()
    made.repository(reference(with_tokens, "scopes/a")).put_blob(blob)
    assert (
        made.repository(reference(with_tokens, "scopes/b")).put_blob(blob, mount_from=["scopes/a"])
        is PushOutcome.MOUNTED
    )
    assert tokens.requests[-1].query["scope"] == ["repository:scopes/a:pull", "repository:scopes/b:pull,push"]
    assert (
        made.repository(reference(with_tokens, "scopes/b")).mount_blob(content().descriptor.digest, source="scopes/a")
        is False
    )


def test_a_mount_that_is_refused_becomes_an_upload(plain: RegistryServer, registries: MakeRegistries) -> None:
    assert (
        registries().repository(reference(plain, "nomount")).put_blob(content(), mount_from=["other/empty"])
        is PushOutcome.UPLOADED
    )


def test_a_file_is_made_only_where_it_must_be_sent(
    plain: RegistryServer, registries: MakeRegistries, tmp_path: Path
) -> None:
    repository = registries().repository(reference(plain, "lazy"))
    blob = content()
    (tmp_path / "blob").write_bytes(data_of(blob))
    made = []

    def make() -> Path:
        made.append(1)
        return tmp_path / "blob"

    lazy = BlobContent(blob.descriptor, make)
    assert repository.put_blob(lazy) is PushOutcome.UPLOADED
    assert repository.put_blob(lazy) is PushOutcome.EXISTED
    assert made == [1]


def test_parts_are_put_together(plain: RegistryServer, registries: MakeRegistries, store: Store) -> None:
    StrategyMemory(store.records).put(plain.host, Upload(UploadForm.PARTS))
    blob = content(2 * PART_BYTES + 12345)
    repository = registries().repository(reference(plain, "parts"))
    assert repository.put_blob(blob) is PushOutcome.UPLOADED
    with repository.open_blob(blob.descriptor.digest) as response:
        assert Digest.of(response.chunks()) == blob.descriptor.digest


def test_an_empty_blob_and_sha512(plain: RegistryServer, registries: MakeRegistries) -> None:
    repository = registries().repository(reference(plain, "odd"))
    empty = BlobContent(Descriptor(OCI_LAYER, Digest.of(b""), 0), b"")
    assert repository.put_blob(empty) is PushOutcome.UPLOADED
    assert repository.head_blob(empty.descriptor.digest) == 0
    data = b"sha512 as well"
    long = BlobContent(Descriptor(OCI_LAYER, Digest("sha512", hashlib.sha512(data).hexdigest()), len(data)), data)
    assert repository.put_blob(long) is PushOutcome.UPLOADED
    source = registries().source(reference(plain, "odd"))
    with source.open_blob(long.descriptor) as stream:
        assert stream.read() == data
    assert source.fetch_blob(long.descriptor).read_bytes() == data


def test_a_damaged_file_is_not_sent(plain: RegistryServer, registries: MakeRegistries, tmp_path: Path) -> None:
    blob = content()
    repository = registries().repository(reference(plain, "damaged"))
    (tmp_path / "short").write_bytes(data_of(blob)[:-1])
    with pytest.raises(IntegrityError, match="299999 bytes here where 300000"):
        repository.put_blob(BlobContent(blob.descriptor, tmp_path / "short"))
    (tmp_path / "other").write_bytes(bytes(blob.size_bytes))
    with pytest.raises(RegistryError) as caught:
        repository.put_blob(BlobContent(blob.descriptor, tmp_path / "other"))
    assert caught.value.codes == ("DIGEST_INVALID",)
    assert repository.head_blob(blob.descriptor.digest) is None


def test_a_manifest_needs_its_blobs(plain: RegistryServer, registries: MakeRegistries) -> None:
    repository = registries().repository(reference(plain, "incomplete"))
    missing = Descriptor(OCI_LAYER, Digest.of(b"nowhere"), 7)
    manifest = Document.of(
        OCI_MANIFEST,
        canonical_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": missing.to_json(), "layers": []}),
    )
    with pytest.raises(RegistryError) as caught:
        repository.put_manifest(manifest, "latest")
    assert "MANIFEST_BLOB_UNKNOWN" in caught.value.codes
    assert repository.head_manifest("latest") is None


def test_what_is_not_there(plain: RegistryServer, registries: MakeRegistries, store: Store) -> None:
    made = registries()
    repository = made.repository(reference(plain, "never/pushed"))
    with pytest.raises(
        RegistryError, match=r"reading .*/never/pushed:latest: GET .*404 Not Found: (MANIFEST|NAME)_UNKNOWN"
    ) as caught:
        repository.get_manifest("latest")
    assert caught.value.status == 404
    source = made.source(reference(plain, "never/pushed"))
    gone = Descriptor(OCI_LAYER, Digest.of(b"gone"), 4)
    for read in (source.open_blob, source.fetch_blob):
        with pytest.raises(NetworkError) as other:
            read(gone)
        assert other.value.status == 404
    with pytest.raises(RegistryError):
        list(repository.tags())


def test_deleting(plain: RegistryServer, with_tokens: RegistryServer, registries: MakeRegistries, login: Login) -> None:
    for server, credentials in ((plain, ANONYMOUS), (with_tokens, login(with_tokens))):
        repository = registries(credentials).repository(reference(server, "deleted"))
        manifest, _ = push_image(repository)
        repository.delete_manifest(manifest.descriptor.digest)
        assert repository.head_manifest("latest") is None
        with pytest.raises(RegistryError):
            repository.delete_manifest(manifest.descriptor.digest)


def test_many_tags_come_in_pages(plain: RegistryServer, registries: MakeRegistries) -> None:
    repository = registries().repository(reference(plain, "many"))
    manifest, _ = push_image(repository, "t000")
    for number in range(1, 120):
        repository.put_manifest(manifest, f"t{number:03}")
    expected = [f"t{number:03}" for number in range(120)]
    assert sorted(repository.tags()) == expected


def test_referrers_through_the_stand_in_tag(plain: RegistryServer, registries: MakeRegistries) -> None:
    repository = registries().repository(reference(plain, "referred"))
    manifest, _ = push_image(repository)
    assert list_referrers(repository, manifest.descriptor.digest) == []
    empty = BlobContent(Descriptor("application/vnd.oci.empty.v1+json", Digest.of(b"{}"), 2), b"{}")
    repository.put_blob(empty)
    for kind in ("application/x-one", "application/x-two", "application/x-one"):
        document = Document.of(
            OCI_MANIFEST,
            json.dumps({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "config": empty.descriptor.to_json(),
                "layers": [empty.descriptor.to_json()], "subject": manifest.descriptor.to_json(), "annotations": {"kind": kind},
            }).encode(),
        )  # fmt: skip
        put_referrer(repository, document)
    found = list_referrers(repository, manifest.descriptor.digest)
    assert sorted(referrer.artifact_type for referrer in found) == ["application/x-one", "application/x-two"]
    (two,) = list_referrers(repository, manifest.descriptor.digest, artifact_type="application/x-two")
    assert repository.get_manifest(two.descriptor.digest).descriptor == Descriptor(
        OCI_MANIFEST, two.descriptor.digest, two.descriptor.size_bytes
    )


def test_copying_an_index_between_registries(
    plain: RegistryServer, with_tokens: RegistryServer, registries: MakeRegistries, login: Login
) -> None:
    made = registries(login(with_tokens))
    here, there = reference(plain, "copy/from:1"), reference(with_tokens, "copy/to:2")
    first, second = (push_image(made.repository(here), tag)[0] for tag in ("a", "b"))
    index = Document.of(OCI_INDEX, canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        Descriptor(OCI_MANIFEST, document.descriptor.digest, document.descriptor.size_bytes, platform=Platform.parse(platform)).to_json()
        for document, platform in ((first, "linux/amd64"), (second, "linux/arm64"))
    ]}))  # fmt: skip
    made.repository(here).put_manifest(index, "1")
    source = made.source(here)
    assert copy_image(source, made.repository(there), there, fetch_blob=source.fetch_blob) == index.descriptor
    assert made.source(there).root() == index
    assert made.source(there).document(first.descriptor).content == first.content
    again = reference(with_tokens, "copy/again:3")
    fetched: list[Descriptor] = []

    def fetch(descriptor: Descriptor) -> Path:
        fetched.append(descriptor)
        return source.fetch_blob(descriptor)

    copy_image(made.source(there), made.repository(again), again, fetch_blob=fetch, mount_from=lambda _: ["copy/to"])
    assert fetched == []
    assert made.source(again).root() == index


def test_a_made_image_goes_through(plain: RegistryServer, registries: MakeRegistries, tmp_path: Path) -> None:
    image = MadeImage([[]])
    source = image.source()
    made = registries()
    where = reference(plain, "made:1")

    def fetch(descriptor: Descriptor) -> Path:
        path = tmp_path / descriptor.digest.hex
        with source.open_blob(descriptor) as stream:
            path.write_bytes(stream.read())
        return path

    descriptor = copy_image(source, made.repository(where), where, fetch_blob=fetch)
    assert made.source(where).root().descriptor == descriptor


def test_many_blobs_at_once(plain: RegistryServer, registries: MakeRegistries, events: list[Event]) -> None:
    repository = registries().repository(reference(plain, "at-once"))
    blobs = [content(10_000) for _ in range(20)]
    done = dict(upload_blobs(repository, [*blobs, *blobs]))
    assert len(done) == 20
    assert all(repository.head_blob(blob.descriptor.digest) == 10_000 for blob in blobs)
    started = [event.task for event in events if isinstance(event, TaskStarted)]
    assert len(started) == len(set(started)) == 20


def test_one_failure_ends_a_push(plain: RegistryServer, registries: MakeRegistries, tmp_path: Path) -> None:
    repository = registries().repository(reference(plain, "failing"))
    blobs: list[BlobContent] = [content(10) for _ in range(50)]
    blobs[3] = BlobContent(blobs[3].descriptor, tmp_path / "gone")
    with pytest.raises(MachineError, match="cannot read"):
        list(upload_blobs(repository, blobs, most_at_once=2))


# -- logging in --


def test_no_credentials(
    with_passwords: RegistryServer, with_tokens: RegistryServer, registries: MakeRegistries
) -> None:
    for server in (with_passwords, with_tokens):
        repository = registries().repository(reference(server, "private/a"))
        with pytest.raises(RegistryError) as caught:
            repository.put_blob(content())
        assert caught.value.status == 401
        assert "login" in (caught.value.hint or "")
        with pytest.raises(RegistryError):
            repository.head_manifest("latest")


def test_wrong_credentials(
    with_passwords: RegistryServer, with_tokens: RegistryServer, registries: MakeRegistries
) -> None:
    for server in (with_passwords, with_tokens):
        credentials = ExplicitCredential(server.host, Credential("user", "wrong-secret"))
        with pytest.raises(RegistryError) as caught:
            registries(credentials).repository(reference(server, "private/a")).head_manifest("latest")
        assert caught.value.status == 401
        assert "wrong-secret" not in str(caught.value)


def test_public_images_need_no_login(with_tokens: RegistryServer, registries: MakeRegistries, login: Login) -> None:
    push_image(registries(login(with_tokens)).repository(reference(with_tokens, "public/a")))
    assert registries().repository(reference(with_tokens, "public/a")).head_manifest("latest") is not None


def test_an_identity_token(with_tokens: RegistryServer, tokens: TokenServer, registries: MakeRegistries) -> None:
    credentials = ExplicitCredential(with_tokens.host, Credential(identity_token="identity"))
    push_image(registries(credentials).repository(reference(with_tokens, "identity/a")))
    request = tokens.requests[-1]
    assert request.method == "POST"
    assert "authorization" not in request.headers
    wrong = ExplicitCredential(with_tokens.host, Credential(identity_token="another"))
    with pytest.raises(RegistryError) as caught:
        registries(wrong).repository(reference(with_tokens, "identity/a")).head_manifest("latest")
    assert "another" not in str(caught.value)


def test_a_ready_bearer_token(with_tokens: RegistryServer, tokens: TokenServer, registries: MakeRegistries) -> None:
    token = tokens._token("user", ["repository:ready/a:pull,push"])
    credentials = ExplicitCredential(with_tokens.host, Credential(bearer_token=token))
    before = len(tokens.requests)
    push_image(registries(credentials).repository(reference(with_tokens, "ready/a")))
    assert len(tokens.requests) == before


def test_a_push_asks_for_one_token(
    with_tokens: RegistryServer, tokens: TokenServer, registries: MakeRegistries, login: Login
) -> None:
    before = len(tokens.requests)
    push_image(registries(login(with_tokens)).repository(reference(with_tokens, "thrifty/a")))
    assert len(tokens.requests) - before == 1


# -- TLS and schemes --


def test_an_unknown_authority(encrypted: RegistryServer, registries: MakeRegistries, login: Login) -> None:
    with pytest.raises(NetworkError, match="certificate is not trusted") as caught:
        registries(login(encrypted)).repository(reference(encrypted, "a")).head_manifest("latest")
    assert "--ca" in (caught.value.hint or "")
    assert not caught.value.temporary


def test_a_certificate_for_another_name(
    encrypted: RegistryServer, registries: MakeRegistries, authority: CertificateAuthority
) -> None:
    host = encrypted.host.replace("127.0.0.1", "localhost")
    with pytest.raises(NetworkError, match="not trusted: Hostname mismatch"):
        registries(ca_file=authority.ca_file).repository(Reference.parse(f"{host}/a")).head_manifest("latest")


def test_certs_d(
    encrypted: RegistryServer, registries: MakeRegistries, login: Login, authority: CertificateAuthority, tmp_path: Path
) -> None:
    folder = tmp_path / "certs.d" / encrypted.host
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(authority.ca_file.read_bytes())
    locations = Locations(certificates=(tmp_path / "certs.d",))
    push_image(registries(login(encrypted), locations=locations).repository(reference(encrypted, "certs/a")))


def test_a_host_named_insecure(
    encrypted: RegistryServer, plain: RegistryServer, registries: MakeRegistries, login: Login
) -> None:
    for server in (encrypted, plain):
        locations = Locations(insecure=frozenset({server.host}))
        push_image(registries(login(server), locations=locations).repository(reference(server, "insecure/a")))


# -- what another tool sees --


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("kind", ["with_passwords", "with_tokens"])
def test_skopeo_reads_what_was_pushed(
    kind: str, request: pytest.FixtureRequest, registries: MakeRegistries, login: Login, tmp_path: Path
) -> None:
    server: RegistryServer = request.getfixturevalue(kind)
    manifest, blobs = push_image(registries(login(server)).repository(reference(server, "seen:1")), "1")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    subprocess.run(
        [
            "skopeo", "--policy", str(policy), "copy", "-q", "--src-tls-verify=false", "--src-creds", "user:pass:word",
            f"docker://{server.host}/seen:1", f"dir:{tmp_path / 'out'}",
        ],
        check=True,
    )  # fmt: skip
    assert (tmp_path / "out/manifest.json").read_bytes() == manifest.content
    for blob in blobs:
        assert (tmp_path / "out" / blob.descriptor.digest.hex).read_bytes() == blob.where


# -- the probe --


@pytest.mark.parametrize("kind", ["plain", "with_passwords", "with_tokens"])
def test_the_probe_tells_the_digest(
    kind: str, request: pytest.FixtureRequest, registries: MakeRegistries, login: Login
) -> None:
    server: RegistryServer = request.getfixturevalue(kind)
    where = reference(server, "probed:1")
    manifest, _ = push_image(registries(login(server)).repository(where), "1")
    answer = probe_tag(where, credentials=login(server), locations=Locations(), environment={})
    assert answer.digest == manifest.descriptor.digest
    absent = probe_tag(reference(server, "probed:2"), credentials=login(server), locations=Locations(), environment={})
    assert absent.digest is None
    assert "404" in absent.why
    nobody = probe_tag(where, credentials=CredentialChain(), locations=Locations(), environment={})
    assert (nobody.digest is not None) == (kind == "plain")


def test_the_probe_over_tls(
    encrypted: RegistryServer, registries: MakeRegistries, login: Login, authority: CertificateAuthority
) -> None:
    where = reference(encrypted, "probed:1")
    manifest, _ = push_image(registries(login(encrypted), ca_file=authority.ca_file).repository(where), "1")
    # On loopback plain http is asked first: the probe leaves the other answer to the client.
    answer = probe_tag(
        where, credentials=login(encrypted), locations=Locations(), environment={}, ca_file=authority.ca_file
    )
    assert answer.digest is None
    login_ = ProbeLogin("user", "pass:word")
    answer = probe_manifest(
        encrypted.url, repository="probed", tag="1", login=login_, ca_file=authority.ca_file, environment={}
    )
    assert answer.digest == manifest.descriptor.digest
    distrusted = probe_manifest(encrypted.url, repository="probed", tag="1", login=login_, ca_file=None, environment={})
    assert distrusted.digest is None
    assert "CERTIFICATE" in distrusted.why.upper()


def test_the_probe_imports_little(plain: RegistryServer, registries: MakeRegistries) -> None:
    push_image(registries().repository(reference(plain, "probed:1")), "1")
    code = f"""
import sys
from ocibuild.core.reference import Reference
from ocibuild.registry.credentials import default_chain
from ocibuild.registry.freshness import probe_tag
from ocibuild.registry.location import Locations
answer = probe_tag(Reference.parse({str(reference(plain, "probed:1"))!r}), credentials=default_chain({{}}), locations=Locations.of_environment({{}}), environment={{}})
assert answer.digest is not None, answer.why
print([name for name in ("requests", "urllib3", "zstandard", "packaging", "rich", "rattler", "pyoci", "urllib.request") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
