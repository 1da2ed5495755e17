"""What goes wrong is said with its place and a way out, spoils nothing, and the next build works."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ocibuild.image.layout import LayoutTarget, write_layout
from ocibuild.layer.entry import Entry
from tests.end_to_end.conftest import Program, repository
from tests.support.apt_repository import SigningKey, make_deb
from tests.support.made_images import MadeImage
from tests.support.tiny_system import TinySystem


@pytest.fixture
def hello(system: TinySystem) -> str:
    """A package of the archive; its path there."""
    path = system.add(make_deb("hello", "1.0", files={"usr/bin/hello": b"#!/bin/sh\necho hello\n" * 5000}))
    system.publish()
    return path


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        ({"apt_txt": "hello\n\nHello World!\n"}, 3, "apt.txt:3: 'Hello' is not a package name"),
        ({"apt_txt": "hello\nhelo\n"}, 3, "apt.txt:2: unable to locate package helo\nhint: did you mean hello?"),
        ({"apt_txt": "hello=2.0\n"}, 3, "apt.txt:1: hello has no version 2.0\nhint: known versions: 1.0"),
        ({"apt_txt": "hello/unstable\n"}, 3, "apt.txt:1: "),
        ({"requirements_txt": "-r more.txt\n"}, 3, "requirements.txt:1: more.txt does not exist"),
        ({"requirements_txt": "-r ../more.txt\n"}, 3, "requirements.txt:1: ../more.txt is outside the repository"),
        ({"requirements_txt": "six\n"}, 3, "requirements.txt: unable to locate package python3"),
        ({"environment_yml": "dependencies: numpy\n"}, 3, "environment.yml:1: dependencies must be a list"),
        ({"ocibuild_toml": 'bsae = "x"\n'}, 3, "ocibuild.toml:1: bsae: no such option\nhint: known options: "),
        ({"ocibuild_toml": "\nbase = \n"}, 3, "ocibuild.toml:2: not TOML: Invalid value"),
        ({"ocibuild_toml": "max-layers = 1\n"}, 3, "ocibuild.toml:1: max-layers: must be a whole number from 4 to 100"),
        ({"ocibuild_toml": 'layer = "/etc"\n'}, 3, "ocibuild.toml: /etc is outside the repository"),
        ({"ocibuild_toml": 'lock = "../../.bashrc"\n'}, 3, "ocibuild.toml: ../../.bashrc is outside the repository"),
    ],
)
def test_what_a_repository_asks(
    program: Program, system: TinySystem, hello: str, tmp_path: Path, files: dict[str, str], code: int, message: str
) -> None:
    base = system.base(program)
    said = program.error("build", repository(tmp_path / "wrong", **files), "--base", base, code=code)
    assert message in said
    program.result("build", repository(tmp_path / "right", apt_txt="hello\n"), "--base", base)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--base", "no such name"], 2, "not an image reference: 'no such name'"),
        (["--base", "apt:nosuch"], 2, "apt:nosuch: unknown suite\nhint: known: bullseye, bookworm"),
        (["--base", "oci:/nonexistent"], 1, "/nonexistent is no OCI image layout"),
        (["--base", "scratch"], 3, "apt.txt:1: hello cannot be installed in the base scratch"),
        (["--platform", "linux/vax"], 2, "unknown platform: 'linux/vax'"),
        (["--as-of", "tomorrow"], 2, "not a date: 'tomorrow'"),
        (["--as-of", "2999-01-01"], 2, "2999-01-01 has not come yet"),
        (["--max-age", "soon"], 2, "not a duration: 'soon'"),
        (["--layer", "./nosuch"], 2, "nosuch is no layer: it has no layer.toml"),
        (["--layer", "nosuch"], 2, "no layer 'nosuch' ships with this program\nhint: there are: binder, buildpack"),
        (["--python", "two"], 2, "not a version of Python: 'two'"),
        (["-t", "Bad Name"], 2, "not an image reference: 'Bad Name'"),
        (["-t", f"localhost/x@sha256:{'0' * 64}"], 2, "an image is tagged by name, not by digest"),
        (["--push"], 2, "--push needs an image name\nhint: add -t"),
        (["-o", "image"], 2, "not an output: 'image'\nhint: write TYPE:PATH"),
        (["--username", "me"], 2, "--username and --password-file go together"),
        (["--locked", "--refresh"], 2, "--locked resolves nothing"),
        (["--no-such-option"], 2, "No such option"),
    ],
)
def test_options(
    program: Program, system: TinySystem, hello: str, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    base = [] if "--base" in options else ["--base", system.base(program)]
    source = repository(tmp_path / "repository", apt_txt="hello\n")
    assert message in program.error("build", source, *base, *options, code=code)


def test_a_distroless_base_takes_no_packages(program: Program, tmp_path: Path) -> None:
    status = "Package: libc6\nVersion: 2.36\nArchitecture: amd64\n"
    files = [Entry.file("var/lib/dpkg/status.d/libc6", status.encode()), Entry.file("etc/os-release", b"ID=debian\n")]
    write_layout(MadeImage([files]).source(), LayoutTarget(tmp_path / "base"))
    base, source = f"oci:{tmp_path / 'base'}", repository(tmp_path / "repository", apt_txt="hello\n")
    said = program.error("build", source, "--base", base, code=3)
    assert "apt.txt:1: hello cannot be installed in the base" in said
    assert "is distroless: it has no dpkg" in said
    program.result("build", repository(tmp_path / "other", notes_txt="x"), "--base", base)


def test_a_source_that_is_no_folder(program: Program, tmp_path: Path) -> None:
    assert "is no folder here" in program.error("build", tmp_path / "none", code=2)


def test_a_conflict_is_explained_as_apt_does(program: Program, system: TinySystem, tmp_path: Path) -> None:
    system.add(make_deb("one", "1.0", fields={"Conflicts": "two"}))
    system.add(make_deb("two", "1.0"))
    system.publish()
    base, source = system.base(program), tmp_path / "repository"
    said = program.error("build", repository(source, apt_txt="one\ntwo\n"), "--base", base, code=3)
    assert "one: Conflicts: two but two=1.0 is to be installed" in said
    program.result("build", repository(source, apt_txt="two\n"), "--base", base)


def _foreign_key(system: TinySystem, hello: str) -> None:
    mine, system.repository.key = system.repository.key, SigningKey.generate("somebody else")
    system.publish()
    system.repository.key = mine


def _changed_list(system: TinySystem, hello: str) -> None:
    for path in list(system.repository.files):
        if "Packages" in path or "by-hash" in path:
            system.repository.files[path] = system.repository.files[path][::-1]


def _truncated_list(system: TinySystem, hello: str) -> None:
    for path in list(system.repository.files):
        if "Packages" in path or "by-hash" in path:
            system.repository.files[path] = system.repository.files[path][:-7]


def _no_list(system: TinySystem, hello: str) -> None:
    for path in list(system.repository.files):
        if "Packages" in path or "by-hash" in path:
            del system.repository.files[path]


def _no_release(system: TinySystem, hello: str) -> None:
    del system.repository.files["dists/stable/InRelease"]


def _changed_package(system: TinySystem, hello: str) -> None:
    data = bytearray(system.repository.files[hello])
    data[len(data) // 2] ^= 1
    system.repository.files[hello] = bytes(data)


def _truncated_package(system: TinySystem, hello: str) -> None:
    system.repository.files[hello] = system.repository.files[hello][:-100]


def _no_package(system: TinySystem, hello: str) -> None:
    del system.repository.files[hello]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_foreign_key, "InRelease"),
        (_changed_list, "/main/binary-amd64/"),
        (_truncated_list, "/main/binary-amd64/"),
        (_no_list, "Packages"),
        (_no_release, "InRelease"),
        (_changed_package, "hello"),
        (_truncated_package, "hello"),
        (_no_package, "hello"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "said",
)
def test_an_archive_that_is_not_what_it_promises(
    program: Program,
    system: TinySystem,
    hello: str,
    tmp_path: Path,
    spoil: Callable[[TinySystem, str], None],
    message: str,
) -> None:
    base, source = system.base(program), repository(tmp_path / "repository", apt_txt="hello\n")
    good = dict(system.repository.files)
    spoil(system, hello)
    said = program.error("build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}", code=5)
    assert message in said
    assert system.server.url in said  # whose fault it is
    assert not (tmp_path / "image").exists()
    system.repository.files.clear()
    system.repository.files.update(good)
    program.result("build", source, "--base", base, "-o", f"oci:{tmp_path / 'image'}")
    assert program.result("check", f"oci:{tmp_path / 'image'}").endswith("is sound")


@pytest.mark.network  # security updates are on a mirror of their own
def test_a_mirror_that_is_signed_by_somebody_else(program: Program, system: TinySystem, tmp_path: Path) -> None:
    system.repository.add(make_deb("forged", "1.0", "amd64"), suite="bookworm")
    system.repository.publish("bookworm", fields={"Suite": "stable", "Codename": "bookworm"})
    said = program.error(
        "build", repository(tmp_path / "repository"), code=5, OCIBUILD_APT_MIRROR=f"{system.server.url}/"
    )
    assert f"{system.server.url}/dists/bookworm/InRelease" in said
    assert "sign" in said
    served = hashlib.sha256(system.repository.packages("bookworm", "main", "amd64")).hexdigest()
    assert not (program.store / "blobs/sha256" / served).exists()


def test_a_source_of_the_repository(program: Program, system: TinySystem, hello: str, tmp_path: Path) -> None:
    base, vendor = system.base(program), SigningKey.generate("vendor")
    settings = f"""
[[apt.source]]
name = "vendor"
url = "{system.server.url}"
suite = "vendor"
components = ["main"]
signed-by = "vendor.asc"
"""
    system.repository.add(make_deb("tool", "3.0"), suite="vendor")
    system.repository.key = vendor
    system.repository.publish("vendor")
    source = repository(tmp_path / "repository", apt_txt="tool\n", ocibuild_toml=settings)
    said = program.error("build", source, "--base", base, code=3)
    assert "ocibuild.toml:7: signed-by: vendor.asc does not exist in the repository" in said
    (source / "vendor.asc").write_bytes(system.key.public)
    said = program.error("build", source, "--base", base, code=5)
    assert f"{system.server.url}/dists/vendor/InRelease" in said
    assert "the key of vendor" in said
    (source / "vendor.asc").write_bytes(vendor.public)
    program.result("build", source, "--base", base)
