"""The sessions in which a registry takes a blob (distribution-spec, "Pushing Blobs"), one request a function.

Registries differ here more than anywhere else; each peculiarity that is dealt with is named where it is.
"""

import re
import time
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ocibuild.core.digest import Digest
from ocibuild.core.errors import IntegrityError, NetworkError, RegistryError
from ocibuild.net.address import joined
from ocibuild.net.client import Body
from ocibuild.net.policy import is_temporary, retry_after_seconds
from ocibuild.net.response import Response
from ocibuild.registry.client import RegistryClient, registry_error
from ocibuild.registry.scope import Scope

__all__ = ["PartsRefusedError", "TooLargeError", "UploadBrokenError", "UploadSession"]

_CREATED, _ACCEPTED, _NO_CONTENT, _NOT_FOUND = 201, 202, 204, 404
_DONE = frozenset({200, _CREATED, _ACCEPTED, _NO_CONTENT})  # ECR answers a PATCH with 201
_TOO_LARGE, _RANGE_REFUSED = 413, 416
_PARTS_REFUSED = frozenset({400, 405, 415, 501})
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
_ABOUT_SIZE = re.compile(r"exceed|too (?:large|big)|limit|maximum", re.IGNORECASE)
_SILENCE_SECONDS = 600.0
"""A registry may copy a large blob within its storage before it answers the last request."""
_BINARY = "application/octet-stream"


class _UploadError(Exception):
    """Why a session ended, with the error to raise where nothing else is left to try."""

    def __init__(self, error: NetworkError, *, asked_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.asked_seconds = asked_seconds


class UploadBrokenError(_UploadError):
    """The connection broke, the server is busy, or it has forgotten the session: beginning again may help."""

    @property
    def is_connection(self) -> bool:
        """Whether no answer came at all: so proxies refuse what is too large for them."""
        return self.error.status is None


class TooLargeError(_UploadError):
    """The registry, or a proxy before it, takes only smaller requests."""


class PartsRefusedError(_UploadError):
    """The registry takes no parts (Google's Artifact Registry)."""


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An upload that the registry has begun: where it goes on, and the least size of a part that it takes."""

    client: RegistryClient
    repository: str
    attempted: str
    url: str
    least_part_bytes: int = 0

    @classmethod
    def begin(
        cls, client: RegistryClient, repository: str, *, attempted: str, mount: tuple[Digest, str] | None = None
    ) -> "UploadSession | None":
        """Ask for a session (end-4a), or for a blob of another repository, as (digest, repository), to be mounted.

        None where it was mounted (end-11); a registry that does not mount it gives a session instead. A RegistryError
        where it refuses both.
        """
        scopes: tuple[Scope, ...] = (Scope.push(repository),)
        query = ""
        if mount is not None:
            scopes = (*scopes, Scope.pull(mount[1]))
            query = "?" + urlencode({"mount": str(mount[0]), "from": mount[1]})
        with client.send("POST", f"/v2/{repository}/blobs/uploads/{query}", scopes=scopes) as response:
            if response.status == _CREATED and mount is not None:
                return None
            if response.status not in (_ACCEPTED, _CREATED) or "location" not in response.headers:
                raise registry_error(response, attempted)
            least = response.headers.get("oci-chunk-min-length", "")
            session = cls(client, repository, attempted, response.url, int(least) if least.isdigit() else 0)
            return session._moved(response)

    def put(self, digest: Digest, body: bytes | Body) -> None:
        """Send what is left and end the upload (end-6): all of the blob in one request, or nothing after the parts."""
        parts = urlsplit(self.url)
        # The session's own query is the registry's business and comes back as it was.
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("digest", str(digest))])
        with self._sent("PUT", urlunsplit(parts._replace(query=query)), body, {"Content-Type": _BINARY}) as response:
            if response.status == _TOO_LARGE:
                raise TooLargeError(registry_error(response, self.attempted))
            self._check_done(response)
            self._check_digest(response, digest)

    def patch(self, start_bytes: int, body: Body) -> "UploadSession":
        """Send a part (end-5); the session as it is afterwards.

        The Range of the answer is not looked at: ECR's is right for the first part only.
        """
        headers = {"Content-Type": _BINARY, "Content-Range": f"{start_bytes}-{start_bytes + len(body) - 1}"}
        with self._sent("PATCH", self.url, body, headers) as response:
            if response.status in (_TOO_LARGE, _RANGE_REFUSED):
                error = registry_error(response, self.attempted)
                # GHCR says 416 to parts over 4 MiB; of others it means that the parts are out of order.
                is_size = response.status == _TOO_LARGE or start_bytes == 0 or _ABOUT_SIZE.search(error.message)
                raise (TooLargeError if is_size else UploadBrokenError)(error)
            if response.status in _PARTS_REFUSED and start_bytes == 0:
                raise PartsRefusedError(registry_error(response, self.attempted))
            self._check_done(response)
            return self._moved(response)

    def resumed(self) -> "tuple[UploadSession, int] | None":
        """Ask how far the upload is (end-13): the session, and the number of bytes that the registry has.

        None where it does not tell: docker-registry before version 3 forgets a session whose connection broke, and
        ``0-0`` may be one byte or none.
        """
        with self._sent("GET", self.url, None, {}, retry=True) as response:
            told = _RANGE.fullmatch(response.headers.get("range", ""))
            if response.status != _NO_CONTENT or told is None or told[1] == "0":
                return None
            return self._moved(response), int(told[1]) + 1

    def cancel(self) -> None:
        """Tell the registry that the upload is given up; whether it listens does not matter."""
        try:
            self._sent("DELETE", self.url, None, {}).close()
        except (NetworkError, UploadBrokenError):
            return

    def _sent(
        self, method: str, url: str, body: bytes | Body | None, headers: dict[str, str], *, retry: bool = False
    ) -> Response:
        try:
            return self.client.send(
                method,
                url,
                scopes=(Scope.push(self.repository),),
                headers=headers,
                body=body,
                retry=retry,
                silence_seconds=None if body is None else _SILENCE_SECONDS,
            )
        except RegistryError:
            raise  # a token server's refusal
        except NetworkError as error:
            if error.temporary:
                raise UploadBrokenError(error) from error
            raise

    def _check_done(self, response: Response) -> None:
        if response.status in _DONE:
            return
        error = registry_error(response, self.attempted)
        if response.status == _NOT_FOUND or is_temporary(response.status):
            raise UploadBrokenError(error, asked_seconds=retry_after_seconds(response.headers, now=time.time()))
        raise error

    def _check_digest(self, response: Response, digest: Digest) -> None:
        told = response.headers.get("docker-content-digest", "")
        # docker-registry tells a blob's SHA-256 whatever it was asked for.
        if told.startswith(f"{digest.algorithm}:") and told != str(digest):
            raise IntegrityError(
                f"{self.attempted}: the registry took it as {told!r}",
                method=response.method,
                url=response.shown_url,
                status=response.status,
            )

    def _moved(self, response: Response) -> "UploadSession":
        """The session at the newest Location, relative or absolute: older ones are void."""
        location = response.headers.get("location")
        return self if location is None else replace(self, url=joined(response.url, location))
