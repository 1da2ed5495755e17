import gzip
from collections.abc import Callable

import pytest

from ocibuild.core.errors import NetworkError
from ocibuild.net.client import HttpClient
from ocibuild.net.document import fetch_bytes, fetch_range
from tests.support.scripted_server import Reply, Request, ScriptedServer

Serve = Callable[[Callable[[Request], Reply]], ScriptedServer]
FILE = bytes(range(256)) * 8


def ranged(request: Request) -> Reply:
    wanted = request.headers.get("range", "").removeprefix("bytes=")
    first, _, last = wanted.partition("-")
    start = int(first) if first else max(0, len(FILE) - int(last))
    end = min(int(last), len(FILE) - 1) if first and last else len(FILE) - 1
    if start >= len(FILE):
        return Reply(416, headers={"Content-Range": f"bytes */{len(FILE)}"})
    return Reply(206, FILE[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(FILE)}"})


def test_a_document(serve: Serve, http: HttpClient) -> None:
    assert fetch_bytes(http, serve(lambda _: Reply(body=b"text")).url, limit_bytes=4) == b"text"


def test_a_document_that_is_too_long(serve: Serve, http: HttpClient) -> None:
    with pytest.raises(NetworkError, match="longer than 99 bytes"):
        fetch_bytes(http, serve(lambda _: Reply(body=b"x" * 100)).url, limit_bytes=99)


def test_a_document_that_is_not_there(serve: Serve, http: HttpClient) -> None:
    with pytest.raises(NetworkError, match=r"reading the index: GET http.*: 404 Not Found") as caught:
        fetch_bytes(
            http,
            serve(lambda _: Reply(404, b"<html>no</html>", {"Content-Type": "text/html"})).url,
            limit_bytes=9,
            attempted="reading the index",
        )
    assert caught.value.status == 404
    assert "html" not in caught.value.message


def test_a_document_that_breaks_off_is_asked_for_again(serve: Serve, http: HttpClient) -> None:
    replies = iter([Reply(body=b"0123456789", cut_after=4), Reply(body=b"0123", length=10), Reply(body=b"0123456789")])
    assert fetch_bytes(http, serve(lambda _: next(replies)).url, limit_bytes=10) == b"0123456789"


def test_a_chunked_body_that_breaks_off(serve: Serve, http: HttpClient) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    whole = b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
    replies = iter([Reply(body=whole, headers=chunked, cut_after=cut) for cut in (4, 10, 20, 1000)])
    assert fetch_bytes(http, serve(lambda _: next(replies)).url, limit_bytes=10) == b"helloworld"


def test_a_document_that_always_breaks_off(serve: Serve, http: HttpClient) -> None:
    server = serve(lambda _: Reply(body=b"0123456789", cut_after=4))
    with pytest.raises(NetworkError, match="before the whole answer") as caught:
        fetch_bytes(http, server.url, limit_bytes=10)
    assert caught.value.temporary
    assert len(server.requests) == 5


def test_compression_that_nobody_asked_for_is_undone_but_not_for_gz_files(serve: Serve, http: HttpClient) -> None:
    packed = gzip.compress(b"text")
    server = serve(lambda _: Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert fetch_bytes(http, server.url + "/Packages", limit_bytes=100) == b"text"
    assert fetch_bytes(http, server.url + "/Packages.gz", limit_bytes=100) == packed


def test_a_gzip_bomb_and_gzip_rubbish(serve: Serve, http: HttpClient) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    with pytest.raises(NetworkError, match="longer than"):
        fetch_bytes(
            http, serve(lambda _: Reply(body=bomb, headers={"Content-Encoding": "gzip"})).url, limit_bytes=1_000_000
        )
    with pytest.raises(NetworkError, match="cannot be undone"):
        fetch_bytes(
            http, serve(lambda _: Reply(body=b"rubbish", headers={"Content-Encoding": "gzip"})).url, limit_bytes=100
        )


def test_pieces_of_a_file(serve: Serve, http: HttpClient) -> None:
    url = serve(ranged).url
    piece = fetch_range(http, url, start_bytes=100, length_bytes=50)
    assert (piece.body, piece.start_bytes, piece.total_bytes) == (FILE[100:150], 100, 2048)
    assert fetch_range(http, url, start_bytes=None, length_bytes=22).body == FILE[-22:]
    assert fetch_range(http, url, start_bytes=2040, length_bytes=50).body == FILE[2040:]
    with pytest.raises(NetworkError) as caught:
        fetch_range(http, url, start_bytes=4000, length_bytes=50)
    assert caught.value.status == 416


def test_a_server_without_ranges_gives_the_beginning_only(serve: Serve, http: HttpClient) -> None:
    url = serve(lambda _: Reply(body=FILE)).url
    piece = fetch_range(http, url, start_bytes=0, length_bytes=10)
    assert (piece.body, piece.total_bytes) == (FILE[:10], 2048)
    for start in (5, None):
        with pytest.raises(NetworkError) as caught:
            fetch_range(http, url, start_bytes=start, length_bytes=10)
        assert caught.value.status == 200


@pytest.mark.parametrize("header", ["bytes 0-9/2048", "bytes 100-200/2048", "bytes 9-5/9", "pages 1-2/3", ""])
def test_a_range_that_was_not_asked_for_is_refused(serve: Serve, http: HttpClient, header: str) -> None:
    url = serve(lambda _: Reply(206, FILE[100:150], {"Content-Range": header})).url
    with pytest.raises(NetworkError, match="range"):
        fetch_range(http, url, start_bytes=100, length_bytes=50)
