"""The Python environment that packages are placed into: what ``python3 -m venv`` of the image's Python makes, as data.

Source: CPython's ``Lib/venv/__init__.py``, compared with 3.11's and 3.13's. Differences, all without effect on what
runs: pip and setuptools come as packages of their own, newer than those that ``ensurepip`` carries; where the image's
Python has no ``venv`` module there are no ``activate`` scripts but a short one for POSIX shells; and 3.14's joke, one
more link to the interpreter with a Greek letter in its name, is left out.
"""

import shlex
from collections.abc import Iterator

from ocibuild.core.asks import Origin
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry

__all__ = ["DEFAULT_PREFIX", "prefix_entries", "prefix_interpreter", "seed_requirements"]

DEFAULT_PREFIX = "srv/conda/envs/notebook"
"""Binder's ``NB_PYTHON_PREFIX``, without its leading slash."""

_SCRIPTS = ("activate", "Activate.ps1", "activate.csh", "activate.fish")
_GITIGNORE = "# Created by venv; see https://docs.python.org/3/library/venv.html\n*\n"
_SHORT_ACTIVATE = """\
# Use with ". bin/activate" in a POSIX shell.
VIRTUAL_ENV=__VENV_DIR__
export VIRTUAL_ENV
PATH="$VIRTUAL_ENV/bin:$PATH"
export PATH
unset PYTHONHOME
hash -r 2> /dev/null
"""


def prefix_interpreter(target: PythonTarget, prefix: str = DEFAULT_PREFIX) -> str:
    """The absolute path of the environment's Python that scripts name, as pip run inside it would write it."""
    return f"/{prefix}/bin/{target.interpreter.rpartition('/')[2]}"


def seed_requirements(target: PythonTarget) -> tuple[tuple[str, Origin], ...]:
    """What a venv holds from the start: pip, and setuptools before Python 3.12, as ``ensurepip`` has it.

    An environment that is the Python's own has what was asked for.
    """
    if target.owns_prefix:
        return ()
    origin = Origin("the Python environment")
    minor = int(target.minor_version.partition(".")[2])
    names = ("pip",) if minor >= 12 else ("pip", "setuptools")  # noqa: PLR2004 - 3.12's "What's New"
    return tuple((name, origin) for name in names)


def prefix_entries(
    target: PythonTarget, view: View, *, prefix: str = DEFAULT_PREFIX, uid: int = 0, gid: int = 0
) -> Iterator[Entry]:
    """The environment's own folders, links and files, the prefix itself included, owned by ``uid`` and ``gid``.

    ``view`` is the image that ``target`` was found in: the ``activate`` scripts are made from its Python's templates.
    """
    minor_version = target.minor_version
    for folder in ("", "/bin", "/include", f"/include/python{minor_version}", "/lib", f"/lib/python{minor_version}"):
        yield Entry.directory(f"{prefix}{folder}", uid=uid, gid=gid)
    yield Entry.directory(f"{prefix}/lib/python{minor_version}/site-packages", uid=uid, gid=gid)
    yield Entry.symlink(f"{prefix}/lib64", "lib", uid=uid, gid=gid)
    name = target.interpreter.rpartition("/")[2]
    yield Entry.symlink(f"{prefix}/bin/{name}", target.interpreter, uid=uid, gid=gid)
    for alias in ("python", "python3", f"python{minor_version}"):
        if alias != name:
            yield Entry.symlink(f"{prefix}/bin/{alias}", name, uid=uid, gid=gid)
    yield Entry.file(f"{prefix}/pyvenv.cfg", _configuration(target, prefix), uid=uid, gid=gid)
    if int(minor_version.partition(".")[2]) >= 13:  # noqa: PLR2004 - 3.13's "What's New", venv
        yield Entry.file(f"{prefix}/.gitignore", _GITIGNORE.encode(), uid=uid, gid=gid)
    for script, content in _activate_scripts(target, view, prefix):
        yield Entry.file(f"{prefix}/bin/{script}", content, uid=uid, gid=gid)


def _configuration(target: PythonTarget, prefix: str) -> bytes:
    lines = (
        f"home = {target.interpreter.rpartition('/')[0]}",
        "include-system-site-packages = false",
        f"version = {target.release}",
        f"executable = /{target.executable}",
        f"command = {target.interpreter} -m venv /{prefix}",
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _activate_scripts(target: PythonTarget, view: View, prefix: str) -> Iterator[tuple[str, bytes]]:
    folder = f"{target.standard_library}/venv/scripts"
    # Each script stands in the folder of its platforms, which changed with Python 3.13.
    paths = [f"{folder}/{kind}/{name}" for kind in ("common", "posix") for name in _SCRIPTS]
    templates = {path.rpartition("/")[2]: view.read(path).decode() for path in paths if path in view}
    # Until 3.12 the prompt that is filled in has parentheses, from 3.13 on the templates have them.
    posix = templates.get("activate", "")
    prompt = _name(prefix) if '("__VENV_PROMPT__")' in posix else f"({_name(prefix)}) "
    for name, template in sorted((templates or {"activate": _SHORT_ACTIVATE}).items()):
        yield name, _filled(template, name, prefix, prompt).encode()


def _name(prefix: str) -> str:
    return prefix.rpartition("/")[2]


def _filled(template: str, name: str, prefix: str, prompt: str) -> str:
    """The template with its placeholders filled in, quoted for its shell unless the template itself quotes them.

    Until the fix of CVE-2024-9287 templates held ``"__VENV_DIR__"`` and venv put values in as they were.
    """
    quote = _quoted_for_powershell if name.endswith(".ps1") else shlex.quote
    if any(f"{mark}__VENV_DIR__{mark}" in template for mark in "\"'"):
        quote = _unquoted
    values = {
        "__VENV_DIR__": f"/{prefix}",
        "__VENV_NAME__": _name(prefix),
        "__VENV_PROMPT__": prompt,
        "__VENV_BIN_NAME__": "bin",
        "__VENV_PYTHON__": f"/{prefix}/bin/python3",
    }
    for placeholder, value in values.items():
        template = template.replace(placeholder, quote(value))
    return template


def _unquoted(value: str) -> str:
    return value


def _quoted_for_powershell(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"
