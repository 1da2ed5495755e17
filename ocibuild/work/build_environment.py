"""The environment of a wheel's build as a folder of this machine, made of wheels as data."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ocibuild.core.atomic import map_os_error
from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.place import PipPlaceContext, place
from ocibuild.ecosystem.pip.prefix import prefix_entries, prefix_interpreter
from ocibuild.ecosystem.pip.settle import install_order
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry, EntryKind

__all__ = ["write_environment"]


def write_environment(
    folder: Path,
    packages: Sequence[LockedPackage],
    bodies: Mapping[str, Path],
    *,
    target: PythonTarget,
    prefix: str,
) -> None:
    """Make ``folder`` the environment that ``prefix`` (without a leading slash) will be in the root.

    ``bodies`` are the verified wheels by package name. Of a path that several wheels carry the last one's file stays,
    as with pip.
    """
    try:
        _write(prefix_entries(target, View({}), prefix=prefix), folder, prefix)
        context = PipPlaceContext(
            prefix=prefix,
            python_version=target.minor_version,
            interpreter=prefix_interpreter(target, prefix),
        )
        for package in install_order(packages):
            _write(place(package, bodies[package.name], context).entries, folder, prefix)
    except OSError as error:
        raise map_os_error(error, attempted=f"writing the build environment {folder}") from error


def _write(entries: Iterable[Entry], folder: Path, prefix: str) -> None:
    for entry in entries:
        path = folder / entry.path.removeprefix(prefix).lstrip("/")
        if entry.kind is EntryKind.DIRECTORY:
            path.mkdir(parents=True, exist_ok=True)
        elif entry.kind is EntryKind.SYMLINK:
            path.symlink_to(entry.link)
        else:
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for chunk in entry.chunks():
                    file.write(chunk)
                os.fchmod(file.fileno(), entry.mode)
