"""What pip takes away of a conda environment where it may replace packages of it (``--pip-overrides``)."""

import csv
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from ocibuild.core.errors import BuildError
from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import ancestors
from ocibuild.ecosystem.pip.target import PythonTarget
from ocibuild.image.view import View
from ocibuild.layer.entry import Entry

__all__ = ["replaced_files"]


def replaced_files(
    wheels: Sequence[LockedPackage], provided: Mapping[str, str], view: View, target: PythonTarget
) -> list[Entry]:
    """The whiteouts of the files of distributions of which the wheels bring another version, as pip uninstalls them.

    ``provided`` are the environment's own distributions, name -> version; ``view`` is the image without the wheels. A
    BuildError where a distribution has no list of its files.
    """
    replaced = {wheel.name: provided[wheel.name] for wheel in wheels if wheel.name in provided}
    paths = {path for name, version in replaced.items() for path in _files(name, version, view, target)}
    return [Entry.whiteout(path) for path in sorted(_with_folders(paths, view, target))]


def _files(name: str, version: str, view: View, target: PythonTarget) -> Iterator[str]:
    packages = f"{target.standard_library}/site-packages"
    wanted = f"{name}-{version}.dist-info"
    folder = next((each for each in view.children(packages) if _normalised(each) == _normalised(wanted)), "")
    record = f"{packages}/{folder}/RECORD"
    if not folder or record not in view:
        raise BuildError(
            f"pip cannot replace {name} {version} of the conda environment, which has no list of its files",
            hint="ask conda for the version that is wanted",
        )
    for row in csv.reader(view.read(record).decode("utf-8", "replace").splitlines()):
        path = posixpath.normpath(posixpath.join(packages, row[0])) if row else ""
        entry = view.get(path)
        if path and entry is not None and entry.kind != "directory":
            yield path


def _with_folders(paths: set[str], view: View, target: PythonTarget) -> set[str]:
    """The paths, a folder of modules of which nothing would be left in place of what is in it."""
    below = f"{target.standard_library}/site-packages/"
    folders = {folder for path in paths for folder in ancestors(path) if folder.startswith(below)}
    gone = set(paths)
    for folder in sorted(folders, key=len, reverse=True):
        inside = {f"{folder}/{name}" for name in view.children(folder)}
        if inside <= gone:
            gone = gone - inside | {folder}
    return gone


def _normalised(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
