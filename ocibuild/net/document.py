"""Small documents and pieces of large ones, in memory."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ocibuild.net.client import HttpClient
from ocibuild.net.response import Response

__all__ = ["Piece", "content_range", "fetch_bytes", "fetch_range"]

_OK, _PARTIAL_CONTENT = 200, 206
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes from somewhere in a file: where they begin, and how long the whole file is (None where not told)."""

    body: bytes
    start_bytes: int
    total_bytes: int | None


def fetch_bytes(http: HttpClient, url: str, *, limit_bytes: int, attempted: str = "downloading") -> bytes:
    """The document at ``url``, of at most ``limit_bytes``.

    A NetworkError for every status but 200. A body that breaks off is asked for again. Nothing is verified here: that
    is the business of whoever knows the digest or signature.
    """

    def fetched() -> bytes:
        with http.request("GET", url) as response:
            if response.status != _OK:
                raise response.failure(attempted)
            return response.document(limit_bytes=limit_bytes)

    return http.persistently(fetched)


def fetch_range(
    http: HttpClient,
    url: str,
    *,
    start_bytes: int | None,
    length_bytes: int,
    headers: Mapping[str, str] = MappingProxyType({}),
    attempted: str = "reading a part",
) -> Piece:
    """At most ``length_bytes`` from ``start_bytes`` on, or the last ``length_bytes`` where ``start_bytes`` is None.

    The piece is shorter where the file ends. A NetworkError with status 200 where the server takes no ranges and the
    piece is not at the beginning: read the whole file instead.
    """
    wanted = (
        f"bytes=-{length_bytes}" if start_bytes is None else f"bytes={start_bytes}-{start_bytes + length_bytes - 1}"
    )

    def piece() -> Piece:
        with http.request("GET", url, headers={**headers, "Range": wanted}) as response:
            return _piece(response, start_bytes, length_bytes, attempted)

    return http.persistently(piece)


def content_range(response: Response) -> tuple[int, int, int | None] | None:
    """First byte, last byte and total of a Content-Range header (RFC 9110, 14.4); None where it is not that."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if found is None or int(found[1]) > int(found[2]):
        return None
    return int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])


def _piece(response: Response, start_bytes: int | None, length_bytes: int, attempted: str) -> Piece:
    if response.status == _PARTIAL_CONTENT:
        told = content_range(response)
        first, last, total = told or (-1, -1, None)
        if told is None or last - first >= length_bytes or (start_bytes is not None and first != start_bytes):
            raise response.failure(f"{attempted}: not the range that was asked for")
        body = response.body(limit_bytes=length_bytes)
        if len(body) != last - first + 1:
            raise response.failure(f"{attempted}: the body is not as long as its Content-Range says")
        return Piece(body, first, total)
    if response.status == _OK and start_bytes == 0:  # no ranges here: take the beginning and hang up
        body = b""
        for block in response.chunks():
            body += block
            if len(body) >= length_bytes:
                break
        return Piece(body[:length_bytes], 0, response.length_bytes)
    raise response.failure(attempted)
