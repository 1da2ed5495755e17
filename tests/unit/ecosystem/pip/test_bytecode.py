"""Bytecode of a wheel's modules, made by this Python and read by it."""

import importlib.util
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild.core.errors import BuildError
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.bytecode import COMPILER, bytecode_entries, compile_arguments
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.layer.entry import Entry, EntryKind

SITE = "srv/env/lib/python3/site-packages"
TARGET = PythonTarget(
    platform.python_version(), "/usr/bin/python3", "usr/bin/python3", "usr/lib/python3",
    Platform.parse("linux/amd64"), Libc("glibc", 2, 36),
)  # fmt: skip
TAG = sys.implementation.cache_tag
MODULES = {
    "rain/__init__.py": b"FORTY_TWO = 42\nNAMES = frozenset(['a', 'b', 'c', 'd'])\n",
    "rain/deep/heavy.py": "# -*- coding: latin-1 -*-\nTEXT = 'Gew\u00e4sser'\n".encode("latin-1"),
    "rain/template.py": b"{{ name }} = \n",
    "rain/nul.py": b"a = '\0'\n",
    "rain/escape.py": rb"A = '\d'" + b"\n",
    "single.py": b"",
    "rain/data.txt": b"x = 1\n",
}


def entries() -> list[Entry]:
    return [
        Entry.directory(f"{SITE}/rain"),
        *(Entry.file(f"{SITE}/{path}", text, uid=1000, gid=1000) for path, text in MODULES.items()),
        Entry.file("srv/env/bin/tool.py", b"x = 1\n"),
        Entry.symlink(f"{SITE}/link.py", "single.py"),
    ]


def compile_here(folder: Path, sources: bytes) -> bytes:
    folder.mkdir(exist_ok=True)
    (folder / COMPILER.name).write_bytes(COMPILER.read_bytes())
    (folder / "sources").write_bytes(sources)
    subprocess.run(compile_arguments(sys.executable, str(folder)), check=True)
    return (folder / "bytecode").read_bytes()


def test_modules_have_bytecode_that_python_takes(tmp_path: Path) -> None:
    made = list(bytecode_entries(iter(entries()), TARGET, lambda sources: compile_here(tmp_path / "work", sources)))
    files = {entry.path: entry for entry in made if entry.kind is EntryKind.FILE}
    assert {path.removeprefix(f"{SITE}/") for path in files} == {
        f"rain/__pycache__/__init__.{TAG}.pyc",
        f"rain/deep/__pycache__/heavy.{TAG}.pyc",
        f"rain/__pycache__/escape.{TAG}.pyc",
        f"__pycache__/single.{TAG}.pyc",
    }
    folders = [entry.path for entry in made if entry.kind is EntryKind.DIRECTORY]
    assert folders == [f"{SITE}/__pycache__", f"{SITE}/rain/__pycache__", f"{SITE}/rain/deep/__pycache__"]
    assert {(entry.mode, entry.uid, entry.gid) for entry in files.values()} == {(0o644, 1000, 1000)}
    content = files[f"{SITE}/rain/__pycache__/__init__.{TAG}.pyc"].read()
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert content[4:8] == b"\x01\0\0\0"  # a hash, and not to be compared
    assert content[8:16] == importlib.util.source_hash(MODULES["rain/__init__.py"])
    assert f"/{SITE}/rain/__init__.py".encode() in content
    for entry in [*entries(), *made]:
        place = tmp_path / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind is EntryKind.FILE:
            place.write_bytes(entry.read())
    (tmp_path / SITE / "rain/__init__.py").write_text("FORTY_TWO = 'the source was read'\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path / SITE)!r}); import rain; print(rain.FORTY_TWO)"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    def made(name: str) -> list[tuple[str, bytes]]:
        answer = bytecode_entries(iter(entries()), TARGET, lambda sources: compile_here(tmp_path / name, sources))
        return [(entry.path, entry.read()) for entry in answer]

    assert made("one") == made("two")


def test_a_wheel_without_modules_is_not_compiled() -> None:
    def fail(_: bytes) -> bytes:
        pytest.fail("there is nothing to compile")

    assert list(bytecode_entries(iter([Entry.file(f"{SITE}/data.txt", b"x")]), TARGET, fail)) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [(b"", "gave no bytecode"), (b"\x20\0\0\0abc", "only a part"), (b"\x01\0\0\0a", "only a part")],
)
def test_an_answer_that_is_none(answer: bytes, message: str) -> None:
    module = Entry.file(f"{SITE}/single.py", b"")
    with pytest.raises(BuildError, match=message) as caught:
        list(bytecode_entries(iter([module]), TARGET, lambda _: answer))
    assert "--no-bytecode" in (caught.value.hint or "")
