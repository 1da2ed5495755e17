"""The programs that a wheel's entry points ask for, in the words of pip's own wrappers.

Sources: the entry points specification (packaging.python.org, "Entry points specification"), importlib.metadata's
reading of the file, and pip 26.3 with its distlib (``ScriptMaker``), whose scripts these equal byte for byte.
"""

import re
from collections.abc import Iterator, Mapping

from ocibuild.core.errors import ImageError

__all__ = ["is_replaced_by_wrapper", "read_entry_points", "shebang", "wrappers"]

_CALLABLE = re.compile(r"(\w+(?:[:.]\w+)*)\s*(\[[^\]]*\])?")
_LONGEST_SHEBANG_BYTES = 127  # what every Linux kernel reads of a first line
_VERSIONED_PIP = re.compile(r"pip(\d+(\.\d+)?)?")
_VERSIONED_EASY_INSTALL = re.compile(r"easy_install(-\d+\.\d+)?")
_WRAPPER = """\
import sys
from {module} import {imported}
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit({function}())
"""
_SETUPTOOLS_SUFFIXES = (".exe", "-script.py", ".pya")


def read_entry_points(text: str) -> dict[str, dict[str, str]]:
    """The groups of an ``entry_points.txt``: group -> name -> object reference; later lines replace earlier ones."""
    groups: dict[str, dict[str, str]] = {}
    group: dict[str, str] | None = None
    for line in (raw.strip() for raw in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            group = groups.setdefault(line.strip("[]"), {})
        elif group is not None:
            name, _, reference = line.partition("=")
            group[name.strip()] = reference.strip()
    return groups


def shebang(interpreter: str) -> bytes:
    """The first line of a script for this interpreter.

    The kernel reads 127 bytes and splits at the first blank; a longer path, or one with a blank, goes through
    ``/bin/sh`` in a way that Python reads as a string.
    """
    quoted = f'"{interpreter}"' if " " in interpreter else interpreter
    if " " not in interpreter and len(quoted.encode()) + len("#!\n") <= _LONGEST_SHEBANG_BYTES:
        return f"#!{interpreter}\n".encode()
    return f"#!/bin/sh\n'''exec' {quoted} \"$0\" \"$@\"\n' '''\n".encode()


def wrappers(
    groups: Mapping[str, Mapping[str, str]], *, interpreter: str, python_version: str, where: str
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each wrapper of the groups ``console_scripts`` and ``gui_scripts``, in no particular order.

    ``python_version`` is major and minor (``3.11``): pip's own wrappers carry it in their names. A reference that names
    no callable, or a name that is no file name, is an ImageError that names the wheel ``where``.
    """
    console = _with_versioned_names(groups.get("console_scripts", {}), python_version)
    first_line = shebang(interpreter)
    for name, reference in {**console, **groups.get("gui_scripts", {})}.items():
        found = _CALLABLE.match(reference)
        if found is None or found[1].count(":") != 1:
            raise ImageError(f"{where}: the entry point {name} = {reference} names no function of a module")
        if not name or "/" in name or name in (".", "..") or any(char.isspace() or char == "\0" for char in name):
            raise ImageError(f"{where}: the entry point {name!r} cannot be the name of a program")
        module, function = found[1].split(":")
        body = _WRAPPER.format(module=module, imported=function.partition(".")[0], function=function)
        yield name, first_line + body.encode()


def _with_versioned_names(console: Mapping[str, str], python_version: str) -> dict[str, str]:
    """Wrappers of pip and easy_install are named after the Python they are for, whatever their wheel was built with."""
    scripts = dict(console)
    major = python_version.partition(".")[0]
    for name, versioned, aliases in (
        ("pip", _VERSIONED_PIP, ("pip", f"pip{major}", f"pip{python_version}")),
        ("easy_install", _VERSIONED_EASY_INSTALL, ("easy_install", f"easy_install-{python_version}")),
    ):
        reference = scripts.get(name)
        if reference:
            scripts = {each: value for each, value in scripts.items() if not versioned.fullmatch(each)}
            scripts |= dict.fromkeys(aliases, reference)
    return scripts


def is_replaced_by_wrapper(file_name: str, groups: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a file of the wheel's ``scripts`` is setuptools' own wrapper of an entry point, which pip leaves out."""
    lowered = file_name.lower()
    suffix = next((suffix for suffix in _SETUPTOOLS_SUFFIXES if lowered.endswith(suffix)), "")
    name = file_name[: len(file_name) - len(suffix)]
    return any(name in groups.get(group, {}) for group in ("console_scripts", "gui_scripts"))
