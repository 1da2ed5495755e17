"""What packages say of themselves is read out of remote files: little of them is fetched, and nothing is trusted."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, NetworkError, OcibuildError
from ocibuild.core.events import discard
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.conda.remote_info import PackageFacts, remote_facts
from ocibuild.net.client import HttpClient
from ocibuild.net.policy import HttpPolicy
from ocibuild.store.store import Store
from tests.support.apt_repository import RepositoryServer
from tests.support.conda_channel import File, Recipe, write_package

SITE = "lib/python3.12/site-packages"
FILES = [
    File("bin/.app-post-link.sh", b"#!/bin/sh\n", 0o755),
    File(f"{SITE}/app-1.5.dist-info/METADATA", b"Name: app\n"),
    File(f"{SITE}/other_thing-2.dist-info/METADATA", b"Name: other-thing\n"),
]
FACTS = PackageFacts({"app": "1.5", "other-thing": "2"}, "bin/.app-post-link.sh")


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(HttpPolicy(tries=1))
    yield client
    client.close()


class Rig:
    """One package on a server, and a store."""

    def __init__(self, http: HttpClient, folder: Path, data: bytes, name: str = "app.conda") -> None:
        self.http, self.store, self.data = http, Store.at(folder / "store"), data
        self.package = LockedPackage(
            Ecosystem.CONDA, "app", "1", "amd64", "team", f"linux-64/{name}", Digest.of(data), len(data)
        )
        self.body = folder / name
        self.body.write_bytes(data)
        self.fetched = 0

    def read(self, address: str) -> PackageFacts:
        def fetch(_: LockedPackage) -> Path:
            self.fetched += 1
            return self.body

        found = remote_facts(
            [self.package], lambda package: f"{address}/{package.path}", fetch=fetch, http=self.http, store=self.store,
            events=discard,
        )  # fmt: skip
        return found[self.package.digest]


def made(folder: Path, form: Literal[".conda", ".tar.bz2"], *files: File) -> bytes:
    return write_package(folder, Recipe("app", "1", files=[*FILES, *files], form=form)).read_bytes()


def test_a_conda_file_is_read_from_its_ends(http: HttpClient, tmp_path: Path) -> None:
    large = File("share/large", os.urandom(4 << 20))
    rig = Rig(http, tmp_path, made(tmp_path, ".conda", large))
    with RepositoryServer({rig.package.path: rig.data}) as server:
        assert rig.read(server.url) == FACTS
        assert server.sent_bytes <= 3 * (64 << 10)
        asked = len(server.requests)
        assert rig.read(server.url) == FACTS
        assert len(server.requests) == asked, "remembered by the package's digest"
    assert rig.fetched == 0
    assert rig.package.digest not in rig.store.blobs


def test_a_size_that_is_not_known_is_asked_for(http: HttpClient, tmp_path: Path) -> None:
    rig = Rig(http, tmp_path, made(tmp_path, ".conda"))
    rig.package = replace(rig.package, size_bytes=None)
    with RepositoryServer({rig.package.path: rig.data}) as server:
        assert rig.read(server.url) == FACTS
    assert rig.fetched == 0


def test_metadata_of_any_size_is_read(http: HttpClient, tmp_path: Path) -> None:
    many = [File(f"share/{os.urandom(60).hex()}", b"x") for _ in range(3000)]
    rig = Rig(http, tmp_path, made(tmp_path, ".conda", *many))
    with RepositoryServer({rig.package.path: rig.data}) as server:
        assert rig.read(server.url) == FACTS
    assert rig.fetched == 0


def test_a_tar_bz2_file_is_read_from_its_beginning(http: HttpClient, tmp_path: Path) -> None:
    large = File("share/large", os.urandom(4 << 20))
    rig = Rig(http, tmp_path, made(tmp_path, ".tar.bz2", large), "app.tar.bz2")
    with RepositoryServer({rig.package.path: rig.data}) as server:
        assert rig.read(server.url) == FACTS
        assert server.sent_bytes < len(rig.data) // 2
    assert rig.fetched == 0


def test_where_a_server_gives_no_parts_the_body_is_fetched(http: HttpClient, tmp_path: Path) -> None:
    large = File("share/large", os.urandom(1 << 20))
    rig = Rig(http, tmp_path, made(tmp_path, ".conda", large))
    with RepositoryServer({rig.package.path: rig.data}, ranges=False) as server:
        assert rig.read(server.url) == FACTS
    assert rig.fetched == 1


def test_on_this_machine_it_is_read_where_it_is(http: HttpClient, tmp_path: Path) -> None:
    rig = Rig(http, tmp_path, made(tmp_path, ".conda"))
    (tmp_path / "channel/linux-64").mkdir(parents=True)
    (tmp_path / "channel" / rig.package.path).write_bytes(rig.data)
    assert rig.read((tmp_path / "channel").as_uri()) == FACTS
    (tmp_path / "channel" / rig.package.path).unlink()
    other = Rig(http, tmp_path / "channel", rig.data)
    with pytest.raises(OcibuildError, match="No such file"):
        other.read((tmp_path / "channel").as_uri())


def test_what_is_broken_is_named(http: HttpClient, tmp_path: Path) -> None:
    rig = Rig(http, tmp_path, b"PK" + os.urandom(1000))
    with RepositoryServer({rig.package.path: rig.data}) as server:
        with pytest.raises(ImageError, match="app=1 amd64: not a conda package"):
            rig.read(server.url)
        with pytest.raises(NetworkError):
            rig.read(f"{server.url}/elsewhere")
