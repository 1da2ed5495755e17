"""The control members of packages whose bodies are not here yet: read from the beginning of the remote files.

A .deb begins with its control archive, so some kilobytes tell which maintainer scripts it has. What is read so is
hostile: nothing vouches for it before the whole file is verified. It fills a plan, and is kept under a name of its own.
"""

import base64
import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink, TaskFinished, TaskStarted
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.apt.deb import Control, DebFile
from ocibuild.net.client import HttpClient
from ocibuild.net.document import fetch_range
from ocibuild.store.store import Store

__all__ = ["remote_controls"]

_KIND = "apt-unverified-control"
_LEFT_OUT = frozenset({"md5sums", "symbols", "shlibs"})  # large, and nothing that runs or decides
_FIRST_BYTES = 64 << 10  # nearly every control archive is smaller
_LARGEST_BYTES = 16 << 20
_CONNECTIONS = 4
_MAGIC_BYTES, _HEADER_BYTES = 8, 60
_NO_DATA = f"{'data.tar':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{0:<10}`\n".encode()


def remote_controls(
    packages: Iterable[LockedPackage],
    addresses: Mapping[str, str],
    *,
    http: HttpClient,
    store: Store,
    events: EventSink,
) -> dict[Digest, Control]:
    """Package digest -> its control members, without ``md5sums`` and the like; none of the bodies is fetched.

    ``addresses`` gives each source's base URL. A package that the store holds is read there; what was read from a
    mirror is remembered by the package's digest. A NetworkError where a mirror does not answer; an ImageError where
    what it gives is no Debian package.
    """

    def control(package: LockedPackage) -> Control:
        if package.digest in store.blobs:
            with DebFile.open(store.blobs.path(package.digest), name=package.identity) as deb:
                return _reduced(deb.control())
        known = _decode(store.records.get(_KIND, package.digest.hex))
        if known is not None:
            return known
        task = f"control {package.digest.hex[:16]}"
        events(TaskStarted(task, "reading scripts of", package.identity))
        found = _reduced(_fetch(http, f"{addresses[package.source]}/{package.path}", package.identity))
        store.records.put(_KIND, package.digest.hex, _encode(found))
        events(TaskFinished(task))
        return found

    distinct = {package.digest: package for package in packages}
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return dict(zip(distinct, pool.map(control, distinct.values()), strict=True))


def _fetch(http: HttpClient, url: str, name: str) -> Control:
    length_bytes = _FIRST_BYTES
    while True:
        # A server without ranges gives the whole file, of which only the beginning is read.
        piece = fetch_range(
            http, url, start_bytes=0, length_bytes=length_bytes, attempted=f"reading the scripts of {name}"
        ).body
        needed_bytes = _control_end(piece, name)
        if needed_bytes <= len(piece):
            # An archive of its own, with empty data: what is behind the control archive was not read.
            padding = b"\n" * (needed_bytes % 2)
            return DebFile(io.BytesIO(piece[:needed_bytes] + padding + _NO_DATA), name=name).control()
        if len(piece) < length_bytes:
            raise ImageError(f"{name}: cut short: {len(piece)} bytes, and its control archive ends at {needed_bytes}")
        length_bytes = needed_bytes


def _control_end(piece: bytes, name: str) -> int:
    """Where the second member, the control archive, ends (deb(5): it follows ``debian-binary``)."""
    offset = _MAGIC_BYTES
    for _ in range(2):
        offset += offset % 2
        size_text = piece[offset + 48 : offset + 58].strip()
        if not size_text.isdigit() or not piece.startswith(b"!<arch>\n"):
            raise ImageError(f"{name}: not a Debian package")
        offset += _HEADER_BYTES + int(size_text)
        if offset > _LARGEST_BYTES:
            raise ImageError(f"{name}: its control archive is larger than {_LARGEST_BYTES} bytes")
    return offset


def _reduced(control: Control) -> Control:
    members = {name: data for name, data in control.members.items() if name not in _LEFT_OUT}
    return Control(members, control.executable & members.keys())


def _encode(control: Control) -> dict[str, Any]:
    members = {name: base64.b64encode(data).decode() for name, data in control.members.items()}
    return {"members": members, "executable": sorted(control.executable)}


def _decode(value: Any) -> Control | None:
    try:
        members = {str(name): base64.b64decode(text) for name, text in value["members"].items()}
        return Control(members, frozenset(map(str, value["executable"])))
    except (TypeError, KeyError, ValueError, AttributeError):
        return None  # absent, or not written by this program: it is read again
