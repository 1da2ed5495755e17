"""A Debian system of one package on loopback, signed by a key of its own: whole builds without a network.

::

    with TinySystem(folder) as system:
        system.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"..."}))
        system.publish()
        program.result("build", repository, "--base", system.base(program))
"""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.support.apt_repository import AptRepository, MadeDeb, RepositoryServer, SigningKey, make_deb

__all__ = ["TinySystem"]

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


class TinySystem:
    """An archive (``repository``, ``server``) and a base image that knows it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.key = SigningKey.generate("archive")
        self.repository = AptRepository(self.key)
        self.server = RepositoryServer(self.repository.files)
        self.add(make_deb("tiny-base", "1.0"))

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.publish()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def add(self, deb: MadeDeb) -> str:
        """Put a package into the archive; its path there."""
        return self.repository.add(deb)

    def publish(self) -> None:
        """Write and sign the archive's lists as they are now."""
        self.repository.publish("stable", architectures=("amd64", "arm64"))

    def base(self, program: _Runs, *options: str) -> str:
        """The base as ``--base`` takes it; the program itself makes it, once, out of files alone."""
        layout = self._folder / "base-image"
        if not layout.exists():
            files: dict[str, str | bytes] = {
                "etc/os-release": 'ID=tiny\nPRETTY_NAME="Tiny"\n',
                "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
                "etc/group": "root:x:0:\n",
                "etc/apt/sources.list.d/tiny.sources": _SOURCES.format(url=self.server.url),
                "etc/apt/keyrings/tiny.pgp": self.key.binary,
                "var/lib/dpkg/status": _STATUS,
                "var/lib/dpkg/info/tiny-base.list": "/.\n",
            }
            layer = self._folder / "tiny"
            for path, content in files.items():
                place = layer / "files" / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content if isinstance(content, bytes) else content.encode())
            (layer / "layer.toml").write_text('summary = "a tiny system"\n')
            (self._folder / "nothing").mkdir()
            nothing, output = self._folder / "nothing", f"oci:{layout}"
            program.result("build", nothing, "--base", "scratch", "--layer", layer, "-o", output, *options)
        return f"oci:{layout}"
