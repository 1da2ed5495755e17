"""Locks of conda packages in a repository: ``conda-lock.yml``, ``pixi.lock``, and lists that begin with ``@EXPLICIT``.

repo2docker reads none of them.
"""

from collections.abc import Iterator
from typing import Literal

from ocibuild.core.asks import CondaLockFile
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.config_files import ConfigFiles

__all__ = ["CONDA_LOCKS", "read_conda_locks"]

_SUBDIRS = ("linux-64", "linux-aarch64", "linux-ppc64le", "linux-s390x", "linux-riscv64")
_BY_PLATFORM = {f"conda-{subdir}.lock": subdir for subdir in _SUBDIRS}  # as conda-lock names them
_LISTS = ("explicit.txt", "spec-file.txt")  # as conda's documentation names them
_KINDS: dict[str, Literal["conda-lock", "pixi"]] = {"conda-lock.yml": "conda-lock", "pixi.lock": "pixi"}

CONDA_LOCKS = (*_KINDS, *_BY_PLATFORM, *_LISTS)
"""The first that is there counts; lists by platform count together."""


def read_conda_locks(files: ConfigFiles) -> tuple[CondaLockFile, ...]:
    """The lock of the repository, or the lists of its platforms; a RepositoryError for a list that is none."""
    for name, kind in _KINDS.items():
        text = files.text(files.path(name))
        if text is not None:
            return (CondaLockFile(kind, files.path(name), text),)
    lists = tuple(_lists(files))
    return lists or tuple(_explicit(files, name) for name in _LISTS if files.has(name))[:1]


def _lists(files: ConfigFiles) -> Iterator[CondaLockFile]:
    for name, subdir in _BY_PLATFORM.items():
        if files.has(name):
            yield _explicit(files, name, subdir)


def _explicit(files: ConfigFiles, name: str, subdir: str = "") -> CondaLockFile:
    path = files.path(name)
    text = files.text(path) or ""
    if "@EXPLICIT" not in (line.strip() for line in text.splitlines()):
        raise RepositoryError(
            "no list of conda packages: it has no line @EXPLICIT",
            file=path,
            hint="'conda list --explicit --sha256' and 'conda-lock render' write one",
        )
    return CondaLockFile("explicit", path, text, subdir=subdir)
