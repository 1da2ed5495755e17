"""A caching proxy on loopback for Debian's mirror and a Python index: what was asked once never leaves this machine again.

``http://127.0.0.1:PORT/http/HOST/PATH`` stands for ``http://HOST/PATH``, and the addresses in an index's pages are turned
into such ones. Nothing expires: within one run of a benchmark the archive stands still.
"""

import hashlib
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["CachingProxy"]

_HREF = re.compile(rb"(href=\"|\"url\": ?\")(https?)://([^\"]+)")
_PAGES = ("text/html", "application/vnd.pypi.simple")
_KEPT_HEADERS = ("content-type", "etag", "last-modified")


class CachingProxy:
    """Serves from ``folder``; a context manager. ``packages`` counts the packages that were asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.packages = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy.answer(self, folder)

            do_HEAD = do_GET  # noqa: N815 - the base class's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def address(self, url: str) -> str:
        """The address of this URL through the proxy."""
        scheme, _, rest = url.partition("://")
        return f"http://127.0.0.1:{self._server.server_port}/{scheme}/{rest}"

    def answer(self, request: BaseHTTPRequestHandler, folder: Path) -> None:
        """Answer one request."""
        scheme, _, rest = request.path.removeprefix("/").partition("/")
        accept = request.headers.get("Accept", "")
        key = hashlib.sha256(f"{request.path} {'json' in accept}".encode()).hexdigest()
        head, body = folder / f"{key}.json", folder / key
        if request.path.endswith((".deb", ".whl")):
            self.packages += request.command == "GET"
        if not head.exists():
            self._fetch(f"{scheme}://{rest}", accept, head, body)
        found = json.loads(head.read_text())
        size_bytes = body.stat().st_size
        start, end = 0, size_bytes
        wanted = (
            re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")) if found["status"] == 200 else None
        )
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2]) + 1 if wanted[2] else size_bytes, size_bytes)
        request.send_response(206 if wanted else found["status"])
        for name, value in found["headers"].items():
            request.send_header(name, value)
        if wanted:
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{size_bytes}")
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(end - start))
        request.end_headers()
        if request.command == "GET":
            with body.open("rb") as file:
                file.seek(start)
                if end == size_bytes:
                    shutil.copyfileobj(file, request.wfile, 1 << 18)
                else:
                    request.wfile.write(file.read(end - start))

    def _fetch(self, url: str, accept: str, head: Path, body: Path) -> None:
        request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "pip/26"})
        try:
            with urllib.request.urlopen(request) as response:
                status, headers, content = response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            status, headers, content = error.code, error.headers, b""
        if headers.get("Content-Type", "").startswith(_PAGES):
            content = _HREF.sub(
                lambda found: found[1] + self.address(f"{found[2].decode()}://").encode() + found[3], content
            )
        partial = body.with_name(f"{body.name}.{threading.get_ident()}")
        partial.write_bytes(content)
        partial.rename(body)
        kept = {name: headers[name] for name in _KEPT_HEADERS if headers.get(name)}
        partial.write_text(json.dumps({"status": status, "headers": kept}))
        partial.rename(head)
