"""Bytecode of a wheel's modules, as entries of a layer: what makes the first import of a package quick.

The files are of the kind whose source is not looked at again (PEP 552, unchecked hash), so that they hold no time and
cost no look at the source. They are beside the modules (PEP 3147) and are not in RECORD: pip removes them with their
modules. What several wheels carry, and what is no valid module, has none.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.errors import BuildError
from ocibuild.core.step import Step
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.layer.entry import Entry, EntryKind

__all__ = ["BYTECODE_VERSION", "COMPILER", "Compile", "bytecode_entries", "bytecode_step", "compile_arguments"]

BYTECODE_VERSION = "bytecode 1"
"""Part of the key of every fragment of bytecode."""

COMPILER = Path(__file__).with_name("compile_bytecode.py")
"""The program that compiles; see there for the form of what it reads and writes."""

Compile = Callable[[bytes], bytes]
"""Gives the compiler's output for its input, by the Python that the bytecode is for."""

_SUFFIX = ".py"
_LARGEST_MODULE_BYTES = 8 << 20
_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Module:
    path: str
    text: bytes
    uid: int
    gid: int


def bytecode_entries(entries: Iterator[Entry], target: PythonTarget, compile_modules: Compile) -> Iterator[Entry]:
    """The bytecode files of the modules among a wheel's entries, their folders first.

    A BuildError where the compiler's answer is none.
    """
    modules = [
        _Module(entry.path, entry.read(), entry.uid, entry.gid)
        for entry in entries
        if entry.kind is EntryKind.FILE and _is_module(entry)
    ]
    if not modules:
        return
    answer = compile_modules(b"".join(map(_asked, modules)))
    tag = f"cpython-{target.minor_version.replace('.', '')}"
    compiled = [(_place(module.path, tag), module, content) for module, content in _paired(modules, answer) if content]
    for folder in sorted({path.rpartition("/")[0] for path, _, _ in compiled}):
        yield Entry.directory(folder, uid=modules[0].uid, gid=modules[0].gid)
    for path, module, content in sorted(compiled, key=lambda each: each[0]):
        yield Entry.file(path, content, uid=module.uid, gid=module.gid)


def _is_module(entry: Entry) -> bool:
    inside = "/site-packages/" in f"/{entry.path}"
    return inside and entry.path.endswith(_SUFFIX) and entry.size_bytes <= _LARGEST_MODULE_BYTES


def _place(path: str, tag: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix(_SUFFIX)}.{tag}.pyc"


def _asked(module: _Module) -> bytes:
    path = f"/{module.path}".encode("utf-8", "surrogateescape")
    return struct.pack("<II", len(path), len(module.text)) + path + module.text


def _paired(modules: list[_Module], answer: bytes) -> Iterator[tuple[_Module, bytes]]:
    position = 0
    for module in modules:
        if len(answer) < position + 4:
            raise BuildError(f"compiling /{module.path}: Python gave no bytecode", hint="leave it out: --no-bytecode")
        (length,) = struct.unpack_from("<I", answer, position)
        content = answer[position + 4 : position + 4 + length]
        if len(content) != length or 0 < length < _HEADER_BYTES:
            raise BuildError(f"compiling /{module.path}: Python gave only a part", hint="leave it out: --no-bytecode")
        position += 4 + length
        yield module, content


def compile_arguments(interpreter: str, folder: str) -> tuple[str, ...]:
    """The command that compiles ``folder``/sources to ``folder``/bytecode with the program in that folder."""
    return (interpreter, "-I", "-S", "-B", f"{folder}/{COMPILER.name}", f"{folder}/sources", f"{folder}/bytecode")


def bytecode_step(target: PythonTarget, folder: str) -> Step:
    """The step that compiles in the image's root, where this machine has no such Python."""
    return Step(
        name="compile modules",
        arguments=compile_arguments(target.interpreter, folder),
        why=f"this machine has no Python {target.version}, whose bytecode is asked for",
        environment={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
        has_secrets=False,
    )
