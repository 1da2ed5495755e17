"""Pushing a blob to registries that behave as hosted ones do."""

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ocibuild.core.descriptor import OCI_LAYER, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, MachineError, NetworkError, RegistryError
from ocibuild.core.events import Event, TaskAdvanced, TaskFinished
from ocibuild.net.transfer import TransferStoppedError
from ocibuild.registry.content import BlobContent
from ocibuild.registry.push import upload_blobs
from ocibuild.registry.repository import PushOutcome, Repository
from ocibuild.registry.strategy import PART_BYTES, SMALL_PART_BYTES, StrategyMemory, Upload, UploadForm
from ocibuild.store.store import Store
from tests.support.fake_registry import FakeRegistry, Quirks, error
from tests.support.scripted_server import HANG_UP, Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]
MakeRepository = Callable[..., Repository]
DATA = random.Random(3).randbytes(2 * PART_BYTES + 1000)
BLOB = BlobContent(Descriptor(OCI_LAYER, Digest.of(DATA), len(DATA)), DATA)
SMALL = BlobContent(Descriptor(OCI_LAYER, Digest.of(DATA[:5000]), 5000), DATA[:5000])
PARTS = Upload(UploadForm.PARTS)


class Rig:
    """A fake registry, served."""

    def __init__(
        self,
        serve: Serve,
        repository: MakeRepository,
        quirks: Quirks | None = None,
        before: Callable[[Request], Reply | None] | None = None,
    ) -> None:
        self.registry = FakeRegistry(quirks, before=before)
        self.server = serve(self.registry)
        self.registry.url = self.server.url
        self.repository = repository(self.server)

    def push(self, blob: BlobContent = BLOB, mount_from: Sequence[str] = ()) -> PushOutcome:
        return self.repository.put_blob(blob, mount_from=mount_from)

    @property
    def stored(self) -> dict[tuple[str, str], bytes]:
        return self.registry.blobs

    def methods(self) -> list[str]:
        return [line.partition(" ")[0] for line in self.registry.log]


@pytest.fixture
def rig(serve: Serve, repository: MakeRepository) -> Callable[..., Rig]:
    return lambda quirks=None, before=None: Rig(serve, repository, quirks, before)


def is_stored(rig: Rig, blob: BlobContent = BLOB) -> bool:
    return rig.stored.get(("a/b", str(blob.descriptor.digest))) == blob.where


def test_the_usual_way_is_one_put(rig: Callable[..., Rig], events: list[Event]) -> None:
    r = rig()
    assert r.push() is PushOutcome.UPLOADED
    assert is_stored(r)
    assert r.methods() == ["GET", "HEAD", "POST", "PUT"]
    sent = r.server.requests[-1]
    assert sent.headers["content-length"] == str(len(DATA))
    assert "transfer-encoding" not in sent.headers
    assert sum(event.bytes_done for event in events if isinstance(event, TaskAdvanced)) == len(DATA)


@pytest.mark.parametrize("is_absolute", [True, False])
def test_locations(rig: Callable[..., Rig], *, is_absolute: bool) -> None:
    r = rig(Quirks(absolute_location=is_absolute))
    r.push(SMALL)
    assert is_stored(r, SMALL)
    assert r.server.requests[-1].query == {"_state": ["secret0"], "digest": [str(SMALL.descriptor.digest)]}


def test_a_proxy_with_a_limit(rig: Callable[..., Rig], store: Store) -> None:
    r = rig(Quirks(largest_body_bytes=20 << 20))
    assert r.push() is PushOutcome.UPLOADED
    assert is_stored(r)
    assert r.methods() == ["GET", "HEAD", "POST", "PUT", "DELETE", "POST", "PATCH", "PATCH", "PATCH", "PUT"]
    assert StrategyMemory(store.records).get(r.server.host) == PARTS
    assert not r.registry.uploads


def test_what_worked_is_remembered(rig: Callable[..., Rig], store: Store) -> None:
    r = rig(Quirks(largest_body_bytes=20 << 20))
    StrategyMemory(store.records).put(r.server.host, PARTS)
    r.push()
    assert r.methods() == ["GET", "HEAD", "POST", "PATCH", "PATCH", "PATCH", "PUT"]


def test_ghcr(rig: Callable[..., Rig], store: Store) -> None:
    r = rig(Quirks(largest_body_bytes=20 << 20, largest_part_bytes=4 << 20))
    r.push()
    assert is_stored(r)
    assert StrategyMemory(store.records).get(r.server.host) == Upload(UploadForm.PARTS, SMALL_PART_BYTES)


def test_ecr(rig: Callable[..., Rig], store: Store) -> None:
    r = rig(Quirks(patch_status=201, least_part_bytes=5 << 20, stale_range=True))
    StrategyMemory(store.records).put(r.server.host, PARTS)
    r.push()
    assert is_stored(r)


def test_the_least_part_that_a_registry_tells(rig: Callable[..., Rig], store: Store) -> None:
    r = rig(Quirks(least_part_bytes=20 << 20, tells_least_part=True))
    StrategyMemory(store.records).put(r.server.host, PARTS)
    r.push()
    assert [sent.headers["content-range"] for sent in r.server.requests if sent.method == "PATCH"] == [
        f"0-{(20 << 20) - 1}", f"{20 << 20}-{len(DATA) - 1}",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [400, 405])
def test_google_takes_no_parts(rig: Callable[..., Rig], store: Store, status: int) -> None:
    r = rig(Quirks(refuses_parts=status))
    StrategyMemory(store.records).put(r.server.host, PARTS)
    r.push()
    assert is_stored(r)
    assert StrategyMemory(store.records).get(r.server.host) == Upload()


def test_a_registry_that_takes_neither(rig: Callable[..., Rig], events: list[Event]) -> None:
    r = rig(Quirks(refuses_parts=405, largest_body_bytes=20 << 20))
    with pytest.raises(RegistryError, match=r"405 .*chunked upload is not supported.*413") as caught:
        r.push()
    assert caught.value.status == 405
    assert "proxy" in (caught.value.hint or "")
    assert not is_stored(r)
    assert [event.outcome for event in events if isinstance(event, TaskFinished)] == ["failed"]


def test_a_limit_below_every_part(rig: Callable[..., Rig]) -> None:
    r = rig(Quirks(largest_body_bytes=1 << 20))
    with pytest.raises(RegistryError, match="413"):
        r.push()
    assert r.methods().count("PATCH") == 2


def test_a_proxy_that_hangs_up(rig: Callable[..., Rig], waits: list[float]) -> None:
    r = rig(Quirks(cuts_body_at=20 << 20))
    r.push()
    assert is_stored(r)
    assert r.methods().count("PATCH") == 3
    assert len(waits) == 2


def test_a_broken_part_goes_on_where_it_ended(rig: Callable[..., Rig], store: Store, events: list[Event]) -> None:
    r = rig(Quirks(breaks=[5_000_000, 99 << 20, 0, 70_000]))
    StrategyMemory(store.records).put(r.server.host, PARTS)
    r.push()
    assert is_stored(r)
    assert r.methods().count("POST") == 1
    starts = [
        int(sent.headers["content-range"].partition("-")[0]) for sent in r.server.requests if sent.method == "PATCH"
    ]
    assert starts[:2] == [0, 5_000_000]
    assert sum(event.bytes_done for event in events if isinstance(event, TaskAdvanced)) == len(DATA)


def test_a_session_that_is_lost_begins_again(rig: Callable[..., Rig], store: Store) -> None:
    r = rig(Quirks(breaks=[99 << 20, 6_000_000], forgets_broken=True))
    StrategyMemory(store.records).put(r.server.host, PARTS)
    r.push()
    assert is_stored(r)
    assert r.methods().count("POST") == 2


def test_a_registry_that_is_wrong_about_what_it_has(rig: Callable[..., Rig], store: Store) -> None:
    lies = iter([5_000_100])

    def before(request: Request) -> Reply | None:
        if request.method == "GET" and "uploads" in request.path and (lie := next(lies, None)):
            r.registry.uploads["0"] += bytes(lie - len(r.registry.uploads["0"]))
        return None

    r = rig(Quirks(breaks=[5_000_000]), before)
    StrategyMemory(store.records).put(r.server.host, PARTS)
    r.push()
    assert is_stored(r)
    assert r.methods().count("POST") == 2


def test_a_line_that_always_breaks_is_given_up(rig: Callable[..., Rig], waits: list[float]) -> None:
    r = rig(before=lambda request: HANG_UP if request.method in ("PUT", "PATCH") else None)
    with pytest.raises(NetworkError) as caught:
        r.push(SMALL)
    assert caught.value.temporary
    assert len(waits) < 12


def test_too_many_requests_in_mid_upload(rig: Callable[..., Rig], waits: list[float]) -> None:
    busy = iter([Reply(429, headers={"Retry-After": "7"}), Reply(503)])
    r = rig(before=lambda request: next(busy, None) if request.method == "PUT" else None)
    r.push(SMALL)
    assert is_stored(r, SMALL)
    assert waits[0] == 7.0


def test_an_answer_that_was_lost(rig: Callable[..., Rig]) -> None:
    def before(request: Request) -> Reply | None:
        if request.method == "PUT":
            r.registry.blobs["a/b", str(SMALL.descriptor.digest)] = request.body
            return HANG_UP
        return None

    r = rig(before=before)
    assert r.push(SMALL) is PushOutcome.UPLOADED
    assert r.methods().count("PUT") == 1


def test_refusals_are_not_tried_again(rig: Callable[..., Rig], waits: list[float]) -> None:
    r = rig(before=lambda request: error(403, "DENIED", "read-only today") if request.method == "POST" else None)
    with pytest.raises(RegistryError, match="403 Forbidden: DENIED read-only today") as caught:
        r.push(SMALL)
    assert caught.value.codes == ("DENIED",)
    assert "permissions" in (caught.value.hint or "")
    assert r.methods() == ["GET", "HEAD", "POST"]
    assert not waits


def test_being_denied_is_not_being_absent(rig: Callable[..., Rig]) -> None:
    r = rig(before=lambda request: Reply(401) if request.method == "HEAD" else None)
    with pytest.raises(RegistryError) as caught:
        r.push(SMALL)
    assert caught.value.status == 401
    assert "POST" not in r.methods()


def test_a_repository_that_must_be_created(rig: Callable[..., Rig]) -> None:
    r = rig(
        before=lambda request: error(404, "NAME_UNKNOWN", "no such repository") if request.method == "POST" else None
    )
    with pytest.raises(RegistryError) as caught:
        r.push(SMALL)
    assert "created" in (caught.value.hint or "")


def test_a_registry_that_took_something_else(rig: Callable[..., Rig]) -> None:
    other = Digest.of(b"other")
    r = rig(
        before=lambda request: (
            Reply(201, headers={"Docker-Content-Digest": str(other)}) if request.method == "PUT" else None
        )
    )
    with pytest.raises(IntegrityError, match=str(other)):
        r.push(SMALL)


def test_an_upload_without_a_location(rig: Callable[..., Rig]) -> None:
    r = rig(before=lambda request: Reply(202) if request.method == "POST" else None)
    with pytest.raises(RegistryError, match="202"):
        r.push(SMALL)


def test_a_mount_that_is_not_done_goes_on_as_an_upload(rig: Callable[..., Rig]) -> None:
    r = rig(Quirks(mounts=False))
    assert r.push(SMALL, mount_from=["x/one", "x/two"]) is PushOutcome.UPLOADED
    assert is_stored(r, SMALL)
    # The session of the first refusal is given up, that of the second is used.
    assert r.methods() == ["GET", "HEAD", "POST", "DELETE", "POST", "PUT"]
    assert not r.registry.uploads


def test_a_mount(rig: Callable[..., Rig]) -> None:
    r = rig()
    r.registry.blobs["x/two", str(SMALL.descriptor.digest)] = DATA[:5000]
    assert r.push(SMALL, mount_from=["x/one", "x/two"]) is PushOutcome.MOUNTED
    assert is_stored(r, SMALL)


def test_the_memory_survives_rubbish(store: Store) -> None:
    memory = StrategyMemory(store.records)
    memory.put("h.example", Upload(UploadForm.PARTS, SMALL_PART_BYTES))
    assert StrategyMemory(store.records).get("h.example") == Upload(UploadForm.PARTS, SMALL_PART_BYTES)
    assert StrategyMemory(store.records).get("other.example") == Upload()
    (record,) = (store.folder / "records").rglob("*.json")
    for rubbish in (b"[]", b"{", b'{"host": "h.example", "form": "x"}', b'{"host": "evil", "form": "parts"}'):
        record.write_bytes(rubbish)
        assert StrategyMemory(store.records).get("h.example") == Upload()
    record.write_bytes(b'{"host": "h.example", "form": "parts", "part_bytes": 1}')
    assert StrategyMemory(store.records).get("h.example") == PARTS


def test_the_first_error_ends_the_other_uploads(rig: Callable[..., Rig], tmp_path: Path) -> None:
    r = rig()
    gone = BlobContent(Descriptor(OCI_LAYER, Digest.of(b"gone"), 4), tmp_path / "gone")
    others = [BlobContent(Descriptor(OCI_LAYER, Digest.of(bytes([n])), 1), bytes([n])) for n in range(100)]
    with pytest.raises(MachineError, match="cannot read"):
        list(upload_blobs(r.repository, [gone, *others], most_at_once=2))
    assert len(r.stored) < 100


def test_an_upload_can_be_stopped(rig: Callable[..., Rig]) -> None:
    r = rig()
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(TransferStoppedError):
        r.repository.put_blob(BLOB, stopped=stopped)
    assert not r.stored
    assert r.push() is PushOutcome.UPLOADED  # the connection that was cut is not used again
