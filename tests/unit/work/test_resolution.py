"""What is resolved is kept: Debian's packages by themselves, and never where they were found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from ocibuild.core.asks import AptAsk, Origin, PackageAsks, PipAsks
from ocibuild.core.digest import Digest
from ocibuild.core.events import discard
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.configuration import IndexSettings
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.image.config import ImageConfig
from ocibuild.image.view import View, ViewEntry
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.apt_resolution import DebianAnswer
from ocibuild.work.base import Base
from ocibuild.work.conda_resolution import CondaResolver
from ocibuild.work.machine import Machine
from ocibuild.work.r_resolution import RResolver
from ocibuild.work.resolution import Resolver

PLATFORM = Platform()
GIT = AptAsk("git", Origin("apt.txt", 1))


def package(name: str, ecosystem: Ecosystem) -> LockedPackage:
    return LockedPackage(ecosystem, name, "1", "amd64", ecosystem.value, f"{name}.file", Digest.of(name.encode()))


class Debian:
    """A mirror that moves, and counts how often it is asked to resolve."""

    def __init__(self) -> None:
        self.address = "http://one.example/"
        self.asked = 0

    def resolve(self, asks: Sequence[AptAsk], base: Base) -> DebianAnswer:
        self.asked += 1
        return DebianAnswer((package("git", Ecosystem.APT),), (), (), self.addresses(base))

    def addresses(self, _: Base) -> Mapping[str, str]:
        return {"apt": self.address}


class Python:
    """An index with one wheel."""

    def __init__(self) -> None:
        self.asked = 0

    def settings(self) -> IndexSettings:
        return IndexSettings()

    def is_current(self, *_: object) -> bool:
        return True

    def resolve(self, *_: object, **__: object) -> PipResolution:
        self.asked += 1
        return PipResolution((package("idna", Ecosystem.PIP),), {"pip": "http://index.example/"})


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def base() -> Base:
    view = View({"var/lib/dpkg/status": ViewEntry("file", 0o644)}, kept={"var/lib/dpkg/status": b""})
    return Base("apt:made", PLATFORM, view, ImageConfig(PLATFORM), digest=Digest.of(b"base"))


class Rig:
    def __init__(self, folder: Path, base: Base) -> None:
        self.debian, self.python, self.clock, self.base = Debian(), Python(), Clock(), base
        self.store, self.folder = Store.at(folder), folder

    def packages(self, wanted: str = "idna", **options: Any) -> Any:
        machine = Machine(self.store, None, MappingProxyType({}), discard, self.clock)  # type: ignore[arg-type]
        said, conda = BuildOptions(**options), CondaResolver(self.store, {}, discard, None)  # type: ignore[arg-type]
        r = RResolver(machine, said, self.debian)  # type: ignore[arg-type]
        resolver = Resolver(machine, said, self.folder, self.debian, self.python, conda, r, None)  # type: ignore[arg-type]
        target = PythonTarget(
            "3.11.2", "/usr/bin/python3", "/usr/bin/python3.11", "/usr/lib/python3.11", PLATFORM, Libc("glibc", 2, 36)
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Resolver, "python_of", lambda *_: target)
            patch.setattr(Resolver, "_python_asks", lambda *_: ())
            asks = PackageAsks((GIT,), pip=PipAsks(requirements=((wanted, Origin("requirements.txt", 1)),)))
            return resolver.packages(asks, self.base, folder_in_image="/home/x")


@pytest.fixture
def rig(tmp_path: Path, base: Base) -> Rig:
    return Rig(tmp_path, base)


def test_a_changed_pin_asks_debian_for_nothing(rig: Rig) -> None:
    rig.packages("idna==1")
    rig.packages("idna==2")
    rig.packages("idna==2")
    assert (rig.debian.asked, rig.python.asked) == (1, 2)
    rig.packages("idna==2", refresh=True)
    assert (rig.debian.asked, rig.python.asked) == (2, 3)


def test_it_is_as_old_as_the_oldest_of_its_answers(rig: Rig) -> None:
    rig.packages("idna==1")
    rig.clock.time += 80_000
    assert rig.packages("idna==2").resolved == 1000
    rig.clock.time += 10_000
    rig.packages("idna==2")
    assert (rig.debian.asked, rig.python.asked) == (2, 3)  # more than a day


def test_a_mirror_is_where_it_is_today(rig: Rig) -> None:
    assert rig.packages().addresses["apt"] == "http://one.example/"
    rig.debian.address = "http://two.example/"
    found = rig.packages()
    assert found.addresses == {"apt": "http://two.example/", "pip": "http://index.example/"}
    assert rig.debian.asked == 1
