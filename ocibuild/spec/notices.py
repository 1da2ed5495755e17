"""What is worth telling the user of a repository: files that look as if they counted, and do not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocibuild.spec.conda_lock import CONDA_LOCKS
from ocibuild.spec.config_files import ConfigFiles
from ocibuild.spec.detection import Buildpack
from ocibuild.spec.python_lock import PYTHON_LOCKS

if TYPE_CHECKING:
    from ocibuild.spec.repository import RepositorySpec

__all__ = ["notices"]

_UNREAD = (*CONDA_LOCKS, "flake.nix", "requirements3.txt")


def notices(spec: "RepositorySpec", files: ConfigFiles, *, is_binder: bool) -> Iterator[str]:
    """A line for each file that is there and does not count, with the reason."""
    if spec.buildpack is Buildpack.DOCKERFILE:
        return
    read = {spec.conda.file if spec.conda else None, *(file.path for file in spec.pip.files)}
    for name in ("environment.yml", "environment.yaml", "Pipfile.lock", "Pipfile", "requirements.txt", *PYTHON_LOCKS):
        path = files.path(name)
        if path in read or not files.has(name):
            continue
        if name == "Pipfile" and files.path("Pipfile.lock") in read:
            continue
        if name == "poetry.lock" and not spec.pip.files and spec.buildpack.reads_requirements:
            yield f"{path}: not used: it is of a form before Poetry 2, whose 'poetry lock' writes it anew"
        else:
            yield f"{path}: not used in a repository of the kind '{spec.buildpack}' (--compose adds up all files)"
    yield from _code_notices(spec, files, is_binder=is_binder)
    locks = {lock.path for lock in spec.conda.locks} if spec.conda else set()
    if locks and spec.conda and spec.conda.file not in locks:
        yield f"{min(locks)}: is what conda packages are taken from; {spec.conda.file} is not solved"
    for name in _UNREAD:
        if files.has(name) and files.path(name) not in locks:
            yield f"{files.path(name)}: not read"


def _code_notices(spec: "RepositorySpec", files: ConfigFiles, *, is_binder: bool) -> Iterator[str]:
    if files.has("install.R") and spec.r.script is None:
        yield (
            f"{files.path('install.R')}: not run: Binder runs it only where runtime.txt names a day (r-2025-06-22), "
            "or there is a DESCRIPTION"
        )
    if files.has("renv.lock") and spec.r.lock is None:
        yield f"{files.path('renv.lock')}: not used in a repository of the kind '{spec.buildpack}' (--compose does)"
    if spec.r.remotes:
        yield f"DESCRIPTION: Remotes are not followed: install {', '.join(spec.r.remotes)} in install.R"
    if files.has("Dockerfile"):
        yield (
            f"{files.path('Dockerfile')}: its instructions are not followed: write what it installs into apt.txt and "
            "requirements.txt"
        )
    if is_binder:
        return
    if spec.r.description is not None:
        yield f"{spec.r.description}: the package itself is not installed: what it needs is, and its files are there"
    if spec.project.package is not None:
        yield f"{spec.project.package.file}: the package itself is not installed: only its files are there"
    if spec.start is not None:
        yield f"{spec.start}: name the command in ocibuild.toml (cmd = [...])"
