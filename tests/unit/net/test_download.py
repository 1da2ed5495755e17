import errno
import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, MachineError, NetworkError
from ocibuild.core.events import Event, TaskAdvanced, TaskFinished, TaskStarted
from ocibuild.net.client import HttpClient
from ocibuild.net.download import Downloader, DownloadRequest
from ocibuild.net.partial import Partial
from ocibuild.net.transfer import TransferStoppedError
from ocibuild.store.blobs import BlobStore
from tests.support.scripted_server import Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]
DATA = random.Random(1).randbytes(900_000)
DIGEST = Digest.of(DATA)


class FileServer:
    """Serves one file with ranges and ETags; ``cuts`` are the bytes after which successive answers break off."""

    def __init__(self, data: bytes = DATA, *, etag: str = '"v1"', cuts: tuple[int, ...] = ()) -> None:
        self.data = data
        self.etag = etag
        self.cuts = list(cuts)

    def __call__(self, request: Request) -> Reply:
        cut = self.cuts.pop(0) if self.cuts else None
        headers = {"ETag": self.etag, "Accept-Ranges": "bytes"}
        wanted = request.headers.get("range")
        if wanted and request.headers.get("if-range", self.etag) == self.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(self.data):
                return Reply(416, headers={"Content-Range": f"bytes */{len(self.data)}"})
            headers["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
            return Reply(206, self.data[start:], headers, cut_after=cut)
        return Reply(200, self.data, headers, cut_after=cut)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def downloader(http: HttpClient, blobs: BlobStore, events: list[Event]) -> Downloader:
    return Downloader(http=http, blobs=blobs, events=events.append)


def request(*urls: str, digest: Digest = DIGEST, size_bytes: int | None = len(DATA)) -> DownloadRequest:
    return DownloadRequest(urls, digest, size_bytes, "thing")


def leftovers(blobs: BlobStore) -> list[str]:
    return sorted(path.name for path in blobs.folder.rglob("*") if path.is_file() and path.name.startswith("."))


@pytest.mark.parametrize("size_bytes", [len(DATA), None])
def test_a_download_ends_in_the_store(
    serve: Serve, downloader: Downloader, blobs: BlobStore, events: list[Event], size_bytes: int | None
) -> None:
    server = serve(FileServer())
    path = downloader.fetch(request(server.url, size_bytes=size_bytes))
    assert path == blobs.path(DIGEST)
    assert path.read_bytes() == DATA
    assert leftovers(blobs) == []
    assert isinstance(events[0], TaskStarted)
    assert events[0].total_bytes == size_bytes
    assert sum(event.bytes_done for event in events if isinstance(event, TaskAdvanced)) == len(DATA)
    assert events[-1] == TaskFinished(events[0].task)
    assert downloader.fetch(request(server.url)) == path
    assert len(server.requests) == 1


def test_sha512_and_empty_files(serve: Serve, downloader: Downloader) -> None:
    digest = Digest("sha512", hashlib.sha512(DATA).hexdigest())
    assert downloader.fetch(request(serve(FileServer()).url, digest=digest)).read_bytes() == DATA
    assert (
        downloader.fetch(request(serve(FileServer(b"")).url, digest=Digest.of(b""), size_bytes=None)).read_bytes()
        == b""
    )


def test_what_breaks_off_goes_on_where_it_ended(serve: Serve, downloader: Downloader, events: list[Event]) -> None:
    # More breaks than tries: each brings something, so the download goes on.
    server = serve(FileServer(cuts=(300_000, 1, 200_000, 100_000, 5, 5, 100_000)))
    assert downloader.fetch(request(server.url)).read_bytes() == DATA
    assert len(server.requests) == 8
    assert all(sent.headers["if-range"] == '"v1"' for sent in server.requests[1:])
    assert sum(event.bytes_done for event in events if isinstance(event, TaskAdvanced)) == len(DATA)


def test_a_server_that_brings_nothing_is_given_up(serve: Serve, downloader: Downloader, blobs: BlobStore) -> None:
    server = serve(FileServer(cuts=(1000,) + (0,) * 9))
    with pytest.raises(NetworkError) as caught:
        downloader.fetch(request(server.url))
    assert caught.value.temporary
    assert DIGEST not in blobs


def test_a_later_process_goes_on(serve: Serve, http: HttpClient, blobs: BlobStore) -> None:
    first = serve(FileServer(cuts=(400_000,) + (0,) * 9))
    with pytest.raises(NetworkError):
        Downloader(http=http, blobs=blobs).fetch(request(first.url))
    second = serve(FileServer())
    assert Downloader(http=http, blobs=blobs).fetch(request(second.url)).read_bytes() == DATA
    assert second.requests[0].headers["range"].startswith("bytes=4")
    assert leftovers(blobs) == []


def test_a_file_that_changed_meanwhile_is_fetched_anew(serve: Serve, downloader: Downloader) -> None:
    new = FileServer()
    old = FileServer(bytes(len(DATA)), etag='"v0"', cuts=(400_000,))

    def answer(request: Request) -> Reply:
        return old(request) if len(server.requests) == 1 else new(request)

    server = serve(answer)
    assert downloader.fetch(request(server.url)).read_bytes() == DATA
    assert len(server.requests) == 2


def test_wrong_bytes_of_an_earlier_attempt_are_fetched_again(
    serve: Serve, downloader: Downloader, blobs: BlobStore
) -> None:
    folder = blobs.path(DIGEST).parent
    with Partial.claimed(folder, DIGEST) as partial:
        partial.write(bytes(1000))
    server = serve(FileServer())
    assert downloader.fetch(request(server.url)).read_bytes() == DATA
    assert [sent.headers.get("range") for sent in server.requests] == ["bytes=1000-", None]


def test_a_whole_partial_needs_no_server(downloader: Downloader, blobs: BlobStore) -> None:
    with Partial.claimed(blobs.path(DIGEST).parent, DIGEST) as partial:
        partial.write(DATA)
    assert downloader.fetch(request()).read_bytes() == DATA


def test_a_partial_longer_than_the_file(serve: Serve, downloader: Downloader, blobs: BlobStore) -> None:
    with Partial.claimed(blobs.path(DIGEST).parent, DIGEST) as partial:
        partial.write(bytes(len(DATA) + 5))
    assert downloader.fetch(request(serve(FileServer()).url)).read_bytes() == DATA


@pytest.mark.parametrize("size_bytes", [len(DATA), None])
def test_a_wrong_hash(serve: Serve, downloader: Downloader, blobs: BlobStore, size_bytes: int | None) -> None:
    server = serve(FileServer(DATA[:-1] + b"?"))
    with pytest.raises(IntegrityError, match=f"downloading thing: expected {DIGEST}, got sha256:") as caught:
        downloader.fetch(request(server.url, size_bytes=size_bytes))
    assert caught.value.hint
    assert len(server.requests) == 1
    assert DIGEST not in blobs
    assert downloader.fetch(request(serve(FileServer()).url)).read_bytes() == DATA


def test_more_bytes_than_promised_are_not_taken(serve: Serve, downloader: Downloader, blobs: BlobStore) -> None:
    with pytest.raises(IntegrityError, match="more than the 900000 bytes"):
        downloader.fetch(request(serve(FileServer(DATA + bytes(10_000_000))).url))
    assert sum(path.stat().st_size for path in blobs.folder.rglob("*") if path.is_file()) == 0


def test_a_file_that_is_too_short_at_a_server_that_gives_ranges(serve: Serve, downloader: Downloader) -> None:
    with pytest.raises(NetworkError, match="ended after 899990 of 900000 bytes"):
        downloader.fetch(request(serve(FileServer(DATA[:-10])).url))


def test_fewer_bytes_than_promised(serve: Serve, downloader: Downloader) -> None:
    server = serve(lambda _: Reply(body=DATA[:1000]))
    with pytest.raises(NetworkError, match="ended after 1000 of 900000 bytes") as caught:
        downloader.fetch(request(server.url))
    assert caught.value.temporary


def test_mirrors_are_asked_in_turn(serve: Serve, downloader: Downloader) -> None:
    wrong = serve(FileServer(bytes(len(DATA))))
    gone = serve(lambda _: Reply(404))
    good = serve(FileServer())
    assert downloader.fetch(request(gone.url, wrong.url, good.url)).read_bytes() == DATA


def test_no_mirror_has_it(serve: Serve, downloader: Downloader, blobs: BlobStore, events: list[Event]) -> None:
    gone, denied = serve(lambda _: Reply(404)), serve(lambda _: Reply(403))
    with pytest.raises(NetworkError, match="403 Forbidden"):
        downloader.fetch(request(gone.url, denied.url))
    assert events[-1] == TaskFinished(events[0].task, "failed")  # type: ignore[union-attr]
    with pytest.raises(NetworkError, match="no URL"):
        downloader.fetch(request())
    assert leftovers(blobs) == []


def test_no_space_left(serve: Serve, downloader: Downloader, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Partial, block: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Partial, "write", full)
    with pytest.raises(MachineError, match="downloading thing: No space left") as caught:
        downloader.fetch(request(serve(FileServer()).url))
    assert "prune" in (caught.value.hint or "")
    assert leftovers(blobs) == []


def test_an_odd_206_is_not_believed(serve: Serve, downloader: Downloader) -> None:
    with pytest.raises(NetworkError, match="206"):
        downloader.fetch(request(serve(lambda _: Reply(206, DATA, {"Content-Range": "bytes 5-9/10"})).url))


def test_a_206_of_another_place_starts_again(serve: Serve, downloader: Downloader, blobs: BlobStore) -> None:
    with Partial.claimed(blobs.path(DIGEST).parent, DIGEST) as partial:
        partial.write(DATA[:1000])

    def answer(request: Request) -> Reply:
        if "range" in request.headers:
            return Reply(206, DATA[500:], {"Content-Range": f"bytes 500-{len(DATA) - 1}/{len(DATA)}"})
        return Reply(body=DATA)

    assert downloader.fetch(request(serve(answer).url)).read_bytes() == DATA


def test_two_at_once_do_not_disturb_each_other(serve: Serve, http: HttpClient, blobs: BlobStore) -> None:
    both = threading.Barrier(2, timeout=20)

    def answer(request: Request) -> Reply:
        both.wait()
        return Reply(body=DATA)

    server = serve(answer)
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(Downloader(http=http, blobs=blobs).fetch(request(server.url))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in paths] == [DATA, DATA]
    assert leftovers(blobs) == []


def test_a_download_can_be_stopped(serve: Serve, http: HttpClient, blobs: BlobStore) -> None:
    stopped = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, TaskAdvanced):
            stopped.set()

    server = serve(FileServer())
    with pytest.raises(TransferStoppedError):
        Downloader(http=http, blobs=blobs, events=stop).fetch(request(server.url), stopped=stopped)
    assert DIGEST not in blobs
    assert Downloader(http=http, blobs=blobs).fetch(request(server.url)).read_bytes() == DATA
    assert "range" in server.requests[-1].headers  # what had come was kept


CHILD = """
import sys
from pathlib import Path
from ocibuild.core.digest import Digest
from ocibuild.core.events import TaskAdvanced
from ocibuild.net.client import HttpClient
from ocibuild.net.download import Downloader, DownloadRequest
from ocibuild.store.blobs import BlobStore

def tell(event):
    if isinstance(event, TaskAdvanced):
        print(event.bytes_done, flush=True)

url, folder, digest = sys.argv[1:]
request = DownloadRequest((url,), Digest.parse(digest), None, "thing")
Downloader(http=HttpClient(), blobs=BlobStore(Path(folder)), events=tell).fetch(request)
"""


def test_a_killed_process_leaves_what_the_next_one_goes_on_with(
    serve: Serve, downloader: Downloader, blobs: BlobStore
) -> None:
    killed = threading.Event()

    def answer(request: Request) -> Reply:
        if request.headers.get("range"):
            return FileServer()(request)
        return Reply(body=DATA[:400_000], headers={"Content-Length": str(len(DATA)), "ETag": '"v1"'}, waits_for=killed)

    server = serve(answer)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url, str(blobs.folder), str(DIGEST)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert int(child.stdout.readline()) > 200_000
    child.kill()
    child.wait()
    child.stdout.close()
    killed.set()
    assert DIGEST not in blobs
    assert downloader.fetch(request(server.url)).read_bytes() == DATA
    assert int(server.requests[-1].headers["range"].removeprefix("bytes=").rstrip("-")) > 200_000
    assert server.requests[-1].headers["if-range"] == '"v1"'
    assert leftovers(blobs) == []
