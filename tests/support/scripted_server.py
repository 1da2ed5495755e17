"""An HTTP server on loopback whose answers a test writes, for what no real server would do on demand.

::

    def answer(request: Request) -> Reply:
        return Reply(404) if request.path == "/missing" else Reply(body=b"hello")

    with ScriptedServer(answer) as server:
        ...  # server.url, server.requests

Connections can break: ``Reply(cut_after=100)`` sends 100 bytes of the body and hangs up; ``HANG_UP`` answers nothing.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import parse_qs, urlsplit

__all__ = ["HANG_UP", "Reply", "Request", "ScriptedServer"]


@dataclass
class Request:
    """What came: ``headers`` by lower-case name; ``body`` is read when it is first looked at."""

    method: str
    target: str
    headers: dict[str, str]
    stream: BinaryIO
    read_bytes: int = 0
    _body: bytes | None = None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = self.take(int(self.headers.get("content-length", "0")))
        return self._body

    def take(self, count: int) -> bytes:
        """Only this many bytes of the body."""
        data = self.stream.read(count)
        self.read_bytes += len(data)
        return data


@dataclass(frozen=True)
class Reply:
    """What to answer. ``length`` is a Content-Length that may lie; ``cut_after`` hangs up within the body.

    With ``waits_for``, the connection is held after the body until that is set, and then hung up.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    cut_after: int | None = None
    hangs_up: bool = False
    waits_for: threading.Event | None = None


HANG_UP = Reply(hangs_up=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement
    server: "_Server"

    def handle_any(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile)  # type: ignore[arg-type] # it is buffered
        self.server.requests.append(request)
        reply = self.server.answer(request)
        if reply.hangs_up:
            self.hang_up()
            return
        _ = request.body
        self.write(reply)
        if reply.waits_for is not None:
            reply.waits_for.wait(timeout=60)
        if reply.cut_after is not None or reply.length is not None or reply.waits_for is not None:
            self.hang_up()

    def write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        has_body = reply.status not in (204, 304)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if has_body and not {"content-length", "transfer-encoding"} & {name.lower() for name in reply.headers}:
            self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        self.end_headers()
        if self.command != "HEAD" and has_body:
            self.wfile.write(reply.body if reply.cut_after is None else reply.body[: reply.cut_after])

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hung up, as tests make it do


class ScriptedServer:
    """Answers every request by ``answer``; a context manager. With ``tls`` (a certificate and its key) over https."""

    def __init__(self, answer: Callable[[Request], Reply], *, tls: tuple[Path, Path] | None = None) -> None:
        self._server = _Server(answer)
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def requests(self) -> list[Request]:
        """What came, in the order in which it came."""
        return self._server.requests

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
