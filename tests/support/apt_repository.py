"""Made-up Debian archives for tests: .deb files, signed repositories, and a server for them on loopback.

For every test that needs packages of its own: ::

    key = SigningKey.generate("archive")
    repository = AptRepository(key)
    repository.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"..."}, fields={"Depends": "libc6"}))
    repository.publish("stable", architectures=("amd64",))
    with RepositoryServer(repository.files) as server:
        ...  # server.url, server.requests

What is served is the dictionary ``files`` (path -> bytes) as it is at the time of each request, so that a test can
change, truncate or remove what it likes. Nothing here is part of the program.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import sys
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import zstandard
from pysequoia import Cert, SignatureMode, Tsk, sign

__all__ = ["AptRepository", "MadeDeb", "RepositoryServer", "SigningKey", "compress", "make_ar", "make_deb"]

_SUFFIX = {"none": "", "xz": ".xz", "gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2"}


def compress(data: bytes, codec: str) -> bytes:
    """These bytes in one of ``none``, ``xz``, ``gzip``, ``zstd``, ``bzip2``."""
    compressors: dict[str, Callable[[bytes], bytes]] = {
        "none": bytes,
        "xz": lzma.compress,
        "gzip": lambda plain: gzip.compress(plain, mtime=0),
        "zstd": zstandard.ZstdCompressor().compress,
        "bzip2": bz2.compress,
    }
    return compressors[codec](data)


@dataclass(frozen=True)
class SigningKey:
    """An OpenPGP key that signs a repository; ``public`` is its armoured certificate, ``binary`` the same unarmoured."""

    secret: Tsk
    public: bytes
    binary: bytes
    fingerprint: str

    @classmethod
    def generate(cls, name: str, *, validity_seconds: int | None = None) -> "SigningKey":
        """A new key with a signing subkey."""
        return cls.of(Tsk.generate(user_id=f"{name} <{name}@example.org>", validity_seconds=validity_seconds))

    @classmethod
    def of(cls, secret: Tsk) -> "SigningKey":
        """The key that pysequoia holds."""
        certificate: Cert = secret.extract_certificate()
        return cls(secret, str(certificate).encode(), bytes(certificate), certificate.fingerprint)

    def clearsign(self, text: bytes) -> bytes:
        """The text as an InRelease file."""
        return bytes(sign(self.secret.signer(), text, mode=SignatureMode.CLEAR))

    def detached(self, text: bytes) -> bytes:
        """The signature alone, as a Release.gpg file."""
        return bytes(sign(self.secret.signer(), text, mode=SignatureMode.DETACHED))


def make_ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An ar archive (ar(5), the common form), as .deb files are (deb(5))."""
    out = bytearray(b"!<arch>\n")
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return bytes(out)


def _tar(entries: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _member(name: str, *, mode: int = 0o644, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.size, info.type, info.uname, info.gname = mode, size, kind, "root", "root"
    return info


def _data_entries(
    files: Mapping[str, bytes],
    links: Mapping[str, str],
    hard_links: Mapping[str, str],
    owners: Mapping[str, tuple[int, int, int]],
) -> list[tuple[tarfile.TarInfo, bytes]]:
    folders = {"."}
    for path in (*files, *links, *hard_links):
        parts = path.split("/")[:-1]
        folders |= {"/".join([".", *parts[:count]]) for count in range(1, len(parts) + 1)}
    entries = [(_member(f"{folder}/", mode=0o755, kind=tarfile.DIRTYPE), b"") for folder in sorted(folders)]
    for path, content in sorted(files.items()):
        mode = 0o755 if "/bin/" in f"/{path}" or "/sbin/" in f"/{path}" else 0o644
        entries.append((_member(f"./{path}", mode=mode, size=len(content)), content))
    for path, target in sorted(links.items()):
        info = _member(f"./{path}", mode=0o777, kind=tarfile.SYMTYPE)
        info.linkname = target
        entries.append((info, b""))
    for path, target in sorted(hard_links.items()):
        info = _member(f"./{path}", mode=0o755 if "/bin/" in f"/{path}" else 0o644, kind=tarfile.LNKTYPE)
        info.linkname = f"./{target}"
        entries.append((info, b""))
    for info, _ in entries:
        if info.name.strip("./") in owners:
            info.mode, info.uid, info.gid = owners[info.name.strip("./")]
            info.uname = info.gname = ""  # dpkg prefers names where it knows them
    return entries


@dataclass(frozen=True)
class MadeDeb:
    """A .deb file with its control text (one stanza, no trailing blank line)."""

    name: str
    version: str
    architecture: str
    control: str
    data: bytes

    @property
    def filename(self) -> str:
        """The file's usual name: no epoch in it."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}.deb"


def make_deb(
    name: str,
    version: str = "1.0",
    architecture: str = "all",
    *,
    fields: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    links: Mapping[str, str] | None = None,
    hard_links: Mapping[str, str] | None = None,
    owners: Mapping[str, tuple[int, int, int]] | None = None,
    control_files: Mapping[str, str] | None = None,
    codec: str = "xz",
) -> MadeDeb:
    """A binary package (deb(5)).

    ``fields`` are added to the control file; ``files`` and ``links`` (path without a leading slash -> content, target)
    are its data, ``hard_links`` name one of the files, ``owners`` (path -> mode, user, group) change what a header says;
    ``control_files`` are further control members by name (``postinst``, ``conffiles``, ``triggers``),
    executable where they start with ``#!``. ``md5sums`` is made as debhelper does.
    """
    files, links = files or {}, links or {}
    stanza = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "Nobody <nobody@example.org>",
        "Description": f"made-up package {name}",
    } | dict(fields or {})
    control = "\n".join(f"{key}: {value}" for key, value in stanza.items())
    members = {"control": f"{control}\n"} | dict(control_files or {})
    if files:
        members["md5sums"] = "".join(f"{hashlib.md5(data).hexdigest()}  {path}\n" for path, data in files.items())
    control_entries = [(_member("./", mode=0o755, kind=tarfile.DIRTYPE), b"")]
    for member, text in members.items():
        data = text.encode()
        mode = 0o755 if text.startswith("#!") else 0o644
        control_entries.append((_member(f"./{member}", mode=mode, size=len(data)), data))
    archive = make_ar(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar{_SUFFIX[codec]}", compress(_tar(control_entries), codec)),
            (
                f"data.tar{_SUFFIX[codec]}",
                compress(_tar(_data_entries(files, links, hard_links or {}, owners or {})), codec),
            ),
        ]
    )
    return MadeDeb(name, version, architecture, control, archive)


@dataclass
class AptRepository:
    """An archive in memory. ``add`` puts packages in, ``publish`` writes a suite's indexes and signs them."""

    key: SigningKey
    files: MutableMapping[str, bytes] = field(default_factory=dict)
    stanzas: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, deb: MadeDeb, *, suite: str = "stable", component: str = "main", stored_as: str | None = None) -> str:
        """Put the package into a component of a suite; the path (its ``Filename``) is returned."""
        path = stored_as or f"pool/{component}/{deb.name[0]}/{deb.name}/{deb.filename}"
        self.files[path] = deb.data
        stanza = f"{deb.control}\nFilename: {path}\nSize: {len(deb.data)}\nSHA256: {_sha256(deb.data)}"
        self.stanzas.setdefault((suite, component), []).append((deb.architecture, stanza))
        return path

    def packages(self, suite: str, component: str, architecture: str) -> bytes:
        """The text of this Packages file: packages for all architectures stand in every one."""
        chosen = [
            stanza
            for stanza_architecture, stanza in self.stanzas.get((suite, component), [])
            if stanza_architecture in (architecture, "all") or architecture == ""
        ]
        return "".join(f"{stanza}\n\n" for stanza in chosen).encode()

    def publish(
        self,
        suite: str = "stable",
        *,
        architectures: tuple[str, ...] = ("amd64",),
        components: tuple[str, ...] = ("main",),
        codecs: tuple[str, ...] = ("none", "xz"),
        listed: tuple[str, ...] | None = None,
        date: datetime | None = None,
        valid_until: datetime | None = None,
        by_hash: bool = True,
        fields: Mapping[str, str] | None = None,
        signature: str = "inline",
    ) -> None:
        """Write the indexes, ``InRelease`` (or, with ``signature="detached"``, ``Release`` and ``Release.gpg``).

        A suite that ends in ``/`` is a flat repository. ``codecs`` are the forms in which indexes are stored, ``listed``
        those that the Release names (all of them unless said otherwise, and always the plain one).
        """
        flat = suite.endswith("/")
        folder = suite.strip("./") if flat else f"dists/{suite}"
        prefix = f"{folder}/" if folder else ""
        sums: dict[str, bytes] = {}
        for component in ("main",) if flat else components:
            for architecture in ("",) if flat else architectures:
                index = "Packages" if flat else f"{component}/binary-{architecture}/Packages"
                text = self.packages(suite, component, architecture)
                for codec in dict.fromkeys(("none", *codecs)):
                    data = compress(text, codec)
                    if codec == "none" or codec in (codecs if listed is None else listed):
                        sums[f"{index}{_SUFFIX[codec]}"] = data
                    if codec in codecs:
                        self.files[f"{prefix}{index}{_SUFFIX[codec]}"] = data
                        if by_hash:
                            where = index.rpartition("/")[0]
                            path = f"{prefix}{where}/by-hash/SHA256/{_sha256(data)}".replace("//", "/")
                            self.files[path] = data
        release = {
            "Origin": "Example",
            "Label": "Example",
            **({} if flat else {"Suite": suite, "Codename": suite}),
            "Date": _rfc822(date or datetime.now(UTC)),
            **({"Valid-Until": _rfc822(valid_until)} if valid_until else {}),
            **({"Acquire-By-Hash": "yes"} if by_hash else {}),
            **({} if flat else {"Architectures": " ".join(architectures), "Components": " ".join(components)}),
        } | dict(fields or {})
        lines = [f"{name}: {value}" for name, value in release.items() if value]
        lines += ["SHA256:", *(f" {_sha256(data)} {len(data)} {path}" for path, data in sums.items())]
        self.sign(prefix, ("\n".join(lines) + "\n").encode(), signature)

    def sign(self, prefix: str, text: bytes, signature: str) -> None:
        """Write the release file of a suite: ``inline``, ``detached`` or ``none`` (Release alone)."""
        for name in ("InRelease", "Release", "Release.gpg"):
            self.files.pop(f"{prefix}{name}", None)
        if signature == "inline":
            self.files[f"{prefix}InRelease"] = self.key.clearsign(text)
            return
        self.files[f"{prefix}Release"] = text
        if signature == "detached":
            self.files[f"{prefix}Release.gpg"] = self.key.detached(text)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _rfc822(time: datetime) -> str:
    return format_datetime(time.astimezone(UTC)).replace("+0000", "UTC")


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that were ended in the middle of a connection: tests do that."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class RepositoryServer:
    """Serves ``files`` on a free port of 127.0.0.1 while the ``with`` block lasts.

    ``requests`` lists the paths that were asked for; ``before_answer`` is called with each path before it is looked
    up; ``ranges`` tells whether Range requests are answered with 206, as most mirrors do, or with the whole file.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        ranges: bool = True,
        before_answer: Callable[[str], None] | None = None,
    ) -> None:
        self.files = files
        self.ranges = ranges
        self.before_answer = before_answer
        self.requests: list[str] = []
        self.sent_bytes = 0
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, range_header: str | None) -> tuple[int, bytes, dict[str, str]]:
        self.requests.append(path)
        if self.before_answer is not None:
            self.before_answer(path)
        data = self.files.get(path)
        if data is None:
            return 404, b"not found\n", {}
        if range_header and self.ranges:
            first, _, last = range_header.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
            if start >= len(data):
                return 416, b"", {"Content-Range": f"bytes */{len(data)}"}
            return 206, data[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
        return 200, data, {"Accept-Ranges": "bytes"} if self.ranges else {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body, headers = outer._answer(self.path.lstrip("/"), self.headers.get("Range"))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                    outer.sent_bytes += len(body)
                except (BrokenPipeError, ConnectionResetError):  # the client had enough
                    self.close_connection = True

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it so
                """Keep the test's output clean."""

        return Handler
