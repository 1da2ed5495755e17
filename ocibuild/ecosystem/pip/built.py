"""Wheels that were built of sources: what they say of themselves, and their one normal form.

Two builds of one source seldom give the same archive, for zip files hold times, an order and a compression. What is
installed of them is mostly the same, so a built wheel is rewritten before its digest means anything.
"""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from packaging.metadata import RawMetadata, parse_email
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError
from ocibuild.ecosystem.pip.source import PythonSource
from ocibuild.ecosystem.pip.wheel import Member, WheelArchive

__all__ = [
    "BuiltWheel",
    "UnsuitableSourceError",
    "WheelMetadata",
    "check_requires_python",
    "read_wheel_metadata",
    "requires_python_of",
    "write_normalised",
]

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_LARGEST_METADATA_BYTES = 4 << 20
_REGULAR_FILE = 0o100000
_LIMIT_ZIP64_BYTES = 1 << 31


class UnsuitableSourceError(BuildError):
    """A version of an index whose own metadata says that it is another, or not for this Python: pip passes it over."""


@dataclass(frozen=True, slots=True)
class WheelMetadata:
    """What a wheel's METADATA says of its project, as far as resolving needs it; ``name`` is normalised."""

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A wheel that was built of ``source``, in its normal form.

    ``path`` is its file on this machine, ``digest`` and ``size_bytes`` are of that file. ``source_digest`` is the
    archive's, or of the tree of a folder or checkout; ``commit`` is the checkout's. ``built_with`` lists, as JSON, the
    packages that its build environment held. ``changes`` is a tar archive in the store of what an editable build left
    in its source folder, if anything.
    """

    source: PythonSource
    file_name: str
    path: Path
    digest: Digest
    size_bytes: int
    metadata: WheelMetadata
    source_digest: Digest
    commit: str = ""
    built_with: str = "[]"
    changes: Digest | None = None


def read_wheel_metadata(body: Path, *, file_name: str, where: str) -> WheelMetadata:
    """What the wheel at ``body`` says of itself.

    A BuildError that names ``where`` it was built where it is no wheel, or where its file's name, its folder and its
    METADATA contradict each other.
    """
    try:
        name, version, _, _ = parse_wheel_filename(file_name)
    except InvalidWheelFilename as error:
        raise BuildError(f"{where}: the build made {file_name!r}, which is no name of a wheel") from error
    with WheelArchive(body, name=file_name) as archive:
        infos = [
            member
            for member in archive.members
            if member.name.endswith(".dist-info/METADATA") and member.name.count("/") == 1
        ]
        if len(infos) != 1:
            raise BuildError(f"{where}: the build made {file_name} with {len(infos)} METADATA files instead of one")
        raw, _ = parse_email(archive.read(infos[0], largest_bytes=_LARGEST_METADATA_BYTES))
    found = _metadata(raw)
    if found is None or (found.name, Version(found.version)) != (name, version):
        said = f"{raw.get('name')} {raw.get('version')}"
        raise BuildError(f"{where}: the build made {file_name}, whose METADATA is of {said}")
    return found


def requires_python_of(package_info: str) -> str:
    """The Requires-Python of a source archive's PKG-INFO, empty where it says none."""
    return parse_email(package_info)[0].get("requires_python", "")


def check_requires_python(source: PythonSource, requires_python: str, version: str) -> None:
    """An UnsuitableSourceError where this Requires-Python excludes this full version of Python.

    uv heeds lower bounds alone (its "Resolution" page), pip all of it. What is no specifier excludes nothing, as with
    pip.
    """
    try:
        fits = SpecifierSet(requires_python).contains(version, prereleases=True)
    except InvalidSpecifier:
        return
    if not fits:
        raise UnsuitableSourceError(f"{source} requires Python {requires_python}, and the image has {version}")


def _metadata(raw: RawMetadata) -> WheelMetadata | None:
    try:
        version = str(Version(raw.get("version", "")))
    except InvalidVersion:
        return None
    return WheelMetadata(
        name=str(canonicalize_name(raw.get("name", ""))),
        version=version,
        requires_dist=tuple(raw.get("requires_dist", ())),
        requires_python=raw.get("requires_python", ""),
        provides_extra=tuple(raw.get("provides_extra", ())),
    )


def write_normalised(body: Path, output: BinaryIO, *, file_name: str) -> None:
    """Write the wheel's files anew: sorted, at one time, uncompressed, with nothing of a mode but whether it runs.

    Equal content gives equal bytes, whatever zip or zlib made the wheel. An ImageError where it is no sound archive.
    """
    with (
        WheelArchive(body, name=file_name) as archive,
        zipfile.ZipFile(output, "w", zipfile.ZIP_STORED, allowZip64=True) as out,
    ):
        for member in _in_order(archive.members):
            is_executable = member.mode & 0o170000 == _REGULAR_FILE and member.mode & 0o111
            info = zipfile.ZipInfo(member.name, _ZIP_EPOCH)
            info.create_system = 3  # Unix, on whatever system this runs
            info.external_attr = (_REGULAR_FILE | (0o755 if is_executable else 0o644)) << 16
            info.file_size = member.size_bytes
            with out.open(info, "w", force_zip64=member.size_bytes >= _LIMIT_ZIP64_BYTES) as target:
                for piece in archive.stream(member):
                    target.write(piece)


def _in_order(members: Iterable[Member]) -> list[Member]:
    """The files, by name; the metadata last, as the wheel specification recommends."""
    files = [member for member in members if not member.is_folder]
    return sorted(files, key=lambda member: (".dist-info/" in member.name, member.name))
