"""Repositories as Binder gets them: realistic ones, and random combinations of configuration files."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["REALISTIC", "random_repositories", "write_repository"]

Repository = Mapping[str, bytes]

_PYPROJECT = b"[project]\nname = 'a'\nversion = '1'\n"
_BUILD = b"[build-system]\nrequires = ['hatchling']\n"

# Each file with what it may hold.
_FILES: Mapping[str, tuple[bytes, ...]] = {
    "apt.txt": (b"git\ncurl\n", b"# nothing\n", b"zip # a comment\n\nless\n", b"Git\n", b""),
    "runtime.txt": (
        b"python-3.11\n", b"python-3", b"python-3.12", b"python-2.7", b"python-3.10.1", b"python-2", b"r-2025-06-22",
        b"r-4.4-2025-06-22", b"r-4.3", b"julia-1.6", b"nonsense", b"", b"python-3.11\nmore", b"r-2025-02-30",
        b"python-3.11-2025-06-22", b"python-2025-06-22",
    ),
    "requirements.txt": (
        b"six\n", b"", b"-e .\nsix==1.16\n", b"-r other.txt\n", "\ufeffsix\n".encode("utf-16"), b"# caf\xe9\nsix\n",
    ),
    "environment.yml": (
        b"dependencies: [numpy]\n", b"", b"name: a\ndependencies:\n- python=3.11\n- pip:\n  - six\n",
        b"dependencies: ['python>=3.11']\n", b"dependencies: [python=3]\n", b"- a\n- b\n", b"a: b: c\n",
        b"dependencies: ['python==3.12.4', r-base=4.3]\n", b"dependencies: [python=3.9]\nchannels: [conda-forge]\n",
    ),
    "environment.yaml": (b"dependencies: [numpy]\n",),
    "Pipfile": (
        b"[packages]\nsix = '*'\n", b"[packages]\nsix='*'\n[requires]\npython_version = '3.11'\n", b"[packages\n",
        b"[requires]\npython_full_version = '3.12.4'\npython_version = '3.9'\n",
    ),
    "Pipfile.lock": (
        b'{"_meta": {"requires": {"python_version": "3.12"}}, "default": {}}', b'{"default": {}, "develop": {}}', b"{",
    ),
    "setup.py": (b"from setuptools import setup\nsetup()\n",),
    "pyproject.toml": (
        _PYPROJECT, _BUILD, _PYPROJECT + _BUILD, _PYPROJECT + b"requires-python = '>=3.12'\n" + _BUILD,
        _PYPROJECT + b"requires-python = '<3.9'\n", _PYPROJECT + b"requires-python = '>=4'\n", b"[project\n",
        _PYPROJECT + b"requires-python = 'three'\n",
    ),
    "DESCRIPTION": (b"Package: a\n",),
    "install.R": (b"install.packages('dplyr')\n",),
    "Project.toml": (b"[compat]\njulia = '1.10'\n", b""),
    "JuliaProject.toml": (b"",),
    "REQUIRE": (b"IJulia\n",),
    "default.nix": (b"{}\n",),
    "Dockerfile": (b"FROM debian\n", b"FROM andrewosh/binder-base\n"),
    "postBuild": (b"#!/bin/bash\ntrue\n",),
    "start": (b'#!/bin/bash\nexec "$@"\n',),
}  # fmt: skip

# The rarer ones decide against everything else, and would hide the others too often.
_RARE = ("DESCRIPTION", "Project.toml", "JuliaProject.toml", "REQUIRE", "default.nix", "Dockerfile")

REALISTIC: Mapping[str, Repository] = {
    "nothing": {"index.ipynb": b"{}"},
    "requirements": {"requirements.txt": b"numpy\npandas==2.2\n", "index.ipynb": b"{}"},
    "conda": {"environment.yml": b"channels: [conda-forge]\ndependencies: [python=3.12, numpy, pip, pip: [six]]\n"},
    "conda hides pip": {"environment.yml": b"dependencies: [numpy]\n", "requirements.txt": b"six\n", "setup.py": b""},
    "binder folder": {"binder/requirements.txt": b"six\n", "environment.yml": b"- wrong\n", "Dockerfile": b"FROM x\n"},
    "dotted binder folder": {".binder/environment.yml": b"dependencies: [numpy]\n", "requirements.txt": b"six\n"},
    "empty binder folder": {"binder/.keep": b"", "requirements.txt": b"six\n", "setup.py": b"", "DESCRIPTION": b""},
    "a file named binder": {"binder": b"", "requirements.txt": b"six\n"},
    "both folders": {"binder/apt.txt": b"", ".binder/apt.txt": b""},
    "package": {"setup.py": b"", "requirements.txt": b"six\n", "binder/postBuild": b"#!/bin/sh\n"},
    "pyproject package": {"pyproject.toml": _PYPROJECT + _BUILD, "apt.txt": b"graphviz\n"},
    "R with a day": {"runtime.txt": b"r-4.4-2025-06-22", "install.R": b"1\n", "requirements.txt": b"jupytext\n"},
    "R with a day and conda": {"runtime.txt": b"r-2025-06-22", "environment.yml": b"dependencies: [python=3.11]\n"},
    "R package": {"DESCRIPTION": b"Package: a\n", "install.R": b"1\n"},
    "R without a day": {"runtime.txt": b"r-4.3", "install.R": b"1\n", "requirements.txt": b"six\n"},
    "install.R alone": {"install.R": b"1\n"},
    "Julia": {"Project.toml": b"[deps]\n", "requirements.txt": b"six\n", "runtime.txt": b"python-3.11\n"},
    "Julia and a wrong runtime": {"Project.toml": b"", "runtime.txt": b"nonsense"},
    "Dockerfile hides a wrong runtime": {"Dockerfile": b"FROM x\n", "runtime.txt": b"nonsense"},
    "Nix": {"default.nix": b"", "postBuild": b"", "start": b"", "requirements.txt": b"six\n"},
    "Pipenv": {"Pipfile": b"[packages]\nsix='*'\n", "Pipfile.lock": b'{"default": {}}', "requirements.txt": b"six\n"},
    "Pipenv and R's runtime": {"Pipfile": b"[packages]\n", "runtime.txt": b"r-4.3"},
    "start and postBuild": {"binder/start": b"", "binder/postBuild": b"", "binder/apt.txt": b"git\n"},
    "requires a Python": {"pyproject.toml": _PYPROJECT + b"requires-python = '>=3.11.4,<3.13'\n"},
    "runtime against the project": {
        "pyproject.toml": _PYPROJECT + b"requires-python = '>=3.12'\n", "runtime.txt": b"python-3.10"},
    "python 3.1": {"runtime.txt": b"python-3.1"},
}  # fmt: skip


def random_repositories(count: int, *, seed: int) -> Iterator[Repository]:
    """Repositories with two to seven configuration files each, some in ``binder`` or ``.binder``, some in both."""
    choice = random.Random(seed)
    common = [name for name in _FILES if name not in _RARE]
    for _ in range(count):
        names = choice.sample(common, choice.randint(2, 6)) + choice.sample(_RARE, choice.random() < 0.25)
        folders = choice.choices(["", "binder/", ".binder/"], [6, 2, 1])[0]
        files = {"other.txt": b"idna\n", f"{folders}other.txt": b"idna\n"}
        for name in names:
            folder = folders if choice.random() < 0.8 else ""
            files[folder + name] = choice.choice(_FILES[name])
        if choice.random() < 0.03:
            files["binder/x"] = files[".binder/x"] = b""
        yield files


def write_repository(folder: Path, files: Repository) -> None:
    """Make the folder hold these files."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
