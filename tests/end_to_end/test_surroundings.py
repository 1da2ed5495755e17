"""Odd surroundings: outputs that nobody takes, locales of other encodings, names of every kind."""

import os
import subprocess
from pathlib import Path

import pytest

from ocibuild.core.errors import NetworkError
from ocibuild.core.reference import Reference
from ocibuild.work.places import unknown_to_store
from tests.end_to_end.conftest import Program, repository
from tests.support.program import program_command

_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository", notes_txt="x")


def test_a_result_that_cannot_be_written(program: Program, source: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            program_command("build", source, "--base", "scratch"),
            env={**os.environ, "OCIBUILD_STORE": str(program.store)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert "error: writing the result: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_encoding_of_the_locale_changes_no_name(program: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "naïve", notes_txt="x")
    (source / "Größe €").write_text("1")
    (source / os.fsdecode(b"\xff\xfe")).write_text("2")
    digest = program.result("build", source, "--base", "scratch")
    other = Program(tmp_path / "other-store", _ASCII)
    assert other.result("build", source, "--base", "scratch", "-o", f"rootfs:{tmp_path / 'rootfs'}") == digest
    names = {os.fsencode(path.name) for path in (tmp_path / "rootfs/home/jovyan").iterdir()}
    assert {"Größe €".encode(), b"\xff\xfe"} <= names
    assert "naïve" in other.result("cache", "list")


def test_a_folder_whose_name_is_no_text(program: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / os.fsdecode(b"folder\xff"), notes_txt="x")
    digest = program.result("build", source, "--base", "scratch")
    assert program.result("cache", "list").split() == [
        digest.removeprefix("sha256:")[:12],
        "folder\N{REPLACEMENT CHARACTER}",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["frobnicate"], 2, "error: No such command 'frobnicate'.\nhint: see 'ocibuild --help'"),
        (["inspect"], 2, "error: Missing argument 'IMAGE'.\nhint: see 'ocibuild inspect --help'"),
        (["check", "docker-archive:/dev/null"], 1, "/dev/null is no tar archive"),
        (["build", ".", "--base", "scratch", "-o", f"oci-archive:{'x' * 300}"], 1, "File name too long"),
        (["build", ".", "-t", f"localhost/{'x' * 300}"], 2, "is malformed"),
    ],
)
def test_what_is_asked_wrongly(program: Program, source: Path, arguments: list[str], code: int, message: str) -> None:
    assert message in program.error(*arguments, code=code, cwd=source)


@pytest.mark.parametrize(("text", "is_told"), [("nosuch", True), ("team/nosuch", True), ("docker.io/nosuch", False)])
def test_a_name_that_was_meant_for_the_store(text: str, *, is_told: bool) -> None:
    with pytest.raises(NetworkError) as raised, unknown_to_store(text, Reference.parse(text)):
        raise NetworkError("404 Not Found")
    assert ((raised.value.hint or "") == f"no image in the store is called {text!r}, so docker.io was asked") is is_told
