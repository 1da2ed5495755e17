"""A registry in memory with the peculiarities of hosted ones, to be served by a ScriptedServer.

::

    registry = FakeRegistry(Quirks(largest_part_bytes=4 << 20))     # GHCR
    with ScriptedServer(registry) as server: ...

What the real ones do is noted in the registry reference of the project; each quirk names whose it is.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.scripted_server import HANG_UP, Reply, Request

__all__ = ["FakeRegistry", "Quirks"]

_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/(\d+)")
_NEW_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/")
_BLOB = re.compile(r"/v2/(.+)/blobs/([a-z0-9]+:[0-9a-f]+)")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/(.+)")


@dataclass
class Quirks:
    """How this registry differs from the specification, or uses its freedom."""

    patch_status: int = 202  # ECR answers 201
    least_part_bytes: int = 0  # ECR refuses smaller parts but the last
    tells_least_part: bool = False  # OCI-Chunk-Min-Length
    stale_range: bool = False  # ECR's Range is that of the first part
    refuses_parts: int = 0  # Google's Artifact Registry: the status it answers to a PATCH with Content-Range
    largest_part_bytes: int | None = None  # GHCR: 416 above
    largest_body_bytes: int | None = None  # proxies: 413 above
    cuts_body_at: int | None = None  # proxies that hang up instead
    absolute_location: bool = False
    forgets_broken: bool = False  # docker-registry 2.8: a session whose connection broke is lost
    mounts: bool = True
    breaks: list[int] = field(default_factory=list)  # after how many bytes of each PATCH to hang up
    location_host: str = ""  # uploads go to another host


class FakeRegistry:
    """The API's part that pushing and pulling need; ``before`` may answer instead."""

    def __init__(
        self, quirks: Quirks | None = None, *, before: Callable[[Request], Reply | None] | None = None
    ) -> None:
        self.quirks = quirks or Quirks()
        self.before = before
        self.url = ""
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.moves: dict[str, int] = {}
        self.small_parts: dict[str, bool] = {}
        self.log: list[str] = []

    def __call__(self, request: Request) -> Reply:
        self.log.append(f"{request.method} {request.path}")
        if self.before is not None and (reply := self.before(request)) is not None:
            return reply
        if found := _UPLOAD.fullmatch(request.path):
            return self._upload(request, found[1], found[2])
        if found := _NEW_UPLOAD.fullmatch(request.path):
            return self._begin(request, found[1])
        if found := _BLOB.fullmatch(request.path):
            data = self.blobs.get((found[1], found[2]))
            return Reply(404) if data is None else ranged(request, data)
        if found := _MANIFEST.fullmatch(request.path):
            return self._manifest(request, found[1], found[2])
        return Reply(200 if request.path == "/v2/" else 404)

    def _begin(self, request: Request, repository: str) -> Reply:
        mount, source = request.query.get("mount", [""])[0], request.query.get("from", [""])[0]
        if mount and self.quirks.mounts and (source, mount) in self.blobs:
            self.blobs[repository, mount] = self.blobs[source, mount]
            return Reply(201)
        key = str(len(self.moves))
        self.uploads[key], self.moves[key] = bytearray(), 0
        headers = {"Location": self._location(repository, key)}
        if self.quirks.tells_least_part:
            headers["OCI-Chunk-Min-Length"] = str(self.quirks.least_part_bytes)
        return Reply(202, headers=headers)

    def _location(self, repository: str, key: str) -> str:
        base = self.quirks.location_host or (self.url if self.quirks.absolute_location else "")
        return f"{base}/v2/{repository}/blobs/uploads/{key}?_state=secret{self.moves[key]}"

    def _upload(self, request: Request, repository: str, key: str) -> Reply:  # noqa: C901, PLR0911, PLR0912 - one case a quirk
        quirks, length = self.quirks, int(request.headers.get("content-length", "0"))
        if key not in self.uploads or request.query.get("_state") != [f"secret{self.moves[key]}"]:
            return error(404, "BLOB_UPLOAD_UNKNOWN", "")
        held = self.uploads[key]
        if request.method == "DELETE":
            del self.uploads[key]
            return Reply(204)
        if request.method == "GET":
            return Reply(
                204, headers={"Location": self._location(repository, key), "Range": f"0-{max(0, len(held) - 1)}"}
            )
        if quirks.largest_body_bytes is not None and length > quirks.largest_body_bytes:
            return Reply(413, b"<html>too large</html>", {"Content-Type": "text/html"})
        if quirks.cuts_body_at is not None and length > quirks.cuts_body_at:
            request.take(quirks.cuts_body_at)
            return HANG_UP
        if request.method == "PATCH":
            if quirks.refuses_parts:
                return error(quirks.refuses_parts, "UNSUPPORTED", "chunked upload is not supported")
            first, _, last = request.headers["content-range"].partition("-")
            if quirks.largest_part_bytes is not None and length > quirks.largest_part_bytes:
                return error(416, "BLOB_UPLOAD_INVALID", "chunk size exceeds 4.00MiB")
            if int(first) != len(held) or int(last) - int(first) + 1 != length:
                return error(416, "BLOB_UPLOAD_INVALID", "out of order")
            if quirks.breaks and (cut := quirks.breaks.pop(0)) < length:
                held += request.take(cut)
                if quirks.forgets_broken:
                    del self.uploads[key]
                return HANG_UP
            if self.small_parts.get(key):
                return error(400, "BLOB_UPLOAD_INVALID", "only the last part may be small")
            self.small_parts[key] = length < quirks.least_part_bytes
            held += request.body
            self.moves[key] += 1
            end = (16 << 20) - 1 if quirks.stale_range else len(held) - 1
            return Reply(
                quirks.patch_status, headers={"Location": self._location(repository, key), "Range": f"0-{end}"}
            )
        held += request.body
        digest = request.query["digest"][0]
        if f"sha256:{hashlib.sha256(held).hexdigest()}" != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[repository, digest] = bytes(held)
        del self.uploads[key]
        return Reply(201, headers={"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _manifest(self, request: Request, repository: str, target: str) -> Reply:
        if request.method == "PUT":
            digest = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
            for key in (target, digest):
                self.manifests[repository, key] = (request.headers["content-type"], request.body)
            return Reply(201, headers={"Docker-Content-Digest": digest})
        if (repository, target) not in self.manifests:
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, body = self.manifests[repository, target]
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        return Reply(200, body, {"Content-Type": kind, "Docker-Content-Digest": digest})


def ranged(request: Request, data: bytes) -> Reply:
    """The data, or the part that a Range header names."""
    wanted = request.headers.get("range")
    if wanted is None:
        return Reply(200, data)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last) if last else len(data), len(data) - 1)
    return Reply(206, data[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(data)}"})


def error(status: int, code: str, message: str) -> Reply:
    """An answer in the specification's form."""
    body = f'{{"errors": [{{"code": "{code}", "message": "{message}"}}]}}'.encode()
    return Reply(status, body, {"Content-Type": "application/json"})
