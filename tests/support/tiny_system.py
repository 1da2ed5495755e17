"""A Debian system of one package on loopback, signed by a key of its own: whole builds without a network.

::

    with TinyArchive(folder) as archive, TinySystem(archive) as system:
        system.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"..."}))
        system.publish()
        program.result("build", repository, "--base", system.base(program))
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.support.apt_repository import AptRepository, MadeDeb, RepositoryServer, SigningKey, make_deb

__all__ = ["TinyArchive", "TinySystem"]

_STATUS = """\
Package: tiny-base
Status: install ok installed
Architecture: all
Version: 1.0
Maintainer: Nobody <nobody@example.org>
Description: all that there is

"""
_SOURCES = """\
Types: deb
URIs: {url}
Suites: stable
Components: main
Signed-By: /etc/apt/keyrings/tiny.pgp
"""


class _Runs(Protocol):
    def result(self, *arguments: str | Path) -> str: ...


class TinyArchive:
    """The address, the key and the base images of all the systems of a session, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bases: dict[tuple[str, ...], Path] = {}
        self.key = SigningKey.generate("archive")
        self.server = RepositoryServer({})

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def serve(self, files: Mapping[str, bytes]) -> None:
        """Let the server be one of these files that nobody has asked yet."""
        self.server.files = files
        self.server.before_answer = None
        self.server.requests.clear()
        self.server.sent_bytes = 0

    def base(self, program: _Runs, *options: str) -> Path:
        """The layout of a base that knows the archive; the program itself makes it, once, out of files alone."""
        if options not in self._bases:
            folder = self._folder / f"base-{len(self._bases)}"
            files: dict[str, str | bytes] = {
                "etc/os-release": 'ID=tiny\nVERSION_CODENAME=tiny\nPRETTY_NAME="Tiny"\n',
                "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
                "etc/group": "root:x:0:\n",
                "etc/apt/sources.list.d/tiny.sources": _SOURCES.format(url=self.server.url),
                "etc/apt/keyrings/tiny.pgp": self.key.binary,
                "var/lib/dpkg/status": _STATUS,
                "var/lib/dpkg/info/tiny-base.list": "/.\n",
            }
            for path, content in files.items():
                place = folder / "layer/files" / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content if isinstance(content, bytes) else content.encode())
            (folder / "layer/layer.toml").write_text('summary = "a tiny system"\n')
            (folder / "nothing").mkdir()
            output = f"oci:{folder / 'image'}"
            program.result(
                "build", folder / "nothing", "--base", "scratch", "--layer", folder / "layer", "-o", output, *options
            )
            self._bases[options] = folder / "image"
        return self._bases[options]


class TinySystem:
    """What the archive holds for one test (``repository``), and a base image that knows it."""

    def __init__(self, archive: TinyArchive) -> None:
        self._archive = archive
        self.key, self.server = archive.key, archive.server
        self.repository = AptRepository(self.key)
        self.add(make_deb("tiny-base", "1.0"))

    def __enter__(self) -> Self:
        self._archive.serve(self.repository.files)
        self.publish()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.serve({})

    def add(self, deb: MadeDeb) -> str:
        """Put a package into the archive; its path there."""
        return self.repository.add(deb)

    def publish(self) -> None:
        """Write and sign the archive's lists as they are now."""
        self.repository.publish("stable", architectures=("amd64", "arm64"))

    def base(self, program: _Runs, *options: str) -> str:
        """The base as ``--base`` takes it."""
        return f"oci:{self._archive.base(program, *options)}"
