from collections.abc import Iterator
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, NetworkError
from ocibuild.core.events import discard
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.apt.deb import Control
from ocibuild.ecosystem.apt.remote_control import remote_controls
from ocibuild.net.client import HttpClient
from ocibuild.net.policy import HttpPolicy
from ocibuild.store.store import Store
from tests.support.apt_repository import RepositoryServer, make_ar, make_deb

SCRIPT = "#!/bin/sh\nset -e\n"
BODY = bytes(range(256)) * 4096


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(HttpPolicy(tries=1))
    yield client
    client.close()


def package(path: str, data: bytes) -> LockedPackage:
    return LockedPackage(Ecosystem.APT, "p", "1", "amd64", "example", path, Digest.of(data), len(data))


def read(http: HttpClient, server: RepositoryServer, store: Store, *packages: LockedPackage) -> list[Control]:
    found = remote_controls(packages, {"example": server.url}, http=http, store=store, events=discard)
    return [found[one.digest] for one in packages]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("codec", ["xz", "gzip", "zstd", "none"])
def test_the_scripts_are_read_without_the_body(http: HttpClient, tmp_path: Path, *, ranges: bool, codec: str) -> None:
    deb = make_deb("p", files={"usr/share/p": BODY}, control_files={"postinst": SCRIPT, "triggers": "x\n"}, codec=codec)
    store = Store.at(tmp_path)
    one = package("pool/p.deb", deb.data)
    with RepositoryServer({"pool/p.deb": deb.data}, ranges=ranges) as server:
        (control,) = read(http, server, store, one)
        assert control.members["postinst"] == SCRIPT.encode()
        assert control.executable == {"postinst"}
        assert control.members.keys() == {"control", "postinst", "triggers"}
        assert one.digest not in store.blobs
        if ranges:
            assert server.sent_bytes <= 64 << 10
        (again,) = read(http, server, store, one)
        assert again == control
        assert len(server.requests) == 1, "remembered by the package's digest"


def test_a_large_control_archive_is_asked_for_again(http: HttpClient, tmp_path: Path) -> None:
    deb = make_deb("p", control_files={"templates": "x" * 200_000}, codec="none")
    with RepositoryServer({"p.deb": deb.data}) as server:
        (control,) = read(http, server, Store.at(tmp_path), package("p.deb", deb.data))
        assert len(control.members["templates"]) == 200_000
        assert len(server.requests) == 2


def test_a_package_in_the_store_is_read_there(http: HttpClient, tmp_path: Path) -> None:
    deb = make_deb("p", files={"usr/share/p": b"x"}, control_files={"postinst": SCRIPT})
    store = Store.at(tmp_path)
    store.blobs.add(deb.data)
    with RepositoryServer({}) as server:
        (control,) = read(http, server, store, package("p.deb", deb.data))
        assert control.members.keys() == {"control", "postinst"}
        assert not server.requests


@pytest.mark.parametrize(
    "data",
    [
        b"not a package",
        b"!<arch>\n",
        b"!<arch>\n" + b"x" * 200,
        make_ar([("debian-binary", b"2.0\n")]),
        make_ar([("debian-binary", b"2.0\n"), ("control.tar.xz", b"garbage"), ("data.tar", b"")]),
        make_ar([("debian-binary", b"2.0\n"), ("control.tar", b"\0" * 1024), ("data.tar", b"")]),
        make_deb("p").data[:150],
        make_deb("p").data.replace(b"control.tar.xz  ", b"control.tar.7z  "),
        b"!<arch>\n" + f"{'debian-binary':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{9999999999:<10}`\n".encode(),
    ],
)
def test_hostile_packages(http: HttpClient, tmp_path: Path, data: bytes) -> None:
    store = Store.at(tmp_path)
    with RepositoryServer({"p.deb": data}) as server, pytest.raises(ImageError):
        read(http, server, store, package("p.deb", data))
    assert not list(store.records.keys("apt-unverified-control"))


def test_a_package_that_is_gone(http: HttpClient, tmp_path: Path) -> None:
    with RepositoryServer({}) as server, pytest.raises(NetworkError) as caught:
        read(http, server, Store.at(tmp_path), package("p.deb", b"x"))
    assert caught.value.status == 404


def test_a_damaged_memory_is_read_again(http: HttpClient, tmp_path: Path) -> None:
    deb = make_deb("p", control_files={"postinst": SCRIPT})
    store = Store.at(tmp_path)
    one = package("p.deb", deb.data)
    store.records.put("apt-unverified-control", one.digest.hex, {"members": {"postinst": 3}})
    with RepositoryServer({"p.deb": deb.data}) as server:
        (control,) = read(http, server, store, one)
        assert control.members["postinst"] == SCRIPT.encode()
