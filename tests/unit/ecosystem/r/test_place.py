import bz2
import dataclasses
import gzip
import lzma
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError, OcibuildError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.ecosystem.r.archive import read_description
from ocibuild.ecosystem.r.place import RPlaceContext, place
from ocibuild.layer.entry import Entry
from tests.unit.ecosystem.r.conftest import BuildPackage

LIBRARY = RPlaceContext("usr/local/lib/R/site-library")


def entries(body: Path, context: RPlaceContext = LIBRARY, name: str = "thing") -> list[Entry]:
    package = LockedPackage(Ecosystem.R, name, "1.0", "", "cran", "x", Digest.of(b""))
    return [dataclasses.replace(entry, content=entry.read()) for entry in place(package, body, context).entries]


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


def test_entries_in_the_library(build_package: BuildPackage) -> None:
    body = build_package(files={"thing/R/thing": b"code"})
    placed = {entry.path: entry for entry in entries(body, RPlaceContext("lib", 5, 6))}
    assert placed["lib/thing/R/thing"].content == b"code"
    assert {(entry.uid, entry.gid, entry.mode) for entry in placed.values()} == {(5, 6, 0o644)}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("other/file")], "lies outside thing/"),
        ([member("file")], "lies outside thing/"),
        ([member("thing/R/x"), member("thing/R/x")], "is in it twice"),
        ([member("thing/a", tarfile.SYMTYPE, "/etc"), member("thing/a/b")], "lies below a file or link"),
        ([member("thing/a"), member("thing/a/b/c")], "lies below a file or link"),
        ([member("thing/a/b"), member("thing/a")], "is in it twice"),
        ([member("thing/fifo", tarfile.FIFOTYPE)], "no file, folder or link"),
        ([member("thing/hard", tarfile.LNKTYPE, "etc/shadow")], "which is no file before it"),
        ([member("thing/../../x")], "leaves its folder"),
    ],
)
def test_hostile_archives(build_package: BuildPackage, members: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        entries(build_package(members=tuple(members)))


def test_a_source_package_is_not_placed(build_package: BuildPackage) -> None:
    with pytest.raises(ImageError, match=r"no Meta/package\.rds"):
        entries(build_package(built=""))


def test_another_package_is_not_placed(build_package: BuildPackage) -> None:
    with pytest.raises(ImageError, match="outside other/"):
        entries(build_package(), name="other")


@pytest.mark.parametrize("keep", [10, 60])
def test_broken_archives(build_package: BuildPackage, tmp_path: Path, keep: int) -> None:
    body = tmp_path / "cut.tar.gz"
    body.write_bytes(build_package().read_bytes()[:keep])
    with pytest.raises(OcibuildError, match=r"thing=1\.0"):
        entries(body)


@pytest.mark.parametrize("kind", ["bz2", "xz"])
def test_broken_compressions(build_package: BuildPackage, tmp_path: Path, kind: str) -> None:
    whole = tmp_path / f"whole.{kind}"
    data = gzip.decompress(build_package().read_bytes())
    whole.write_bytes(bz2.compress(data) if kind == "bz2" else lzma.compress(data))
    body = tmp_path / f"cut.{kind}"
    body.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(OcibuildError, match=r"thing=1\.0"):
        entries(body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no DESCRIPTION|Package is ''"),
        ("Package: thing\n", "not a version"),
        ("Package: thing\nVersion: one\n", "not a version"),
        ("Package: ../thing\nVersion: 1\n", "field Package"),
        ("Package: other\nVersion: 1\n", "other lies in thing/"),
    ],
)
def test_descriptions_that_cannot_be_used(build_package: BuildPackage, text: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_description(build_package(description=text), name="thing")


def test_what_is_no_archive(tmp_path: Path) -> None:
    body = tmp_path / "page.tar.gz"
    body.write_bytes(b"<html>not found</html>")
    with pytest.raises(ImageError, match="in no way that R knows"):
        read_description(body, name="page")
    body.write_bytes(gzip.compress(b""))
    with pytest.raises(ImageError, match="no DESCRIPTION"):
        read_description(body, name="page")


def test_the_context_is_in_the_key() -> None:
    contexts = [LIBRARY, RPlaceContext("lib"), RPlaceContext("lib", 1), RPlaceContext("lib", 0, 1)]
    assert len({context.canonical() for context in contexts}) == len(contexts)
