"""One repository of a registry: reading and writing manifests, blobs and tags (distribution-spec)."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import quote

from ocibuild.core.descriptor import INDEX_TYPES, MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, RegistryError, UsageError
from ocibuild.core.events import EventSink, TaskAdvanced, TaskFinished, TaskStarted, discard
from ocibuild.image.document import LARGEST_DOCUMENT_BYTES, Document
from ocibuild.net.address import joined
from ocibuild.net.response import Response
from ocibuild.net.transfer import TransferStoppedError
from ocibuild.registry.client import RegistryClient, registry_error
from ocibuild.registry.content import BlobContent
from ocibuild.registry.scope import Scope
from ocibuild.registry.strategy import StrategyMemory
from ocibuild.registry.upload import BlobUpload
from ocibuild.registry.upload_session import UploadSession

__all__ = ["PushOutcome", "Repository", "verified_manifest"]

_OK, _CREATED, _ACCEPTED, _NOT_FOUND = 200, 201, 202, 404
# docker-registry answers 404 for a manifest whose type is not accepted, so all types are.
_ACCEPT = ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))
_NEXT_PAGE = re.compile(r"<([^>]*)>\s*;[^,]*\brel=\"?next\"?")
_LARGEST_PAGE_BYTES = 8 << 20
_MOST_PAGES = 1000


class PushOutcome(StrEnum):
    """What became of a blob that should be in a repository."""

    EXISTED = "exists"
    MOUNTED = "mounted"
    UPLOADED = "uploaded"


class Repository:
    """A repository at one server. Everything read is verified; safe for several threads."""

    def __init__(
        self, client: RegistryClient, name: str, *, memory: StrategyMemory, events: EventSink = discard
    ) -> None:
        self.client = client
        self.name = name
        self._memory = memory
        self._events = events
        self._where = f"{client.endpoint.registry}/{name}"

    def __str__(self) -> str:
        return self._where

    def head_manifest(self, target: str | Digest) -> Descriptor | None:
        """What a tag or digest names, without its bytes; None where the registry does not have it.

        A RegistryError where the registry refuses to say: being denied is not being absent.
        """
        with self._manifest("HEAD", target) as response:
            if response.status == _NOT_FOUND:
                return None
            if response.status != _OK:
                raise registry_error(response, f"asking for {self._where}:{target}")
            told, length = response.headers.get("docker-content-digest"), response.length_bytes
            media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        # Both may be left out (distribution-spec, "Checking if content exists in the registry").
        if told is None or length is None:
            return self.get_manifest(target).descriptor
        return Descriptor(media_type, _told_digest(told, self._where), length)

    def get_manifest(self, target: str | Digest) -> Document:
        """The manifest or index that a tag or digest names.

        A RegistryError where it is not there; an IntegrityError where the bytes have not the digest that was asked for
        or, for a tag, the one that the registry tells.
        """
        with self._manifest("GET", target) as response:
            if response.status != _OK:
                raise registry_error(response, f"reading {self._where}:{target}")
            content = response.document(limit_bytes=LARGEST_DOCUMENT_BYTES)
            told = response.headers.get("docker-content-digest")
            media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        expected = target if isinstance(target, Digest) else None if told is None else _told_digest(told, self._where)
        return verified_manifest(content, media_type, expected, where=f"{self._where}:{target}")

    def put_manifest(self, document: Document, target: str | Digest) -> bool:
        """Write a manifest or index under a tag or its own digest; all that it names must be there already.

        True where the registry says that it has also noted the manifest's ``subject`` (its referrers are then asked for
        there); False where it does not know of subjects.
        """
        digest = document.descriptor.digest
        with self.client.send(
            "PUT",
            f"/v2/{self.name}/manifests/{quote(str(target), safe=':')}",
            scopes=(Scope.push(self.name),),
            headers={"Content-Type": document.descriptor.media_type},
            body=document.content,
        ) as response:
            if response.status not in (_OK, _CREATED, _ACCEPTED):
                raise registry_error(response, f"writing the manifest {self._where}:{target}")
            told = response.headers.get("docker-content-digest", "")
            if told.startswith(f"{digest.algorithm}:") and told != str(digest):
                raise IntegrityError(f"{self._where}:{target}: the registry took {digest} as {told!r}")
            return "oci-subject" in response.headers

    def delete_manifest(self, target: str | Digest) -> None:
        """Remove a manifest, or with a tag the tag alone where the registry can; RegistryError where it refuses."""
        url = f"/v2/{self.name}/manifests/{quote(str(target), safe=':')}"
        with self.client.send("DELETE", url, scopes=(Scope.delete(self.name),)) as response:
            if response.status not in (_OK, _ACCEPTED):
                raise registry_error(response, f"removing {self._where}:{target}")

    def head_blob(self, digest: Digest, *, for_push: bool = False) -> int | None:
        """The size of a blob in bytes, or None where the registry does not have it.

        ``for_push`` asks for a token that allows writing at once. A RegistryError where the registry refuses to say.
        """
        scope = Scope.push(self.name) if for_push else Scope.pull(self.name)
        with self.client.send("HEAD", f"/v2/{self.name}/blobs/{digest}", scopes=(scope,)) as response:
            if response.status == _NOT_FOUND:
                return None
            if response.status != _OK:
                raise registry_error(response, f"asking for blob {digest} of {self._where}")
            return response.length_bytes or 0

    def open_blob(self, digest: Digest, *, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
        """Ask for a blob with these further headers (Range); the answer may come from the registry's storage.

        Whatever its status; not verified: for the readers in :mod:`ocibuild.registry.source`.
        """
        url = f"/v2/{self.name}/blobs/{digest}"
        return self.client.send("GET", url, scopes=(Scope.pull(self.name),), headers=headers)

    def mount_blob(self, digest: Digest, *, source: str) -> bool:
        """Make a blob of the repository ``source`` of the same registry appear here; False where it is not done."""
        session = self._session(digest, mount=source)
        if session is None:
            return True
        session.cancel()
        return False

    def put_blob(
        self, content: BlobContent, *, mount_from: Sequence[str] = (), stopped: threading.Event | None = None
    ) -> PushOutcome:
        """See to it that a blob is here: look, then mount it from one of these repositories, then send it.

        Raises what :meth:`ocibuild.registry.upload.BlobUpload.run` raises. Setting ``stopped`` from another thread ends
        it with its next bytes, by a TransferStoppedError.
        """
        digest = content.descriptor.digest
        task = f"push {digest} {self._where}"
        self._events(TaskStarted(task, "pushing", f"{self.name} {digest.hex[:12]}", content.size_bytes))
        outcome = "failed"
        try:
            outcome = self._put(content, mount_from, self._progress(task, stopped or threading.Event()))
        finally:
            self._events(TaskFinished(task, "" if outcome == PushOutcome.UPLOADED else outcome))
        return PushOutcome(outcome)

    def _put(self, content: BlobContent, mount_from: Sequence[str], on_sent: Callable[[int], None]) -> PushOutcome:
        digest = content.descriptor.digest
        if self._is_there(digest):
            return PushOutcome.EXISTED
        session: UploadSession | None = None
        for source in mount_from:
            if source == self.name:
                continue
            if session is not None:
                session.cancel()
            session = self._session(digest, mount=source)
            if session is None:
                return PushOutcome.MOUNTED

        def begin() -> UploadSession:
            begun = self._session(digest)
            if begun is None:
                raise RegistryError(f"{self._where}: the registry neither took nor began an upload of {digest}")
            return begun

        upload = BlobUpload(
            content, begin=begin, is_there=lambda: self._is_there(digest), memory=self._memory, on_sent=on_sent
        )
        upload.run(session)
        return PushOutcome.UPLOADED

    def _is_there(self, digest: Digest) -> bool:
        return self.head_blob(digest, for_push=True) is not None

    def _session(self, digest: Digest, *, mount: str | None = None) -> UploadSession | None:
        return UploadSession.begin(
            self.client,
            self.name,
            attempted=f"pushing {digest} to {self._where}",
            mount=None if mount is None else (digest, mount),
        )

    def _progress(self, task: str, stopped: threading.Event) -> Callable[[int], None]:
        """Reports a position as bytes done; what is sent a second time is not counted again."""
        told_bytes = 0

        def on_sent(position: int) -> None:
            nonlocal told_bytes
            if stopped.is_set():
                raise TransferStoppedError(f"{task}: stopped")
            if position > told_bytes:
                self._events(TaskAdvanced(task, position - told_bytes))
                told_bytes = position

        return on_sent

    def tags(self) -> Iterator[str]:
        """All tags of the repository, page by page, in the registry's order."""
        for page in self.pages(f"/v2/{self.name}/tags/list", attempted=f"listing the tags of {self._where}"):
            tags = page.get("tags")
            yield from (tag for tag in (tags if isinstance(tags, list) else ()) if isinstance(tag, str))

    def pages(self, url: str, *, attempted: str) -> Iterator[dict[str, object]]:
        """The JSON objects of a listing, following its Link headers (RFC 5988); only within the same server."""
        for _ in range(_MOST_PAGES):
            with self.client.send("GET", url, scopes=(Scope.pull(self.name),)) as response:
                if response.status != _OK:
                    raise registry_error(response, attempted)
                try:
                    page = json.loads(response.document(limit_bytes=_LARGEST_PAGE_BYTES))
                except ValueError as error:
                    raise RegistryError(f"{attempted}: {response.shown_url} gave no JSON") from error
                following = _NEXT_PAGE.search(response.headers.get("link", ""))
            if not isinstance(page, dict):
                raise RegistryError(f"{attempted}: {response.shown_url} gave no JSON object")
            yield page
            if following is None:
                return
            url = joined(response.url, following[1])
        raise RegistryError(f"{attempted}: more than {_MOST_PAGES} pages")

    def _manifest(self, method: str, target: str | Digest) -> Response:
        url = f"/v2/{self.name}/manifests/{quote(str(target), safe=':')}"
        return self.client.send(method, url, scopes=(Scope.pull(self.name),), headers={"Accept": _ACCEPT})


def verified_manifest(content: bytes, media_type: str, expected: Digest | None, *, where: str) -> Document:
    """The document of these bytes; an IntegrityError where they have not the expected digest.

    Its type is the one that the document itself tells, else ``media_type``, the header's, else what its fields show:
    the first edition of the specification lets a manifest leave its type out.
    """
    media_type = _own_type(content) or media_type
    if media_type not in MANIFEST_TYPES | INDEX_TYPES:
        media_type = _shown_type(content) or media_type
    document = Document.of(media_type, content)
    if expected is None or document.descriptor.digest == expected:
        return document
    actual = Digest(expected.algorithm, hashlib.new(expected.algorithm, content).hexdigest())
    if actual != expected:
        raise IntegrityError(f"{where}: expected {expected}, got {actual}")
    return Document(Descriptor(media_type, expected, len(content)), content)


def _own_type(content: bytes) -> str | None:
    value = _object(content).get("mediaType")
    return value if isinstance(value, str) else None


def _shown_type(content: bytes) -> str | None:
    value = _object(content)
    return OCI_INDEX if "manifests" in value else OCI_MANIFEST if "layers" in value and "config" in value else None


def _object(content: bytes) -> dict[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}  # whoever reads it says what is wrong with it
    return value if isinstance(value, dict) else {}


def _told_digest(text: str, where: str) -> Digest:
    try:
        return Digest.parse(text)
    except UsageError as error:
        raise RegistryError(f"{where}: the registry tells a malformed digest: {text[:100]!r}") from error
