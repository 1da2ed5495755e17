from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, IntegrityError, OcibuildError
from ocibuild.core.events import discard
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.net.client import HttpClient
from ocibuild.store.store import Store
from ocibuild.work.bodies import PackageBodies

WHEEL = b"the bytes of a wheel"


def locked(path: str, digest: Digest) -> LockedPackage:
    return LockedPackage(Ecosystem.PIP, "thing", "1.0", "any", "file", path, digest, len(WHEEL))


@pytest.fixture
def bodies(tmp_path: Path) -> PackageBodies:
    (tmp_path / "my wheels").mkdir()
    (tmp_path / "my wheels/thing.whl").write_bytes(WHEEL)
    addresses = {"file": tmp_path.as_uri() + "/"}
    return PackageBodies(Store.at(tmp_path / "store"), addresses, http=HttpClient(), events=discard)


def test_a_file_of_this_machine_is_copied_and_verified(bodies: PackageBodies) -> None:
    with bodies:
        path = bodies.path(locked("my%20wheels/thing.whl", Digest.of(WHEEL)))
        assert path.read_bytes() == WHEEL
        assert bodies.is_here(locked("elsewhere", Digest.of(WHEEL)))


def test_a_file_with_other_bytes_does_not_enter_the_store(bodies: PackageBodies) -> None:
    other = locked("my%20wheels/thing.whl", Digest.of(b"other"))
    with bodies, pytest.raises(IntegrityError, match=r"thing\.whl"):
        bodies.path(other)
    assert not bodies.is_here(other)
    assert not bodies.is_here(locked("", Digest.of(WHEEL)))


def test_a_file_that_is_gone_is_named(bodies: PackageBodies) -> None:
    with bodies, pytest.raises(OcibuildError, match=r"gone\.whl for thing=1\.0 any"):
        bodies.path(locked("gone.whl", Digest.of(WHEEL)))


def test_a_source_that_this_machine_does_not_have(tmp_path: Path) -> None:
    with (
        PackageBodies(Store.at(tmp_path), {}, http=HttpClient(), events=discard) as bodies,
        pytest.raises(BuildError, match="no source named 'file'"),
    ):
        bodies.path(locked("x.whl", Digest.of(WHEEL)))
