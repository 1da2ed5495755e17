"""Sending one blob: in one PUT, else in parts, resumed where that is possible, begun again where it is not."""

from collections.abc import Callable

from ocibuild.core.errors import NetworkError, RegistryError
from ocibuild.net.client import Body
from ocibuild.registry.content import BlobContent, Slice
from ocibuild.registry.strategy import SMALL_PART_BYTES, StrategyMemory, Upload, UploadForm
from ocibuild.registry.upload_session import PartsRefusedError, TooLargeError, UploadBrokenError, UploadSession

__all__ = ["BlobUpload"]

_BREAKS_BEFORE_PARTS = 2
_NEXT = {
    Upload(): Upload(UploadForm.PARTS),
    Upload(UploadForm.PARTS): Upload(UploadForm.PARTS, SMALL_PART_BYTES),
}
"""What is tried where an upload was too large: parts, then small parts."""


class BlobUpload:
    """Sends one blob; used once. ``begin`` gives a new session, ``is_there`` tells whether the registry has the blob.

    ``on_sent`` is told how far it is, in bytes of the blob.
    """

    def __init__(
        self,
        content: BlobContent,
        *,
        begin: Callable[[], UploadSession],
        is_there: Callable[[], bool],
        memory: StrategyMemory,
        on_sent: Callable[[int], None],
    ) -> None:
        self._content = content
        self._begin = begin
        self._is_there = is_there
        self._memory = memory
        self._on_sent = on_sent
        self._refused: dict[Upload, NetworkError] = {}
        self._breaks = 0

    def run(self, session: UploadSession | None = None) -> None:
        """Send it, beginning with ``session`` where one is open already.

        A RegistryError where the registry refuses, a NetworkError where it cannot be reached, an IntegrityError where
        the file here is not what it should be. What is temporary is tried again as the HTTP policy says, each time
        from the start unless the registry knows how far it was. The form that worked is remembered for the host.
        """
        self._content = self._content.located()
        session = session or self._begin()
        host, http = session.client.endpoint.host, session.client.http
        upload = self._memory.get(host)
        while True:
            try:
                self._sent(session, upload)
            except UploadBrokenError as broken:
                self._breaks += 1
                if self._breaks >= http.policy.tries:
                    raise broken.error from broken
                http.pause(self._breaks, asked_seconds=broken.asked_seconds, why=broken.error.message)
                if self._is_there():  # the answer was lost, not the blob
                    return
                if broken.is_connection and self._breaks >= _BREAKS_BEFORE_PARTS and upload == Upload():
                    upload = Upload(UploadForm.PARTS)
            except (TooLargeError, PartsRefusedError) as refused:
                session.cancel()
                upload = self._other(upload, refused)
            else:
                self._memory.put(host, upload)
                return
            session = self._begin()

    def _other(self, upload: Upload, refused: TooLargeError | PartsRefusedError) -> Upload:
        """What to try instead of what was refused; raises the refusals where nothing is left."""
        self._refused[upload] = refused.error
        other = _NEXT.get(upload) if isinstance(refused, TooLargeError) else Upload()
        if other is None or other in self._refused:
            last = refused.error
            earlier = [error.message for error in self._refused.values() if error is not last]
            raise RegistryError(
                "; before that, ".join([last.message, *earlier]),
                codes=getattr(last, "codes", ()),
                method=last.method,
                url=last.url,
                status=last.status,
                hint="a proxy before the registry may limit the size of requests; raise its limit",
            ) from refused
        return other

    def _sent(self, session: UploadSession, upload: Upload) -> None:
        size_bytes, digest = self._content.size_bytes, self._content.descriptor.digest
        if upload.form is UploadForm.WHOLE:
            session.put(digest, self._body(0, size_bytes) if size_bytes else b"")
            return
        was_resumed = False
        part_bytes = max(upload.part_bytes, session.least_part_bytes)
        position = 0
        while position < size_bytes:
            length = min(part_bytes, size_bytes - position)
            try:
                session = session.patch(position, self._body(position, length))
                position += length
            except UploadBrokenError as broken:
                session, position = self._resumed(session, position, length, broken)
                was_resumed = True
        try:
            session.put(digest, b"")
        except RegistryError as error:
            if not was_resumed:
                raise
            raise UploadBrokenError(error) from error  # what the registry said it had was not what was sent

    def _resumed(
        self, session: UploadSession, start_bytes: int, length_bytes: int, broken: UploadBrokenError
    ) -> tuple[UploadSession, int]:
        """The session and the position to go on from, where the registry knows it; raises ``broken`` where not."""
        known = session.resumed()
        if known is None or known[1] > start_bytes + length_bytes:
            raise broken
        session, position = known
        # Over a bad line, only attempts that bring nothing count.
        self._breaks = 1 if position > start_bytes else self._breaks + 1
        if self._breaks >= session.client.http.policy.tries:
            raise broken
        session.client.http.pause(self._breaks, asked_seconds=broken.asked_seconds, why=broken.error.message)
        return session, position

    def _body(self, start_bytes: int, length_bytes: int) -> Body:
        return Slice(self._content, start_bytes, length_bytes, self._on_sent)
