"""Wheels that are built: rounds of resolving, and how the store finds what it has."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.built import BuiltWheel, UnsuitableSourceError, WheelMetadata
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.plan.source_layer import TreePlace
from ocibuild.source.folder import read_folder
from ocibuild.store.store import Store
from ocibuild.work.editable import editable_entries, store_changes
from ocibuild.work.python_sources import SourceIdentity
from ocibuild.work.python_wheels import resolve_with_builds
from ocibuild.work.wheel_records import WheelRecords
from tests.support.made_projects import write_wheel

TARGET = PythonTarget(
    "3.11.2", "/usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11", Platform(), Libc("glibc", 2, 36)
)
NONE = Digest.of(b"")


def source(name: str, version: str = "1.0") -> PythonSource:
    return PythonSource(SourceKind.ARCHIVE, name=name, version=version, is_of_index=True)


def built(which: PythonSource) -> BuiltWheel:
    return BuiltWheel(which, "x.whl", Path("/x"), NONE, 0, WheelMetadata(which.name, which.version), NONE)


# Rounds.


class Needs:
    """Resolves to what is built; each wheel asks for the next ones."""

    def __init__(self, needs: Mapping[str, tuple[str, ...]], *first: str) -> None:
        self.needs = needs
        self.first = first
        self.asked = 0

    def __call__(self, wheels: Mapping[str, BuiltWheel], unsuitable: Mapping[tuple[str, str], str]) -> PipResolution:
        self.asked += 1
        names = {wheel.metadata.name for wheel in wheels.values()}
        wanted, waiting = set(), list(self.first)
        while waiting:
            name = waiting.pop()
            if (name, "1.0") in unsuitable:
                continue
            wanted.add(name)
            waiting += [each for each in self.needs.get(name, ()) if name in names and each not in wanted]
        return PipResolution(missing=tuple(source(name) for name in sorted(wanted - names)))


def test_each_round_builds_all_that_it_finds() -> None:
    made: list[str] = []

    def build(which: PythonSource) -> BuiltWheel:
        made.append(which.name)
        return built(which)

    needs = Needs({"a": ("c",), "b": ("c", "d"), "d": ("e",)}, "a", "b")
    assert resolve_with_builds(needs, build).missing == ()
    assert made == ["a", "b", "c", "d", "e"]
    assert needs.asked == 4


def test_what_was_asked_before_is_not_asked_again() -> None:
    needs = Needs({}, "a")
    first = needs({}, {})
    assert resolve_with_builds(needs, built, first=first).missing == ()
    assert needs.asked == 2


def test_a_build_that_fails_counts_only_if_it_is_needed() -> None:
    def build(which: PythonSource) -> BuiltWheel:
        if which.name == "broken":
            raise BuildError("broken is broken")
        return built(which)

    class Changing(Needs):
        def __call__(
            self, wheels: Mapping[str, BuiltWheel], unsuitable: Mapping[tuple[str, str], str]
        ) -> PipResolution:
            if wheels:
                self.first = ("a",)
            return super().__call__(wheels, unsuitable)

    assert resolve_with_builds(Changing({}, "a", "broken"), build).missing == ()
    with pytest.raises(BuildError, match="broken is broken"):
        resolve_with_builds(Needs({}, "a", "broken"), build)
    with pytest.raises(BuildError, match="broken is broken"):
        resolve_with_builds(Needs({}, "broken"), build)


def test_an_unsuitable_version_is_passed_over() -> None:
    def build(which: PythonSource) -> BuiltWheel:
        if which.name == "old":
            raise UnsuitableSourceError("old is for Python 2")
        return built(which)

    assert resolve_with_builds(Needs({}, "old", "a"), build).missing == ()


def test_what_is_not_built_now_stays_missing() -> None:
    found = resolve_with_builds(Needs({"a": ("b",)}, "a"), lambda which: built(which) if which.name == "a" else None)
    assert [each.name for each in found.missing] == ["b"]


def test_there_is_an_end() -> None:
    needs = {str(number): (str(number + 1),) for number in range(1000)}
    with pytest.raises(BuildError, match="still finds"):
        resolve_with_builds(Needs(needs, "0"), built)


# The store.


def records(folder: Path, *, root_key: str = "root", target: PythonTarget = TARGET, **environment: str) -> WheelRecords:
    return WheelRecords(Store.at(folder / "store"), target, root_key, environment, ("/build", "/home/me"))


def put(
    folder: Path, which: PythonSource, identity: SourceIdentity, tag: str = "py3-none-any", **more: str
) -> BuiltWheel:
    wheels = folder / "wheels"
    wheels.mkdir(exist_ok=True)
    scratch = folder / f"scratch-{len(list(folder.iterdir()))}"
    scratch.mkdir()
    wheel = write_wheel(wheels, more.get("name", which.name), more.get("version", which.version), tag=tag)
    with_packages = [LockedPackage(Ecosystem.PIP, "setuptools", "80", "any", "pypi", "s.whl", Digest.of(b"s"))]
    return records(folder).put(which, identity, wheel, with_packages, scratch=scratch)


IDENTITY = SourceIdentity(Digest.of(b"source"))


def test_a_pure_wheel_is_for_every_root(tmp_path: Path) -> None:
    which = source("made")
    assert records(tmp_path).known(which, IDENTITY) is None
    wheel = put(tmp_path, which, IDENTITY)
    assert records(tmp_path).known(which, IDENTITY) == wheel
    assert records(tmp_path, root_key="other", CFLAGS="-O3").known(which, IDENTITY) == wheel
    assert wheel.built_with == f'[{{"name": "setuptools", "sha256": "{Digest.of(b"s").hex}", "version": "80"}}]'


def test_what_a_wheel_depends_on(tmp_path: Path) -> None:
    which = source("made")
    put(tmp_path, which, IDENTITY)
    others = [
        (dataclasses.replace(which, subdirectory="x"), IDENTITY, TARGET),
        (dataclasses.replace(which, settings=(("a", "b"),)), IDENTITY, TARGET),
        (dataclasses.replace(which, is_editable=True), IDENTITY, TARGET),
        (which, SourceIdentity(Digest.of(b"other")), TARGET),
        (which, SourceIdentity(IDENTITY.digest, "commit"), TARGET),
        (which, IDENTITY, dataclasses.replace(TARGET, version="3.11.3")),
        (which, IDENTITY, dataclasses.replace(TARGET, libc=Libc("glibc", 2, 41))),
        (which, IDENTITY, dataclasses.replace(TARGET, platform=Platform("linux", "arm64"))),
    ]
    for changed, identity, target in others:
        assert records(tmp_path, target=target).known(changed, identity) is None


def test_a_compiled_wheel_is_for_its_root_and_environment(tmp_path: Path) -> None:
    which = source("made")
    put(tmp_path, which, IDENTITY, tag="cp311-cp311-linux_x86_64")
    assert records(tmp_path).known(which, IDENTITY) is not None
    assert records(tmp_path, root_key="other").known(which, IDENTITY) is None
    assert records(tmp_path, CFLAGS="-O3").known(which, IDENTITY) is None


def test_what_is_lost_or_damaged_is_built_again(tmp_path: Path) -> None:
    which = source("made")
    wheel = put(tmp_path, which, IDENTITY)
    wheel.path.unlink()
    assert records(tmp_path).known(which, IDENTITY) is None
    put(tmp_path, which, IDENTITY)
    assert records(tmp_path).known(which, IDENTITY) is not None
    for path in (tmp_path / "store/records").rglob("*.json"):
        path.write_text('{"wheel": "no digest"}')
    assert records(tmp_path).known(which, IDENTITY) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "other"}, r"made 1\.0: its build made a wheel of other 1\.0"),
        ({"version": "2.0"}, r"made 1\.0: its build made a wheel of made 2\.0"),
        ({"tag": "cp311-cp311-win_amd64"}, r"which is not for Python 3\.11"),
        ({"tag": "cp312-cp312-linux_x86_64"}, r"which is not for Python 3\.11"),
    ],
)
def test_a_wheel_of_something_else(tmp_path: Path, more: dict[str, str], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        put(tmp_path, source("made"), IDENTITY, **more)
    assert records(tmp_path).known(source("made"), IDENTITY) is None


# What editable installs leave.


def test_what_a_build_left_in_its_folder(tmp_path: Path) -> None:
    store, folder = Store.at(tmp_path / "store"), tmp_path / "project"
    (folder / "old").mkdir(parents=True)
    (folder / "old/same.py").write_text("same")
    (folder / "old/changed.py").write_text("before")
    before = read_folder(folder)
    assert store_changes(before, folder, store, local_path=".") is None
    (folder / "old/changed.py").write_text("after")
    (folder / "new").mkdir()
    (folder / "new/run").write_text("#!/bin/sh\n")
    (folder / "new/run").chmod(0o700)
    (folder / "link").symlink_to("old")
    changes = store_changes(before, folder, store, local_path="sub/project")
    assert changes is not None
    package = LockedPackage(
        Ecosystem.PIP, "made", "1.0", "any", "file", ".", NONE, fields={"wheel": NONE.hex, "changes": changes.hex}
    )
    place = TreePlace("home/me", uid=1, gid=2, modified=3)
    entries = list(editable_entries([dataclasses.replace(package, fields={}), package], store, place))
    assert [(entry.path, entry.kind.value, entry.mode, entry.link, entry.read()) for entry in entries] == [
        ("home/me/sub/project/link", "symlink", 0o777, "old", b""),
        ("home/me/sub/project/new", "directory", 0o755, "", b""),
        ("home/me/sub/project/new/run", "file", 0o755, "", b"#!/bin/sh\n"),
        ("home/me/sub/project/old/changed.py", "file", 0o644, "", b"after"),
    ]
    assert {(entry.uid, entry.gid, entry.modified) for entry in entries} == {(1, 2, 3)}
